"""Which field of a file is which column of a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from structinit_core.errors import InputError, UsageError
from structinit_core.printable import printable

ALIASES = {
    "neuron": ("neuron",),
    "from": ("from", "particle_from", "source", "subject", "head"),
    "to": ("to", "particle_to", "target", "object", "tail"),
    "relation": ("relation", "type", "semcon", "predicate"),
    "amount": ("amount", "weight"),
    "rating": ("rating", "evaluation"),
    "valence": ("valence",),
    "height": ("height",),
    "timestamp": ("timestamp",),
}
"""Columns of a link and the names they are known by, in any case."""
TRIPLE = ("from", "relation", "to")
"""The columns of a file of three fields and no header."""
_HINT = "name the columns, such as from=COLUMN and to=COLUMN"


@dataclass(frozen=True)
class Layout:
    """``fields``: how many a row has; ``places``: the field of each column that is there."""

    fields: int
    places: Mapping[str, int]
    header: bool

    def __contains__(self, column: str) -> bool:
        return column in self.places


def check_columns(columns: Mapping[str, str]) -> None:
    """Refuse a mapping of columns that no file could have.

    Raises:
        UsageError: a column this program does not know.
    """
    for column in columns:
        if column not in ALIASES:
            raise UsageError(
                f"{printable(column)!r} is no column of a link", hint=f"one of {', '.join(ALIASES)}"
            )


def layout_of(
    first: Sequence[str], columns: Mapping[str, str], where: str, *, named: bool = False
) -> Layout:
    """The layout of a file whose first row, or list of names if ``named``, is ``first``.

    ``columns`` says which field is which column and goes before what names say; a column
    mapped to "" is left out. Mapped to numbers from 1 on, which are no names of the first row,
    the file has no header; nor has it where there are three fields and none is known as ``from``
    or ``to``.

    Raises:
        InputError: no field for ``from`` or ``to``, one that is not there, two for a column.
    """
    names = [name.strip().casefold() for name in first]
    given = {column: name for column, name in columns.items() if name}
    numbers = [name for name in given.values() if name.isascii() and name.isdecimal()]
    if given and not named and len(numbers) == len(given) and not set(numbers) & set(names):
        return _checked(
            Layout(len(first), {column: int(name) - 1 for column, name in given.items()}, False),
            where,
        )
    places: dict[str, int] = {}
    for column, name in given.items():
        found = [at for at, known in enumerate(names) if known == name.strip().casefold()]
        places[column] = _only(found, name, names, where)
    taken = set(places.values())
    for column in (name for name in ALIASES if name not in columns):
        found = [at for at, name in enumerate(names) if name in ALIASES[column]]
        if free := [at for at in found if at not in taken]:
            places[column] = _only(free, column, names, where)
    headless = not columns and not named and not places.keys() & {"from", "to"}
    if headless and len(first) == len(TRIPLE):
        return Layout(len(first), {column: at for at, column in enumerate(TRIPLE)}, False)
    return _checked(Layout(len(first), places, True), where)


def _only(found: Sequence[int], wanted: str, names: Sequence[str], where: str) -> int:
    if len(found) == 1:
        return found[0]
    listed = ", ".join(repr(printable(name[:40])) for name in names[:8])
    what = "there is no column" if not found else f"there are {len(found)} columns for"
    raise InputError(f"{what} {printable(wanted)!r} (found: {listed})", where=where, hint=_HINT)


def _checked(layout: Layout, where: str) -> Layout:
    if outside := [at for at in layout.places.values() if not 0 <= at < layout.fields]:
        raise InputError(
            f"there is no column {outside[0] + 1} of {layout.fields}", where=where, hint=_HINT
        )
    if missing := [column for column in ("from", "to") if column not in layout]:
        raise InputError(
            f"{layout.fields} columns, and none is known as {' or '.join(map(repr, missing))}",
            where=where,
            hint=_HINT,
        )
    if "rating" in layout and ("amount" in layout or "valence" in layout):
        raise InputError(
            "a rating holds both amount and valence, and there is another column for these",
            where=where,
            hint="leave one out, such as rating=",
        )
    return layout
