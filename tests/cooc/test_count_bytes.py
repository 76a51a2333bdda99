"""The bytes of a count depend on the tokens only: not on memory, threads or id width."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import pytest

from structinit_core.artifact import save_array
from structinit_core.cooc import count_stream
from structinit_core.cooc.grouping import Reach
from structinit_core.corpus import TokenStream
from structinit_core.progress import Silent

VOCABULARY = 60
BYTES_PER_WINDOW = Reach(VOCABULARY, 0, 3, np.dtype(np.uint32)).bytes_per_window(1)


@pytest.fixture(scope="module")
def documents() -> list[list[int]]:
    """Tokens of very unequal frequency, so that row ranges are of very unequal length."""
    rng = np.random.default_rng(7)
    mass = 1 / np.arange(1, VOCABULARY - 3)
    tokens = rng.permutation(VOCABULARY - 4)[
        rng.choice(VOCABULARY - 4, 4000, p=mass / mass.sum())
    ].tolist()
    cuts = [0, *sorted(rng.integers(0, 4000, 30).tolist()), 4000]
    return [tokens[start:stop] for start, stop in pairwise(cuts)]


@pytest.fixture
def restored_threads() -> Iterator[None]:
    """Put numba's thread count back."""
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)


class Ranges(Silent):
    """Remembers how many occurrences each row range held."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def advance(self, steps: int = 1) -> None:
        """Remember one range."""
        self.sizes.append(steps)


def count(stream: TokenStream, directory: Path, memory: int) -> tuple[dict[str, bytes], list[int]]:
    """Every file written, and the occurrences of each row range."""
    directory.mkdir()
    spans = np.stack((stream.offsets[:-1], stream.offsets[1:]), axis=1)
    ranges = Ranges()
    count_stream(
        stream, spans, VOCABULARY, directory, offsets=3, memory_bytes=memory, progress=ranges
    )
    return {path.name: path.read_bytes() for path in directory.iterdir()}, ranges.sizes


def test_row_ranges_leave_no_trace(
    documents: list[list[int]], stream_of: Callable[..., TokenStream], tmp_path: Path
) -> None:
    stream = stream_of(documents)
    most = int(np.bincount(stream.ids).max())
    whole, ranges = count(stream, tmp_path / "whole", 1 << 30)
    assert ranges == [len(stream.ids)]
    for factor in (1.0, 1.3, 2.0):
        memory = int(most * factor * BYTES_PER_WINDOW)
        parts, ranges = count(stream, tmp_path / f"parts{factor}", memory)
        assert len(ranges) > 2
        assert sum(ranges) == len(stream.ids)
        assert max(ranges) * BYTES_PER_WINDOW <= memory
        assert parts == whole


@pytest.mark.usefixtures("restored_threads")
def test_threads_leave_no_trace(
    documents: list[list[int]], stream_of: Callable[..., TokenStream], tmp_path: Path
) -> None:
    stream = stream_of(documents)
    results = []
    for threads in sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)}):
        numba.set_num_threads(threads)
        results += [
            count(stream, tmp_path / f"{threads}-{memory}", memory)[0]
            for memory in (BYTES_PER_WINDOW * 1200, 1 << 30)
        ]
    assert all(result == results[0] for result in results)


def test_id_width_and_memory_mapping_leave_no_trace(
    documents: list[list[int]], stream_of: Callable[..., TokenStream], tmp_path: Path
) -> None:
    narrow, wide = stream_of(documents, np.uint16), stream_of(documents, np.uint32)
    save_array(tmp_path / "ids.npy", narrow.ids)
    mapped = TokenStream(np.load(tmp_path / "ids.npy", mmap_mode="r"), narrow.offsets)
    files = [
        count(stream, tmp_path / str(number), 1 << 30)[0]
        for number, stream in enumerate((narrow, wide, mapped))
    ]
    assert files[0] == files[1] == files[2]


def test_order_of_documents_leaves_no_trace(
    documents: list[list[int]], stream_of: Callable[..., TokenStream], tmp_path: Path
) -> None:
    forward = count(stream_of(documents), tmp_path / "forward", 1 << 30)[0]
    backward = count(stream_of(documents[::-1]), tmp_path / "backward", 1 << 30)[0]
    assert forward == backward
