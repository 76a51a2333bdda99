"""Sparse matrix times dense block on all cores: CSR rows against tiles of fixed width (numba)."""

# ruff: noqa: ARG001 (numba calls intrinsics with a signature of its own)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np
import scipy.sparse as sp
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from structinit_core.linalg import pages

_WIDTHS = (16, 32, 64)
"""Columns of a tile: one row of a tile fits the vector registers as an accumulator."""
_CHUNKS = 256
"""Pieces of about equally many entries that threads take one after the other."""
_AHEAD = 24
"""Entries between asking for a row of the tile and using it."""
_LINE = 128
"""Bytes that one request brings: processors fetch cache lines in pairs."""

Array = NDArray[Any]


def multiply(matrix: sp.csr_array, block: Array) -> Array:
    """``matrix @ block``: (m, q), of the matrix's type; as :class:`Multiplier`, for one product."""
    return Multiplier(matrix, narrow=False)(block)


class Multiplier:
    """A CSR matrix made ready for products with many dense blocks.

    matrix: (m, n), float32 or float64, int32 or int64 indices, duplicates allowed; it must not
    change as long as this is used. With at most 65,536 columns ``narrow`` keeps a copy of the
    indices in 2 bytes, half of what a product reads them for: O(nnz) time and 2·nnz bytes.
    """

    def __init__(self, matrix: sp.csr_array, *, narrow: bool = True) -> None:
        self.shape = matrix.shape
        self._starts, self._indices, self._values = matrix.indptr, matrix.indices, matrix.data
        if narrow and self.shape[1] <= 1 << 16:
            self._indices = self._indices.astype(np.uint16)
        ends = np.linspace(0, self._starts[-1], _CHUNKS + 1).astype(np.int64)
        self._shares = np.searchsorted(self._starts, ends)
        self._shares[0], self._shares[-1] = 0, self.shape[0]

    def __call__(self, block: Array) -> Array:
        """The matrix times (n, q), converted to its type: (m, q).

        Every row is summed by one thread in stored order, so the result depends on neither
        threads nor q. Cost: nnz·q multiply-adds, q rounded up to 16, 32 or a multiple of 64;
        memory one tile of n·64. Source: ours (performance note 2).
        """
        (rows, columns), kind = self.shape, self._values.dtype
        if block.shape[0] != columns:
            raise ValueError(f"a block of {block.shape[0]} rows against {columns} columns")
        count = block.shape[1]
        product = pages.empty((rows, count), kind)
        for low in range(0, count, _WIDTHS[-1]):
            kept = min(count - low, _WIDTHS[-1])
            width = next(w for w in _WIDTHS if w >= kept)
            tile = pages.empty((columns, width), kind)
            tile[:, :kept] = block[:, low : low + kept]
            tile[:, kept:] = 0
            _multiply_tile(
                self._starts, self._indices, self._values, tile, product, low, kept, self._shares
            )
        return product


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def _sum_row(
    typing: Any,
    width: Any,
    data: Any,
    indices: Any,
    start: Any,
    stop: Any,
    limit: Any,
    tile: Any,
    out: Any,
    at: Any,
) -> tuple[Any, Callable[..., Any]]:
    """out[at : at+width] = Σ data[k]·tile[indices[k]] over start ≤ k < stop, in registers.

    LLVM keeps no accumulator array of numba's in registers (1-4 GFlop/s against 15-20), so
    the loop is written in its language. A narrow tile is summed by several accumulators in
    turn, which hides the latency of additions. Nothing after entry ``limit`` is asked for.
    """
    lanes = width.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, data_value, indices_value, first, last, final, tile_value, out_value, shift = arguments
        values, places, rows, target = (
            make_array(kind)(context, builder, value).data
            for kind, value in zip(
                (data, indices, tile, out),
                (data_value, indices_value, tile_value, out_value),
                strict=True,
            )
        )
        scalar, long = context.get_value_type(data.dtype), ir.IntType(64)
        vector, byte = ir.VectorType(scalar, lanes), ir.IntType(8).as_pointer()
        size = context.get_abi_sizeof(scalar)
        flag = ir.IntType(32)
        prefetch = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag]),
            "llvm.prefetch.p0",
        )
        fused = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(vector, [vector] * 3),
            f"llvm.fmuladd.v{lanes}f{8 * size}",
        )

        def row_of(entry: Any) -> Any:
            place = builder.load(builder.gep(places, [entry]))
            if place.type.width < 64:
                place = (builder.sext if indices.dtype.signed else builder.zext)(place, long)
            return builder.gep(rows, [builder.mul(place, ir.Constant(long, lanes))])

        def add(entry: Any, sums: Any) -> None:
            ahead = builder.add(entry, ir.Constant(long, _AHEAD))
            ahead = builder.select(builder.icmp_signed("<", ahead, final), ahead, final)
            soon = builder.bitcast(row_of(ahead), byte)
            for line in range(0, lanes * size, _LINE):
                at = builder.gep(soon, [ir.Constant(long, line)])
                builder.call(prefetch, [at, *(ir.Constant(flag, n) for n in (0, 3, 1))])
            row = builder.bitcast(row_of(entry), vector.as_pointer())
            one = builder.insert_element(
                ir.Constant(vector, ir.Undefined),
                builder.load(builder.gep(values, [entry])),
                ir.Constant(flag, 0),
            )
            weight = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(flag, lanes), None))
            terms = [weight, builder.load(row, align=size), builder.load(sums)]
            builder.store(builder.call(fused, terms), sums)

        step = max(1, _WIDTHS[-1] // lanes)
        partial = [cgutils.alloca_once(builder, vector) for _ in range(step)]
        for sums in partial:
            builder.store(ir.Constant(vector, None), sums)
        strides = builder.sdiv(builder.sub(last, first), ir.Constant(long, step))
        whole = builder.add(first, builder.mul(strides, ir.Constant(long, step)))
        with cgutils.for_range_slice(builder, first, whole, ir.Constant(long, step), long) as (
            k,
            _,
        ):
            for n, sums in enumerate(partial):
                add(builder.add(k, ir.Constant(long, n)), sums)
        with cgutils.for_range_slice(builder, whole, last, ir.Constant(long, 1), long) as (k, _):
            add(k, partial[0])
        result = builder.load(partial[0])
        for sums in partial[1:]:
            result = builder.fadd(result, builder.load(sums))
        builder.store(
            result, builder.bitcast(builder.gep(target, [shift]), vector.as_pointer()), align=size
        )
        return context.get_dummy_value()

    return types.void(
        width, data, indices, types.int64, types.int64, types.int64, tile, out, types.int64
    ), generate


@nb.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def _multiply_tile(
    indptr: Array,
    indices: Array,
    data: Array,
    tile: Array,
    product: Array,
    low: int,
    kept: int,
    shares: Array,
) -> None:
    """Columns ``low … low+kept`` of the product, from a tile of 16, 32 or 64 columns."""
    width, limit = tile.shape[1], np.int64(indices.shape[0] - 1)
    count, flat = product.shape[1], product.reshape(-1)
    for share in nb.prange(shares.shape[0] - 1):
        sums = np.empty(64, data.dtype)
        for row in range(shares[share], shares[share + 1]):
            start, stop = np.int64(indptr[row]), np.int64(indptr[row + 1])
            into, at = (flat, row * count + low) if kept == width else (sums, 0)
            if width == 16:
                _sum_row(16, data, indices, start, stop, limit, tile, into, at)
            elif width == 32:
                _sum_row(32, data, indices, start, stop, limit, tile, into, at)
            else:
                _sum_row(64, data, indices, start, stop, limit, tile, into, at)
            if kept != width:
                for column in range(kept):
                    product[row, low + column] = sums[column]
