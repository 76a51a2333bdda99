"""The held-out documents of a counts artifact, in an order that is a matter of content alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import ArrayWriter, load_array, save_array
from structinit_core.cooc.budget import token_ranges
from structinit_core.corpus import TokenStream
from structinit_core.errors import IncompatibleError

_BYTES_PER_TOKEN = 8


@dataclass(frozen=True)
class HeldOut:
    """Spans ``(start, stop)``, int64 (n, 2), of the stream of ids that ``tokens`` opens."""

    tokens: Callable[[], NDArray[Any]]
    spans: NDArray[np.int64]


def write_held_out(parts: Sequence[HeldOut], directory: Path, memory_bytes: int) -> None:
    """Write ``heldout.tokens.npy`` and ``heldout.offsets.npy``: every span of all ``parts``.

    Spans ascend by a hash of their tokens, so the bytes depend on which spans there are, not
    on their order or on how they are shared out among the parts. All parts have ids of one
    width. Cost: the tokens are read twice. Memory: ``memory_bytes`` plus 64 bytes a span and
    a single span whole. No file stays open but for its reading.
    """
    digests = np.concatenate([_digests(part) for part in parts])
    order = np.lexsort((digests[:, 1], digests[:, 0]))
    owners = np.repeat(np.arange(len(parts)), [len(part.spans) for part in parts])[order]
    spans = np.concatenate([part.spans for part in parts])[order]
    lengths = spans[:, 1] - spans[:, 0]
    save_array(directory / "heldout.offsets.npy", np.concatenate(([0], np.cumsum(lengths))))
    with ArrayWriter(directory / "heldout.tokens.npy", parts[0].tokens().dtype) as writer:
        for low, high in token_ranges(lengths, memory_bytes // _BYTES_PER_TOKEN):
            writer.append(_gathered(parts, owners[low:high], spans[low:high], writer.dtype))


def load_held_out(directory: Path, vocabulary: int) -> TokenStream:
    """The held-out documents of the counts artifact in ``directory``, ids memory-mapped.

    Raises:
        IncompatibleError: arrays that do not fit each other.
    """
    held = TokenStream(
        load_array(directory / "heldout.tokens.npy", ("uint16", "uint32")),
        np.array(load_array(directory / "heldout.offsets.npy", ("int64",))),
    )
    if (
        len(held.offsets) == 0
        or int(held.offsets[0]) != 0
        or int(held.offsets[-1]) != len(held.ids)
        or bool(np.any(np.diff(held.offsets) < 0))
        or (len(held.ids) > 0 and int(held.ids.max()) >= vocabulary)
    ):
        raise IncompatibleError("holds arrays that do not fit each other", where=str(directory))
    return held


def _digests(part: HeldOut) -> NDArray[np.uint64]:
    """128 bits of each span's content, uint64 (n, 2): equal only for equal tokens."""
    ids = part.tokens()
    digests = b"".join(
        # token values, whatever their width on disk
        hashlib.blake2b(ids[start:stop].astype("<u4").tobytes(), digest_size=16).digest()
        for start, stop in part.spans.tolist()
    )
    # big-endian, so that numbers ascend as the bytes do
    return np.frombuffer(digests, dtype=">u8").reshape(-1, 2).astype(np.uint64)


def _gathered(
    parts: Sequence[HeldOut],
    owners: NDArray[np.int64],
    spans: NDArray[np.int64],
    width: np.dtype[Any],
) -> NDArray[Any]:
    """The tokens of ``spans``, each of the part ``owners`` says, one after the other."""
    stops = np.cumsum(spans[:, 1] - spans[:, 0])
    tokens = np.empty(int(stops[-1]), width)
    for owner in np.unique(owners).tolist():
        ids = parts[owner].tokens()
        mine = owners == owner
        for (start, stop), end in zip(spans[mine].tolist(), stops[mine].tolist(), strict=True):
            tokens[end - (stop - start) : end] = ids[start:stop]
    return tokens
