"""An array of unknown length, written once, reads like one that numpy saved."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from structinit_core.artifact import ArrayWriter, load_array
from structinit_core.errors import IncompatibleError

DTYPES = ["uint8", "uint16", "uint32", "int64", "float32", "float64", "bool"]


def write(path: Path, chunks: list[np.ndarray], dtype: str) -> None:
    with ArrayWriter(path, dtype) as writer:
        for chunk in chunks:
            writer.append(chunk)
        assert writer.length == sum(map(len, chunks))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), cuts=st.lists(st.integers(0, 50), max_size=5))
def test_any_chunking_reads_like_the_saved_whole(data, dtype: str, cuts: list[int]) -> None:
    values = data.draw(arrays(dtype, st.integers(0, 50)))
    with TemporaryDirectory() as directory:
        ours, theirs = Path(directory, "ours.npy"), Path(directory, "theirs.npy")
        write(ours, np.split(values, sorted(min(cut, len(values)) for cut in cuts)), dtype)
        np.save(theirs, values)
        read = np.load(ours)
        assert read.dtype == np.load(theirs).dtype
        np.testing.assert_array_equal(read, values)
        assert ours.stat().st_size == theirs.stat().st_size
        mapped = load_array(ours)
        assert isinstance(mapped, np.memmap)
        np.testing.assert_array_equal(mapped, values)


@pytest.mark.parametrize("chunks", [[], [[]], [[], []]])
def test_an_empty_array_is_an_array(tmp_path: Path, chunks: list[list[int]]) -> None:
    write(tmp_path / "a.npy", [np.array(chunk, np.uint32) for chunk in chunks], "uint32")
    array = load_array(tmp_path / "a.npy", ("uint32",))
    assert array.shape == (0,)


def test_values_of_another_width_are_cast(tmp_path: Path) -> None:
    write(tmp_path / "a.npy", [np.array([1, 65535], np.int64)], "uint16")
    assert load_array(tmp_path / "a.npy", ("uint16",)).tolist() == [1, 65535]


def test_a_strided_view_is_written_in_its_order(tmp_path: Path) -> None:
    write(tmp_path / "a.npy", [np.arange(10, dtype=np.uint32)[::-3]], "uint32")
    assert load_array(tmp_path / "a.npy").tolist() == [9, 6, 3, 0]


def test_after_a_crash_the_file_is_not_an_array(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"

    def crash() -> None:
        with ArrayWriter(path, "uint32") as writer:
            writer.append(np.arange(100_000, dtype=np.uint32))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    assert path.stat().st_size > 400_000
    with pytest.raises(IncompatibleError, match=r"a\.npy"):
        load_array(path)


def test_before_its_end_the_file_is_not_an_array(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with ArrayWriter(path, "uint32") as writer:
        writer.append(np.arange(100_000, dtype=np.uint32))
        with pytest.raises(IncompatibleError):
            load_array(path)
    assert len(load_array(path)) == 100_000
