"""Every number of a report as tables of its page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from structinit_core.diagnose.markup import Row, escaped, number, table
from structinit_core.diagnose.report import Check, Report

_TENSORS = "Checks of each tensor"


def report_tables(report: Report) -> Iterator[str]:
    """The checks of the whole, then those of places in the model, then a row a tensor.

    With a comparison both values stand side by side, and the difference of those of the whole.
    """
    compared = report.against is not None
    beside = ("against", "difference") if compared else ()
    yield table(
        "Checks of the whole",
        ("check", "value", *beside, "unit", "threshold", "verdict"),
        (_row(check, compared) for check in report.checks if check.tensor is None),
    )
    parts = {part.name for part in report.parts}
    titled: dict[str, list[Check]] = {}
    for check in report.checks:
        if check.tensor is not None and not check.name.startswith("threshold "):
            title = _TENSORS if check.tensor in parts else _title(check.tensor)
            titled.setdefault(title, []).append(check)
    for title in sorted(titled, key=lambda one: one == _TENSORS):
        yield _places(title, titled[title])


def _title(place: str) -> str:
    """What kind of place is not a tensor."""
    if "after " in place:
        return "Residual stream"
    if place.startswith("tokens seen "):
        return "Tokens by frequency"
    if place.startswith("layer ") or place in ("embed", "head"):
        return "Heads" if " head " in place else "Layers"
    return _TENSORS


def _row(check: Check, compared: bool) -> Row:
    verdict = "" if check.verdict == "info" else check.verdict
    mark = f'<span class="{verdict}">{verdict}</span>' if verdict else ""
    threshold = "" if check.threshold is None else number(check.threshold)
    beside = (number(check.against), _difference(check)) if compared else ()
    return escaped(check.name), (
        number(check.value),
        *beside,
        escaped(check.unit),
        threshold,
        mark,
    )


def _difference(check: Check) -> str:
    one, other = check.value, check.against
    if isinstance(one, int | float) and isinstance(other, int | float):
        return number(one - other)
    return "" if one == other or other is None else "changed"


def _places(title: str, checks: Iterable[Check]) -> str:
    """One row a place, one column a kind of check, in the order they came."""
    rows: dict[str, dict[str, Check]] = {}
    for check in checks:
        rows.setdefault(check.tensor or "", {})[check.name] = check
    columns = list(dict.fromkeys(name for found in rows.values() for name in found))
    return table(
        title,
        ("place" if title != _TENSORS else "tensor", *(escaped(name) for name in columns)),
        (
            (escaped(place), [_cell(found.get(name)) for name in columns])
            for place, found in rows.items()
        ),
    )


def _cell(check: Check | None) -> str:
    if check is None:
        return ""
    shown = number(check.value)
    if check.against is not None and check.against != check.value:
        shown += f" | {number(check.against)}"
    bad = check.verdict in ("fail", "warn")
    return f'<span class="{check.verdict}">{shown}</span>' if bad else shown
