"""Untrusted text, such as a tensor's name, made safe to show."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text whose control characters, which a hostile name may hold, are shown and not obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
