"""Tokenizers: train a byte-level BPE, read a ``tokenizer.json``, write one for a checkpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from structinit_core.artifact import pretty_json
from structinit_core.errors import InputError, LimitError, StructinitError, UsageError

DOCUMENT_TOKEN = "<|endoftext|>"
MAX_TOKENIZER_BYTES = 1 << 27
_FRAMES = (
    (DOCUMENT_TOKEN, DOCUMENT_TOKEN),
    ("<s>", "</s>"),
    ("<|begin_of_text|>", "<|end_of_text|>"),
    ("<bos>", "<eos>"),
)


@dataclass(frozen=True)
class Frame:
    """The special tokens set before and after every document, and their ids."""

    begin: str
    end: str
    begin_id: int
    end_id: int


def train_tokenizer(documents: Iterable[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE with at most ``vocabulary`` tokens, ``<|endoftext|>`` being id 0.

    Merges seen only once are not learned, so a small corpus gives a smaller vocabulary.
    Deterministic: the trainer of the ``tokenizers`` library sorts its alphabet and breaks
    ties by token id (only continuation prefixes, unused here, depend on hash order).
    Memory: the distinct pre-tokens of the corpus.

    Raises:
        UsageError: ``vocabulary`` below 257 (256 bytes and the document token).
        InputError: no text at all.
    """
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if vocabulary <= len(alphabet):
        raise UsageError(f"a byte-level vocabulary needs at least {len(alphabet) + 1} tokens")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[DOCUMENT_TOKEN],
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    seen = 0

    def train(stopped: threading.Event) -> None:
        def counted() -> Iterator[str]:
            nonlocal seen
            for document in documents:
                if stopped.is_set():
                    raise InterruptedError
                seen += 1
                yield document

        tokenizer.train_from_iterator(counted(), trainer=trainer)

    run_interruptibly(train)
    if not seen:
        raise InputError("the corpus holds no text")
    return tokenizer


def load_tokenizer(path: Path, largest: int | None = None) -> Tokenizer:
    """The tokenizer of a ``tokenizer.json``, its truncation and padding switched off.

    Raises:
        InputError: not a file the ``tokenizers`` library reads.
        LimitError: larger than ``largest`` bytes, by default 128 MiB.
    """
    largest = largest or MAX_TOKENIZER_BYTES
    try:
        if path.stat().st_size > largest:
            raise LimitError(f"is larger than {largest / 2**20:,.0f} MiB", where=str(path))
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8", where=str(path)) from error
    with library_faults("is not a tokenizer.json", str(path)):
        tokenizer = Tokenizer.from_str(text)
    if isinstance(tokenizer.model, models.BPE):
        tokenizer.model.dropout = None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@contextmanager
def library_faults(complaint: str, where: str | None = None) -> Iterator[None]:
    """Turn what the ``tokenizers`` library raises, bare exceptions and panics, into ours.

    Raises:
        InputError: in place of any fault of the library.
    """
    try:
        yield
    except (StructinitError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = (str(error).strip() or "no reason").splitlines()[0][:120]
        raise InputError(f"{complaint} ({reason})", where=where) from error


def run_interruptibly(work: Callable[[threading.Event], None]) -> None:
    """Run ``work`` in a thread, so that signals reach the main thread meanwhile.

    The library's training does not return to Python before it is done. What ``work`` raises
    is raised here. On a signal the event is set, for ``work`` to end soon; what goes on for
    longer than a second is left behind and ends with the process.
    """
    failures: list[BaseException] = []
    stopped = threading.Event()

    def guarded() -> None:
        try:
            work(stopped)
        except BaseException as error:  # handed over to the caller
            failures.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.1)
    except BaseException:
        stopped.set()
        thread.join(1.0)
        raise
    if failures:
        raise failures[0]


def find_frame(tokenizer: Tokenizer) -> Frame | None:
    """The document frame the vocabulary knows, the first of a few common pairs, or ``None``."""
    for begin, end in _FRAMES:
        begin_id, end_id = tokenizer.token_to_id(begin), tokenizer.token_to_id(end)
        if begin_id is not None and end_id is not None:
            return Frame(begin, end, begin_id, end_id)
    return None


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """One more than the largest token id, added tokens included; holes count."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    return max(vocabulary.values(), default=-1) + 1


def write_tokenizer(tokenizer_json: str, directory: Path, context: int) -> None:
    """Write ``tokenizer.json`` and the ``tokenizer_config.json`` that transformers reads."""
    (directory / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    write_tokenizer_config(directory, context, find_frame(Tokenizer.from_str(tokenizer_json)))


def write_tokenizer_config(
    directory: Path, context: int, frame: Frame | None, **more: object
) -> None:
    """Write the ``tokenizer_config.json`` beside a ``tokenizer.json``, with ``more`` fields."""
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    if frame is not None:
        config |= {"bos_token": frame.begin, "eos_token": frame.end}
    (directory / "tokenizer_config.json").write_text(pretty_json(config | more), encoding="utf-8")


def serialise(tokenizer: Tokenizer) -> str:
    """The text of ``tokenizer.json``: pretty, non-ASCII kept, one final newline."""
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, indent=1) + "\n"
