"""Reading an array file: plain arrays only, whatever the bytes claim to be."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.artifact import load_array, save_array
from structinit_core.errors import IncompatibleError

MAGIC = b"\x93NUMPY\x01\x00"


def saved(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def headed(header: str) -> bytes:
    return MAGIC + len(header).to_bytes(2, "little") + header.encode() + bytes(16)


def shaped(shape: str) -> bytes:
    return headed(f"{{'descr': '<u4', 'fortran_order': False, 'shape': {shape}, }}\n")


def zipped() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(3))
    return stream.getvalue()


def test_what_was_saved_is_mapped_read_only(tmp_path: Path) -> None:
    save_array(tmp_path / "a.npy", np.arange(12)[::-5])
    array = load_array(tmp_path / "a.npy", ("int64",))
    assert isinstance(array, np.memmap)
    assert array.tolist() == [11, 6, 1]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_equal_arrays_give_equal_bytes_whatever_their_layout(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    save_array(tmp_path / "c.npy", values)
    save_array(tmp_path / "f.npy", np.asfortranarray(values))
    assert (tmp_path / "c.npy").read_bytes() == (tmp_path / "f.npy").read_bytes()


def test_a_dtype_that_is_not_asked_for_is_named(tmp_path: Path) -> None:
    save_array(tmp_path / "a.npy", np.zeros(3, np.float64))
    with pytest.raises(IncompatibleError, match=r"a\.npy.*float64.*uint16 or uint32"):
        load_array(tmp_path / "a.npy", ("uint16", "uint32"))


def test_a_pickled_array_is_never_loaded(tmp_path: Path) -> None:
    flag = tmp_path / "flag"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(flag),)

    np.save(tmp_path / "a.npy", np.array([Payload()], object), allow_pickle=True)
    with pytest.raises(IncompatibleError):
        load_array(tmp_path / "a.npy")
    assert not flag.exists()
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        save_array(tmp_path / "b.npy", np.array([{}], object))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"some text", id="text"),
        pytest.param(b"\x80\x04N.", id="a pickle"),
        pytest.param(MAGIC, id="magic only"),
        pytest.param(saved(np.zeros((2, 3), np.uint32)), id="matrix"),
        pytest.param(saved(np.uint32(1)), id="scalar"),
        pytest.param(saved(np.arange(100))[:-1], id="truncated"),
        pytest.param(saved(np.arange(100))[:60], id="truncated header"),
        pytest.param(zipped(), id="npz"),
        pytest.param(b"PK\x03\x04 no zip", id="broken npz"),
        pytest.param(shaped("(-5,)"), id="negative"),
        pytest.param(shaped("(2**62,)"), id="expression"),
        pytest.param(shaped(f"({2**62},)"), id="huge"),
        pytest.param(shaped(f"({2**63},)"), id="wider than a machine word"),
        pytest.param(headed("{'descr': '<u4', ("), id="unclosed"),
        pytest.param(headed("'''"), id="unclosed string"),
        pytest.param(headed("-" * 9000 + "1"), id="deep"),
    ],
)
@pytest.mark.parametrize("dtypes", [(), ("uint32",)], ids=["any", "uint32"])
def test_anything_else_is_refused_by_name(tmp_path: Path, content: bytes, dtypes) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(IncompatibleError, match=r"a\.npy"):
            load_array(path, dtypes)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.npy"):
        with pytest.raises(IncompatibleError):
            load_array(path)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 127), patch=st.binary(min_size=1, max_size=4))
def test_a_damaged_header_gives_an_array_or_a_refusal(place: int, patch: bytes) -> None:
    content = bytearray(saved(np.arange(20, dtype=np.uint32)))
    content[place : place + len(patch)] = patch
    with TemporaryDirectory() as directory, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(directory, "a.npy")
        path.write_bytes(content)
        with suppress(IncompatibleError):
            assert isinstance(load_array(path), np.ndarray)
