"""The tokenizer of a graph: one token for each name, a tab or a line's end between two."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from structinit_core.corpus.token_texts import TokenTexts
from structinit_core.corpus.tokenizer import DOCUMENT_TOKEN, Frame, write_tokenizer_config

GRAPH_FRAME = Frame(DOCUMENT_TOKEN, DOCUMENT_TOKEN, 0, 0)
SEPARATOR = "\t"
"""Between the names of a sequence that is decoded."""
IDS = "ids"
"""The folder of the tokenizer that writes particles by their ids, where they have labels."""
GRAPH = "graph"
"""The field of ``tokenizer_config.json`` with the number of relations and of their tokens."""


def write_graph_tokenizers(
    directory: Path,
    relations: Iterable[str],
    particles: Iterable[str],
    labels: Iterable[str] | None,
    slots: int,
    context: int,
) -> None:
    """Write a graph's ``tokenizer.json``, with labels, and beside it, in ``ids/``, that of ids.

    Names as :class:`TokenTexts` takes them; both have the same token ids. Without labels there
    is one. Each comes with the ``tokenizer_config.json`` that transformers reads.
    """
    by_id = TokenTexts(relations, particles, None, slots)
    shown = {directory: by_id}
    if labels is not None:
        shown = {directory / IDS: by_id, directory: TokenTexts(relations, particles, labels, slots)}
    graph = {"relations": sum(1 for _ in relations), "slots": slots}
    for folder, texts in shown.items():
        folder.mkdir(exist_ok=True)
        with (folder / "tokenizer.json").open("w", encoding="utf-8") as file:
            file.writelines(graph_tokenizer_json(texts))
        write_tokenizer_config(
            folder, context, GRAPH_FRAME, unk_token=DOCUMENT_TOKEN, **{GRAPH: graph}
        )


def graph_tokenizer_json(texts: Iterable[str]) -> Iterator[str]:
    """A ``tokenizer.json`` in pieces: token i is written as the i-th text, token 0 the frame.

    Texts are distinct and hold no control character. Encoding splits at tabs and line ends, so
    a line of a list of triples is a sequence, and sets the frame in front; an unknown name
    becomes the frame, never a particle. Decoding sets tabs between names. The vocabulary of a
    word-level tokenizer has one text for each token: two for one are decoded by chance. The
    pieces are those that the ``tokenizers`` library would write. Memory O(1).
    """
    quoted = json.encoder.encode_basestring
    head, tail = json.dumps(_around({"": 0}), ensure_ascii=False, indent=1).split('"": 0')
    yield head
    for token, text in enumerate(texts):
        comma = ",\n   " if token else ""
        yield f"{comma}{quoted(text)}: {token}"
    yield tail + "\n"


def _around(vocabulary: dict[str, int]) -> dict[str, Any]:
    frame = {"SpecialToken": {"id": DOCUMENT_TOKEN, "type_id": 0}}
    one, other = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": 0,
                "content": DOCUMENT_TOKEN,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": r"[\t\n\r]+"},
            "behavior": "Removed",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [frame, one],
            "pair": [frame, one, other],
            "special_tokens": {
                DOCUMENT_TOKEN: {"id": DOCUMENT_TOKEN, "ids": [0], "tokens": [DOCUMENT_TOKEN]}
            },
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"Regex": r"\A"}, "content": SEPARATOR},
                {"type": "Fuse"},
                {"type": "Strip", "content": SEPARATOR, "start": 1, "stop": 0},
            ],
        },
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": DOCUMENT_TOKEN},
    }
