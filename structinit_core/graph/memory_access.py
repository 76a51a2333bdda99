"""Eight bytes at a time, and memory asked for before it is needed (numba)."""

# ruff: noqa: ARG001 (numba calls intrinsics with a signature of its own)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array


@intrinsic  # type: ignore[untyped-decorator]
def word_at(typing: Any, data: Any, at: Any) -> tuple[Any, Callable[..., Any]]:
    """The eight bytes of uint8 ``data`` from ``at`` on as one uint64, wherever they lie."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        first = make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(first, [arguments[1]]), word.as_pointer())
        return builder.load(place, align=1)

    return types.uint64(data, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def ask_for(typing: Any, data: Any, at: Any) -> tuple[Any, Callable[..., Any]]:
    """Have the cache line of ``data[at]`` brought in; nothing if it is not there."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        prefetch = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag]),
            "llvm.prefetch.p0",
        )
        first = make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(first, [arguments[1]]), byte)
        builder.call(prefetch, [place, *(ir.Constant(flag, n) for n in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(data, types.int64), generate
