"""The text of a race: counts, training tokens and held-out tokens, kept for the next run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import read_manifest
from structinit_core.cooc import Counts, open_counts
from structinit_core.corpus import TokenStream, cut_windows, spread
from structinit_core.errors import IncompatibleError, InputError
from structinit_core.linalg import generator
from structinit_core.progress import Progress
from structinit_core.race.protocol import batch_windows
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus
from structinit_core.recipes.record import Recorder
from structinit_core.recipes.tokenizing import keep_tokens


@dataclass(frozen=True)
class RaceText:
    """The counts of the training text, its tokens, and the held-out windows that are scored.

    counted: how often each token stands in the training text, int64 (V,). leaked: share of the
    held-out tokens in documents that the training text holds, too. digest: of all.
    """

    counts: Counts
    counting_seconds: float
    train: TokenStream
    valid: TokenStream
    windows: NDArray[np.int64]
    counted: NDArray[np.int64]
    leaked: float
    digest: str


def prepare_text(
    source: CountSource,
    valid_texts: Sequence[Path],
    directory: Path,
    progress: Progress,
    *,
    context: int,
    eval_tokens: int,
    memory_bytes: int,
) -> RaceText:
    """Counts, training and held-out tokens in ``directory``; what is up to date is kept.

    ``source`` is trained on, ``valid_texts`` are scored on in windows of ``context`` tokens.

    Raises:
        InputError: unreadable text, or too little of it; and as in counting.
    """
    where, tokens = directory / "counts", directory / "train"
    count_corpus(source, where, tokens=tokens, memory_bytes=memory_bytes, progress=progress)
    counts = open_counts(where)
    held_out = replace(
        source, texts=valid_texts, tokenizer=where / "tokenizer.json", train_vocabulary=None
    )
    record = Recorder(progress)
    _, train = keep_tokens(source, tokens, record)
    with _named(valid_texts):
        _, valid = keep_tokens(held_out, directory / "valid", record)
    spans = np.stack((valid.offsets[:-1], valid.offsets[1:]), axis=1)
    windows = spread(cut_windows(spans, context), eval_tokens)
    if len(windows) == 0:
        raise InputError("the held-out text holds no document of two tokens to score")
    if len(train.ids) <= context:
        raise InputError(f"the training text is shorter than one window of {context} tokens")
    manifests = [read_manifest(directory / name) for name in ("counts", "train", "valid")]
    return RaceText(
        counts=counts,
        counting_seconds=_counting_seconds(where),
        train=train,
        valid=valid,
        windows=windows,
        counted=np.bincount(train.ids, minlength=counts.vocabulary),
        leaked=leaked_share(train, valid),
        digest="-".join(manifest.content[:16] for manifest in manifests if manifest),
    )


def leaked_share(train: TokenStream, valid: TokenStream) -> float:
    """The share of ``valid``'s tokens that lie in documents that ``train`` holds word for word."""
    known = {digest for digest, _ in _documents(train)}
    both = sum(length for digest, length in _documents(valid) if digest in known)
    return both / max(1, len(valid.ids))


class BatchOrder:
    """The training windows in the order of one seed: the same for every arm."""

    def __init__(self, stream: TokenStream, context: int, batch_tokens: int, seed: int) -> None:
        self._ids, self._context, self._seed = stream.ids, context, seed
        self._windows = (len(stream.ids) - 1) // context
        self._rows = batch_windows(batch_tokens, context)
        self._epoch, self._permutation = -1, np.zeros(0, np.int64)

    def batch(self, step: int) -> NDArray[np.int64]:
        """Token ids of ``step`` (from 0): int64 (rows, context + 1).

        Windows follow each other in the text, each predicting ``context`` tokens; an epoch
        takes each of them once, in an order drawn anew.
        """
        places = np.arange(step * self._rows, (step + 1) * self._rows)
        starts = [self._window(int(place)) * self._context for place in places]
        rows = [self._ids[start : start + self._context + 1] for start in starts]
        return np.stack(rows).astype(np.int64)

    def _window(self, place: int) -> int:
        epoch, at = divmod(place, self._windows)
        if epoch != self._epoch:
            draw = generator(self._seed, "data order", f"epoch {epoch}")
            self._epoch, self._permutation = epoch, draw.permutation(self._windows)
        return int(self._permutation[at])


def _documents(stream: TokenStream) -> Iterator[tuple[bytes, int]]:
    """Digest of the tokens' values, and length, of each document."""
    for start, stop in zip(stream.offsets[:-1], stream.offsets[1:], strict=True):
        ids = stream.ids[start:stop]
        yield hashlib.blake2b(ids.tobytes(), digest_size=16).digest(), len(ids)


@contextmanager
def _named(texts: Sequence[Path]) -> Iterator[None]:
    """Say which of the two texts is bad where the reader does not."""
    try:
        yield
    except InputError as error:
        if error.where is not None:
            raise
        names = ", ".join(map(str, texts))
        raise InputError(error.message, where=names, hint=error.hint) from error


def _counting_seconds(counts: Path) -> float:
    """What counting took, without the tokenizer and encoding, which every arm shares."""
    try:
        run = json.loads((counts / "run.json").read_text(encoding="utf-8"))
        return float(run["seconds"]["counting"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IncompatibleError(
            "does not say what counting took", where=str(counts / "run.json"), hint="remove counts"
        ) from error
