"""Many long rows against a narrow block: their products and combinations at a core's full speed.

Gram-Schmidt of a 16-column block is nothing else. A BLAS first repacks the long rows, which
at 16 columns costs as much as the work itself.
"""

# ruff: noqa: ARG001 (numba calls intrinsics with a signature of its own)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

WIDTH = 16
"""Columns of a block."""
_HIGH = 8 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 4
"""Rows of a tile of sums: as many as the vector registers hold. It changes no bit."""
_DEEP, _MANY = 256, 128
"""Columns and rows worked on together: their part of the block stays in the nearest cache."""
_LONG, _FEW = 2048, 32
"""The same for combinations, which read a few entries of each row at a time."""
_AHEAD = 48
"""Entries between asking for a part of a row and using it."""

Floats = NDArray[np.float32]


def dots(rows: Floats, block: Floats) -> Floats:
    """``rows @ block``: float32 (m, 16), for C-ordered rows (m, n) and block (n, 16).

    Summed in pieces of 256; threads change no bit. Cost: 16·m·n multiply-adds. Source: ours.
    """
    found = np.zeros((len(rows), WIDTH), np.float32)
    _dots(rows, block.reshape(-1), found.reshape(-1))
    return found


def subtract(rows: Floats, weights: Floats, block: Floats) -> None:
    """``block −= rowsᵀ @ weights`` in place, arguments and cost as of :func:`dots`."""
    _combine(rows, -weights.reshape(-1), block.reshape(-1))


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def _add_tile(
    typing: Any,
    high: Any,
    long: Any,
    first: Any,
    down: Any,
    along: Any,
    steps: Any,
    block: Any,
    at: Any,
    out: Any,
    to: Any,
    ahead: Any,
) -> tuple[Any, Callable[..., Any]]:
    """out[to + 16·r + c] += Σ_t long[first + r·down + t·along]·block[at + 16·t + c], r < high.

    All sums stay in registers, which numba's own loops do not achieve. The entry ``ahead``
    of the first of each step is asked for, unless that is 0.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, long_value, first, down, along, steps, block_value, at, out_value, to, _ = arguments
        source, factors, target = (
            make_array(kind)(context, builder, value).data
            for kind, value in ((long, long_value), (block, block_value), (out, out_value))
        )
        count, whole = ir.IntType(32), ir.IntType(64)
        vector, byte = ir.VectorType(ir.FloatType(), WIDTH), ir.IntType(8).as_pointer()
        fused = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{WIDTH}f32"
        )
        prefetch = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, count, count, count]),
            "llvm.prefetch.p0",
        )

        def part(array: Any, entry: Any) -> Any:
            return builder.bitcast(builder.gep(array, [entry]), vector.as_pointer())

        sums = [cgutils.alloca_once(builder, vector) for _ in range(high.literal_value)]
        for total in sums:
            builder.store(ir.Constant(vector, None), total)
        with cgutils.for_range(builder, steps, intp=whole) as loop:
            here = builder.add(first, builder.mul(loop.index, along))
            place = builder.add(at, builder.mul(loop.index, ir.Constant(whole, WIDTH)))
            row = builder.load(part(factors, place), align=4)
            if ahead.literal_value:
                soon = builder.add(here, ir.Constant(whole, ahead.literal_value))
                soon = builder.bitcast(builder.gep(source, [soon]), byte)
                builder.call(prefetch, [soon, *(ir.Constant(count, n) for n in (0, 3, 1))])
            for n, total in enumerate(sums):
                entry = builder.add(here, builder.mul(down, ir.Constant(whole, n)))
                one = builder.insert_element(
                    ir.Constant(vector, ir.Undefined),
                    builder.load(builder.gep(source, [entry])),
                    ir.Constant(count, 0),
                )
                spread = ir.Constant(ir.VectorType(count, WIDTH), None)
                factor = builder.shuffle_vector(one, one, spread)
                builder.store(builder.call(fused, [factor, row, builder.load(total)]), total)
        for n, total in enumerate(sums):
            place = part(target, builder.add(to, ir.Constant(whole, n * WIDTH)))
            added = builder.fadd(builder.load(place, align=4), builder.load(total))
            builder.store(added, place, align=4)
        return context.get_dummy_value()

    number = types.int64
    signature = types.void(
        high, long, number, number, number, number, block, number, out, number, ahead
    )
    return signature, generate


@nb.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def _dots(rows: Floats, block: Floats, out: Floats) -> None:
    count, length = rows.shape
    long = rows.reshape(-1)
    for share in nb.prange((count + _MANY - 1) // _MANY):
        start, stop = share * _MANY, min(count, share * _MANY + _MANY)
        tiles = start + (stop - start) // _HIGH * _HIGH
        for k in range(0, length, _DEEP):
            steps = min(_DEEP, length - k)
            for i in range(start, tiles, _HIGH):
                _add_tile(
                    _HIGH, long, i * length + k, length, 1, steps, block, k * 16, out, i * 16, 0
                )
            for i in range(tiles, stop):
                _add_tile(1, long, i * length + k, length, 1, steps, block, k * 16, out, i * 16, 0)


@nb.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def _combine(rows: Floats, weights: Floats, out: Floats) -> None:
    count, length = rows.shape
    long = rows.reshape(-1)
    for share in nb.prange((length + _LONG - 1) // _LONG):
        start, stop = share * _LONG, min(length, share * _LONG + _LONG)
        tiles = start + (stop - start) // _HIGH * _HIGH
        for i in range(0, count, _FEW):
            steps, at = min(_FEW, count - i), i * length
            for k in range(start, tiles, _HIGH):
                _add_tile(
                    _HIGH, long, at + k, 1, length, steps, weights, i * 16, out, k * 16, _AHEAD
                )
            for k in range(tiles, stop):
                _add_tile(1, long, at + k, 1, length, steps, weights, i * 16, out, k * 16, 0)
