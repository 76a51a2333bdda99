"""Initializers: (blueprint, sources) to a stream of (tensor spec, tensor)."""

from structinit_core.initializers.stream import Compiled, compiled_stream

__all__ = ["Compiled", "compiled_stream"]
