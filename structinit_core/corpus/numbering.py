"""Distinct pre-tokens numbered in a hash table (numba), and their ids put in the text's order."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from structinit_core.corpus.pretokens import pretoken_end

LONGEST = 512
"""Bytes: a longer pre-token is not kept in a table."""
DONE, FLUSH, FULL, LOOSE, UNKNOWN = range(5)
"""Why :func:`number_pretokens` returned; see there."""
PLACE_FIELDS = 6
POSITION, DOCUMENT, BEGUN, ENTRIES, REFERENCES, STOP = range(PLACE_FIELDS)
"""Fields of the place where :func:`number_pretokens` goes on, int64."""
BEGIN, END = 0, 1
"""Entries that stand for the border of a document, never for a text."""
_PROBES = 64


class Table(NamedTuple):
    """Distinct pre-tokens: entry ``e`` is ``keys[starts[e]:starts[e + 1]]``.

    slots: int32, a power of two, -1 where empty. hashes: uint64 and starts: int64, by entry.
    keys: uint8. Entries begin at 2, see :data:`BEGIN`.
    """

    slots: NDArray[np.int32]
    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    keys: NDArray[np.uint8]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find(data: NDArray[Any], begin: Any, stop: Any, table: Table, number: Any) -> tuple[Any, Any]:
    """The entry of a pre-token and its slot; entry -1: not there; slot -1: the slots are crowded.

    An entry that is not there has its hash left at ``table.hashes[number]``.
    """
    mark = np.uint64(0x9E3779B97F4A7C15)
    for at in range(begin, stop):
        mark = (mark ^ np.uint64(data[at])) * np.uint64(0xD6E8FEB86659FD93)
    mark ^= mark >> np.uint64(32)
    mask = np.int64(table.slots.size - 1)
    slot = np.int64(mark & np.uint64(mask))
    for _ in range(_PROBES):
        entry = table.slots[slot]
        if entry < 0:
            table.hashes[number] = mark
            return -1, slot
        if table.hashes[entry] == mark:
            key = table.starts[entry]
            if table.starts[entry + 1] - key == stop - begin:
                same = 0
                while same < stop - begin and table.keys[key + same] == data[begin + same]:
                    same += 1
                if same == stop - begin:
                    return np.int64(entry), slot
        slot = (slot + 1) & mask
    return -1, -1


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def number_pretokens(
    data: NDArray[Any],
    ends: NDArray[np.int64],
    place: NDArray[np.int64],
    classes: NDArray[np.uint8],
    table: Table,
    references: NDArray[np.int32],
    finished: NDArray[np.int64],
) -> int:
    """Write the entries of the pre-tokens of documents that stop at ``ends`` to ``references``.

    New pre-tokens become entries of ``table``. A document is framed by :data:`BEGIN` and
    :data:`END`; ``finished`` says how many references were written when it ended. Returned is
    why it stopped: DONE; FLUSH, no room for references; FULL, none for an entry; LOOSE, the
    pre-token up to ``place[STOP]`` is not for the table; UNKNOWN, ask the class of the
    character at ``place[STOP]``. Cost: a few nanoseconds a byte.
    """
    position, written, entries = place[POSITION], place[REFERENCES], place[ENTRIES]
    why = DONE
    while place[DOCUMENT] < ends.size and why == DONE:
        end = ends[place[DOCUMENT]]
        if written + 2 > references.size:
            why = FLUSH
            break
        if place[BEGUN] == 0:
            references[written] = BEGIN
            written += 1
            place[BEGUN] = 1
        while position < end:
            if written + 1 >= references.size:
                why = FLUSH
                break
            stop = pretoken_end(data, position, end, classes)
            if stop < 0:
                place[STOP] = -stop - 1
                why = UNKNOWN
                break
            place[STOP] = stop
            if stop - position > LONGEST:
                why = LOOSE
                break
            if entries == table.hashes.size:
                why = FULL
                break
            entry, slot = _find(data, position, stop, table, entries)
            if slot < 0:
                why = LOOSE
                break
            if entry < 0:
                key = table.starts[entries]
                if key + stop - position > table.keys.size:
                    why = FULL
                    break
                table.keys[key : key + stop - position] = data[position:stop]
                table.starts[entries + 1] = key + stop - position
                table.slots[slot] = entries
                entry = entries
                entries += 1
            references[written] = entry
            written += 1
            position = stop
        if why == DONE:
            references[written] = END
            written += 1
            finished[place[DOCUMENT]] = written
            place[DOCUMENT] += 1
            place[BEGUN] = 0
    place[POSITION], place[REFERENCES], place[ENTRIES] = position, written, entries
    return why


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def gather(
    references: NDArray[np.int32], starts: NDArray[np.int64], ids: NDArray[np.uint32]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The ids of the entries in order, and where those of each begin: int64 (n + 1,).

    Entry ``e`` has ``ids[starts[e]:starts[e + 1]]``.
    """
    begins = np.zeros(references.size + 1, np.int64)
    for at in range(references.size):
        entry = references[at]
        begins[at + 1] = begins[at] + starts[entry + 1] - starts[entry]
    found = np.empty(begins[-1], np.uint32)
    for at in range(references.size):
        start = starts[references[at]]
        for offset in range(begins[at + 1] - begins[at]):
            found[begins[at] + offset] = ids[start + offset]
    return found, begins
