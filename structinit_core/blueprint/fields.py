"""Checked reading of a config's fields: sizes bounded before anything is allocated."""

from __future__ import annotations

from typing import Any

from structinit_core.errors import IncompatibleError, LimitError

MAX_SIZE = 1 << 24
"""No single dimension of a supported model is larger."""
MAX_LAYERS = 1 << 12
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu", "swish")
"""Each has g(u) − g(−u) = u, so a pair of units is exactly linear."""


def size(
    config: dict[str, Any], name: str, default: int | None = None, limit: int = MAX_SIZE
) -> int:
    """A positive integer field.

    Raises:
        IncompatibleError: missing without a default, or not a positive integer.
        LimitError: above ``limit``.
    """
    value = config.get(name)
    if value is None:
        if default is None:
            raise IncompatibleError(f"config: {name!r} is missing")
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise IncompatibleError(f"config: {name!r} must be a positive integer, not {value!r}")
    if value > limit:
        raise LimitError(f"config: {name!r} is {value}, more than {limit}")
    return value


def number(config: dict[str, Any], name: str, default: float) -> float:
    """A finite number ≥ 0.

    Raises:
        IncompatibleError: anything else.
    """
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e30:
        raise IncompatibleError(f"config: {name!r} must be a number, not {value!r}")
    return float(value)


def flag(config: dict[str, Any], name: str, default: bool) -> bool:
    """A boolean field.

    Raises:
        IncompatibleError: anything else.
    """
    value = config.get(name, default)
    if not isinstance(value, bool):
        raise IncompatibleError(f"config: {name!r} must be true or false, not {value!r}")
    return value


def choice(config: dict[str, Any], name: str, allowed: tuple[str, ...], default: str) -> str:
    """One of a few strings.

    Raises:
        IncompatibleError: anything else.
    """
    value = config.get(name, default)
    if value not in allowed:
        raise IncompatibleError(f"config: {name!r} is {value!r}, supported: {', '.join(allowed)}")
    return str(value)


def without_aliases(config: dict[str, Any], aliases: dict[str, str]) -> dict[str, Any]:
    """The config with every alias under the family's own name, as transformers reads it.

    Raises:
        IncompatibleError: alias and name are both there and disagree.
    """
    plain = dict(config)
    for alias, name in aliases.items():
        if alias not in plain:
            continue
        value = plain.pop(alias)
        if plain.setdefault(name, value) != value:
            raise IncompatibleError(
                f"config: {alias!r} is {value!r} and {name!r} is {plain[name]!r}",
                hint="they mean the same; keep one",
            )
    return plain
