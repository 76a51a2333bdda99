"""Values and untrusted text, such as a tensor's name, made fit to show."""

from __future__ import annotations

_LONGEST_NAME = 80


def printable(text: str) -> str:
    """Text whose control characters, which a hostile name may hold, are shown and not obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str) -> str:
    """A name that may be of any length, in at most 80 characters."""
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


def shown(value: float | int | str) -> str:
    """A value as tables show it: four decimals where they say something, thousands apart."""
    if isinstance(value, float):
        return f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value
