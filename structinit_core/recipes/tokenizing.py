"""Text to a tokenizer and a token stream, for one run or kept as an artifact for the next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import (
    Recipe,
    is_up_to_date,
    load_array,
    locked,
    refuse_foreign,
    staged,
)
from structinit_core.corpus import (
    Tokenizer,
    TokenStream,
    hold_out,
    load_tokenizer,
    serialise,
    tokenize,
    train_tokenizer,
    vocabulary_size,
)
from structinit_core.recipes.record import Recorder

if TYPE_CHECKING:
    from structinit_core.cooc import Counts
    from structinit_core.recipes.count_source import CountSource

TOKENS_KIND = "tokens"
TOKENS_VERSION = 1
_NOT_OF_TOKENS = frozenset({"offsets", "holdout", "seed", "min_count"})


def make_tokenizer(source: CountSource, record: Recorder) -> Tokenizer:
    """The tokenizer that ``source`` names, or one trained on its text.

    Raises:
        InputError: an unreadable text or tokenizer.
    """
    if source.tokenizer is not None:
        record.stage("reading the tokenizer")
        return load_tokenizer(source.tokenizer)
    asked = source.train_vocabulary or 0
    record.stage("training the tokenizer")
    tokenizer = train_tokenizer(source.documents(), asked)
    if vocabulary_size(tokenizer) < asked:
        record.warn(
            f"the corpus supports {vocabulary_size(tokenizer)} tokens only, {asked} were asked for"
        )
    return tokenizer


def make_tokens(
    source: CountSource, directory: Path, record: Recorder
) -> tuple[Tokenizer, TokenStream]:
    """The tokenizer of ``source``, given or trained, and its text's ids, written to ``directory``.

    Raises:
        InputError: an unreadable text or tokenizer.
    """
    tokenizer = make_tokenizer(source, record)
    record.stage("tokenizing")
    is_shard = source.shard is not None
    stream = tokenize(source.documents(), tokenizer, directory, record, may_be_empty=is_shard)
    record.worked_on(len(stream.ids))
    return tokenizer, stream


def keep_tokens(
    source: CountSource, directory: Path, record: Recorder
) -> tuple[Tokenizer, TokenStream]:
    """As :func:`make_tokens`, published as an artifact at ``directory``, or read from it.

    The artifact holds ``tokens.npy``, ``offsets.npy`` and ``tokenizer.json``. What is there
    is used while texts, tokenizer (or the vocabulary to train) and the cut into documents are
    the same; other offsets, hold-out or seeds need no new tokens.

    Raises:
        InputError: an unreadable text or tokenizer. LockedError: another run writes there.
        IncompatibleError: ``directory`` is not ours. LimitError: the disk is full.
    """
    params = source.params()
    recipe = Recipe(
        kind=TOKENS_KIND,
        version=TOKENS_VERSION,
        params={name: params[name] for name in params.keys() - _NOT_OF_TOKENS},
        inputs=source.inputs(),
    )
    with locked(directory):
        refuse_foreign(directory, TOKENS_KIND, force=False)
        if not is_up_to_date(directory, recipe):
            with staged(directory, recipe) as work:
                tokenizer, _ = make_tokens(source, work, record)
                (work / "tokenizer.json").write_text(serialise(tokenizer), encoding="utf-8")
        ids = load_array(directory / "tokens.npy", ("uint16", "uint32"))
        offsets = np.array(load_array(directory / "offsets.npy", ("int64",)))
        return load_tokenizer(directory / "tokenizer.json"), TokenStream(ids, offsets)


def counted_spans(stream: TokenStream, counts: Counts) -> NDArray[np.int64]:
    """The spans of ``stream`` that entered ``counts``, if they are of its text: int64 (n, 2)."""
    drawn = counts.manifest.recipe.params
    return hold_out(stream, float(drawn["holdout"]), int(drawn["seed"])).counted
