"""GPT-2's pre-tokens cut out of UTF-8 bytes (numba), as the library itself cuts them."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray
from tokenizers import pre_tokenizers

LETTER, NUMBER, SPACE, OTHER = 1, 2, 3, 4
"""Classes of a code point in the pattern: ``\\p{L}``, ``\\p{N}``, ``\\s``, none; 0: not asked."""
_BLOCK = 256


class CharacterClasses:
    """The class of every code point, as the library itself cuts: asked when first met.

    ``table``: uint8 (0x110000,). A block of 256 code points costs under a millisecond.
    """

    def __init__(self, split: pre_tokenizers.PreTokenizer) -> None:
        self._split = split
        self.table = np.zeros(0x110000, np.uint8)
        self.ask(0)

    def ask(self, code_point: int) -> None:
        """Fill in the block that holds ``code_point``."""
        begin = code_point // _BLOCK * _BLOCK
        for code in range(begin, begin + _BLOCK):
            if not 0xD800 <= code < 0xE000:
                self.table[code] = self._class(chr(code))

    def _class(self, character: str) -> int:
        for neighbour, kind in (("a", LETTER), ("1", NUMBER), ("!", OTHER)):
            if len(self._split.pre_tokenize_str(neighbour + character)) == 1:
                return kind
        return SPACE


@nb.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _look(data: NDArray[Any], at: Any, classes: NDArray[np.uint8]) -> tuple[Any, Any]:
    """The class of the character at ``at``, and where the next one begins."""
    byte = np.int64(data[at])
    if byte < 0x80:
        return np.int64(classes[byte]), at + 1
    if byte < 0xE0:
        code = (byte & 0x1F) << 6 | (data[at + 1] & 0x3F)
        return np.int64(classes[code]), at + 2
    if byte < 0xF0:
        code = (byte & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F)
        return np.int64(classes[code]), at + 3
    code = (byte & 0x07) << 18 | (data[at + 1] & 0x3F) << 12
    code |= (data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F)
    return np.int64(classes[code]), at + 4


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def pretoken_end(data: NDArray[Any], begin: Any, end: Any, classes: NDArray[np.uint8]) -> Any:
    r"""Where the pre-token that begins at ``begin`` stops, in a document that stops at ``end``.

    Where a character's class has not been asked, minus one minus its position. The pattern:
    ``'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+``.
    """
    kind, at = _look(data, begin, classes)
    if kind == 0:
        return -begin - 1
    if data[begin] == 0x20 and at < end:
        following, after = _look(data, at, classes)
        if following == 0:
            return -at - 1
        if following != SPACE:
            kind, at = following, after
    elif data[begin] == 0x27 and at < end:
        first = data[at]
        if first == 0x73 or first == 0x74 or first == 0x6D or first == 0x64:  # s t m d
            return at + 1
        if at + 1 < end:
            second = data[at + 1]
            if second == 0x65 and (first == 0x72 or first == 0x76):  # re ve
                return at + 2
            if second == 0x6C and first == 0x6C:  # ll
                return at + 2
    last = begin
    while at < end:
        following, after = _look(data, at, classes)
        if following == 0:
            return -at - 1
        if following != kind:
            # white space before a word leaves its last character, which may belong to the word
            return last if kind == SPACE and last > begin else at
        last, at = at, after
    return end


def cut_pretokens(text: str, classes: CharacterClasses) -> list[str]:
    """The pre-tokens of ``text``, cut as a whole document."""
    data = np.frombuffer(text.encode(), np.uint8)
    parts, begin = [], 0
    while begin < len(data):
        stop = pretoken_end(data, begin, len(data), classes.table)
        if stop < 0:
            classes.ask(character_at(data, -stop - 1))
        else:
            parts.append(data[begin:stop].tobytes().decode())
            begin = stop
    return parts


def character_at(data: NDArray[Any], at: int) -> int:
    """The code point whose UTF-8 bytes begin at ``at``."""
    return ord(data[at : at + 4].tobytes().decode(errors="ignore")[0])
