"""Arrays and sparse matrices on disk: memory-mapped ``.npy``, one index width per CSR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.lib.format import open_memmap
from numpy.typing import DTypeLike, NDArray

from structinit_core.errors import IncompatibleError

_HEADER_BYTES = 128


class ArrayWriter:
    """Writes a one-dimensional ``.npy`` whose length is known only at the end.

    A context manager: arrays are appended in order, the header is filled in on a clean exit.
    Memory: nothing beyond the array being appended.
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.length = 0
        self._stream = path.open("wb")
        self._stream.write(bytes(_HEADER_BYTES))

    def append(self, values: NDArray[Any]) -> None:
        """Append ``values``, cast to the writer's dtype."""
        self._stream.write(np.ascontiguousarray(values, dtype=self.dtype).data)
        self.length += len(values)

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            header = f"{{'descr': '{self.dtype.str}', 'fortran_order': False, "
            header += f"'shape': ({self.length},), }}"
            prefix = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
            self._stream.seek(0)
            self._stream.write(prefix + header.ljust(_HEADER_BYTES - 11).encode() + b"\n")
        self._stream.close()


def save_array(path: Path, values: NDArray[Any]) -> None:
    """Write ``values`` as ``.npy``; byte-stable for equal arrays, never pickled."""
    np.save(path, np.ascontiguousarray(values), allow_pickle=False)


def load_array(path: Path, dtypes: Sequence[str] = ()) -> NDArray[Any]:
    """The read-only memory map of a one-dimensional ``.npy`` file; no pickle is ever read.

    Raises:
        IncompatibleError: the file is not such an array, or not of one of ``dtypes``.
    """
    try:
        array: NDArray[Any] = open_memmap(path, mode="r")
    except Exception as error:  # numpy parses the header as Python, and faults in many ways
        raise IncompatibleError("is not a plain .npy array", where=str(path)) from error
    if array.ndim != 1:
        raise IncompatibleError(f"has {array.ndim} dimensions, expected 1", where=str(path))
    if dtypes and array.dtype.name not in dtypes:
        raise IncompatibleError(
            f"has dtype {array.dtype.name}, expected {' or '.join(dtypes)}", where=str(path)
        )
    return array


def index_dtype(columns: int, stored: int) -> np.dtype[Any]:
    """The one index width of a CSR: int32 where both fit, else int64.

    scipy silently copies memory-mapped indices into memory when the two widths differ.
    """
    return np.dtype(np.int32 if max(columns, stored) < 2**31 else np.int64)


def load_csr(directory: Path, name: str, shape: tuple[int, int]) -> sp.csr_array:
    """The CSR ``name`` of an artifact, its three arrays memory-mapped without a copy.

    Raises:
        IncompatibleError: arrays that do not form a CSR of this ``shape``.
    """
    widths = ("int32", "int64")
    indptr = load_array(directory / f"{name}.indptr.npy", widths)
    indices = load_array(directory / f"{name}.indices.npy", widths)
    data = load_array(directory / f"{name}.data.npy", ("uint32", "uint64"))
    if (
        len(indptr) != shape[0] + 1
        or len(indices) != len(data)
        or indptr.dtype != indices.dtype
        or int(indptr[0]) != 0
        or int(indptr[-1]) != len(data)
        or bool(np.any(indptr[1:] < indptr[:-1]))
        or (len(indices) > 0 and (int(indices.min()) < 0 or int(indices.max()) >= shape[1]))
        or not _ascending_in_rows(indices, indptr)
    ):
        raise IncompatibleError(
            f"is not a {shape[0]}x{shape[1]} sparse matrix", where=str(directory / name)
        )
    return sp.csr_array((data, indices, indptr), shape=shape, copy=False)


def _ascending_in_rows(indices: NDArray[Any], indptr: NDArray[Any]) -> bool:
    """Whether columns strictly ascend inside every row."""
    falls = np.flatnonzero(indices[1:] <= indices[:-1]) + 1
    return bool(np.isin(falls, indptr).all())
