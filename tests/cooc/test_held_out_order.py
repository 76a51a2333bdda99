"""The held-out files depend on which documents are held out, on nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.cooc import HeldOut, write_held_out
from structinit_core.corpus import TokenStream

Documents = list[list[int]]
DOCUMENTS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), max_size=12)


def written(parts: list[HeldOut], memory: int = 1 << 20) -> dict[str, bytes]:
    with TemporaryDirectory() as directory:
        write_held_out(parts, Path(directory), memory)
        return {path.name: path.read_bytes() for path in Path(directory).iterdir()}


def part_of(stream: TokenStream) -> HeldOut:
    spans = np.stack((stream.offsets[:-1], stream.offsets[1:]), axis=1)
    return HeldOut(lambda: stream.ids, spans)


@settings(max_examples=100, deadline=None)
@given(
    documents=DOCUMENTS,
    owners=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    random=st.randoms(use_true_random=False),
    memory=st.sampled_from([0, 8, 40, 1 << 20]),
)
def test_neither_order_nor_parts_nor_memory_show(
    stream_of: Callable[..., TokenStream],
    documents: Documents,
    owners: list[int],
    random: Any,
    memory: int,
) -> None:
    whole = written([part_of(stream_of(documents))])
    shuffled = random.sample(documents, len(documents))
    parts = [
        stream_of([d for d, at in zip(shuffled, owners, strict=False) if at == owner])
        for owner in range(4)
    ]
    assert written([part_of(part) for part in parts], memory) == whole


def test_every_span_is_there_once_and_whole(
    stream_of: Callable[..., TokenStream], tmp_path: Path
) -> None:
    stream = stream_of([[1, 2, 3], [4], [5, 6], [4], [7]])
    spans = np.array([[0, 3], [3, 4], [5, 6], [6, 7], [7, 8]])
    write_held_out([HeldOut(lambda: stream.ids, spans)], tmp_path, 1 << 20)
    ids, offsets = (np.load(tmp_path / f"heldout.{name}.npy") for name in ("tokens", "offsets"))
    assert offsets.dtype == np.int64
    found = [part.tolist() for part in np.split(ids, offsets[1:-1])]
    assert sorted(found) == [[1, 2, 3], [4], [4], [6], [7]]


@pytest.mark.parametrize("width", [np.uint16, np.uint32])
def test_the_order_is_of_values_and_the_width_stays(
    stream_of: Callable[..., TokenStream], tmp_path: Path, width: Any
) -> None:
    documents = [[number, 1] for number in range(50)]
    narrow = written([part_of(stream_of(documents, np.uint16))])
    files = written([part_of(stream_of(documents, width))])
    assert files["heldout.offsets.npy"] == narrow["heldout.offsets.npy"]
    (tmp_path / "ids.npy").write_bytes(files["heldout.tokens.npy"])
    (tmp_path / "narrow.npy").write_bytes(narrow["heldout.tokens.npy"])
    ids = np.load(tmp_path / "ids.npy")
    assert ids.dtype == width
    assert ids.tolist() == np.load(tmp_path / "narrow.npy").tolist()
