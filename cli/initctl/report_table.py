"""A report on a terminal: the whole, findings worst first, one row for each kind of tensor."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console

from initctl.console import safe
from structinit_core.printable import shown

if TYPE_CHECKING:
    from structinit_core.diagnose import Check, Report

_STEP_0 = ("activation_mean", "activation_variance", "attention_entropy", "loss.bucket")
_BESIDE = ("rms", "spectral_norm", "stable_rank", "gradient_norm")
"""Columns that a comparison shows of both checkpoints, with those at step 0."""
_STATIC: dict[str, tuple[str, ...]] = {
    "values": ("shape", "dtype", "rms", "zeros", "gradient_norm"),
    "spectra": (
        *("spectral_norm", "stable_rank", "condition", "orthogonality_error"),
        *("num_spikes", "alpha_flag", "alpha"),
    ),
    "rows and heads": (
        *("anisotropy", "norm_by_frequency", "k0_cosine", "k0_cosine.untrained"),
        *("qk_alignment", "heads.qk_diversity", "heads.ov_diversity"),
    ),
    "at step 0": _STEP_0,
}
_COMPARED: dict[str, tuple[str, ...]] = {
    "tensors": ("shape", "difference", "cosine", *_BESIDE),
    "at step 0": _STEP_0,
}
"""Columns of each table."""
_HEADS = {"orthogonality_error": "orth. error", "alpha_flag": "tail", "num_spikes": "spikes"}
_MOST_FINDINGS = 20
_MOST_ROWS = 60
_SEVERITY = {"fail": 0, "warn": 1}
_COLOURS = {"fail": "red", "warn": "yellow", "ok": "green"}


def show_report(console: Console, report: Report, seconds: dict[str, float] | None = None) -> None:
    """A report as tables that stay short: tensors alike but for the numbers in their names are one.

    Numbers of such a group are its range. Failures and warnings of tensors come first, at most
    20 of them, then groups, those with a finding first.
    """
    from rich.table import Table

    title = report.subject + (f" against {report.against}" if report.against else "")
    compared = any(check.against is not None for check in report.checks if check.tensor is None)
    whole = Table(title=safe(title), title_justify="left")
    for name in ("check", "value", *(["against"] if compared else []), "unit", "verdict"):
        whole.add_column(name, justify="right" if name in ("value", "against") else "left")
    for check in report.checks:
        if check.tensor is None or check.name.startswith("threshold "):
            value = _number(check.value) + (f" ({safe(check.tensor)})" if check.tensor else "")
            beside = [_number(check.against)] if compared else []
            whole.add_row(safe(check.name), value, *beside, safe(check.unit), _mark(check.verdict))
    for name, spent in (seconds or {}).items():
        whole.add_row(f"seconds.{safe(name)}", f"{spent:.1f}", *([""] if compared else []), "s", "")
    console.print(whole)
    of_tensors = [check for check in report.checks if check.tensor is not None]
    _show_findings(console, of_tensors)
    _show_groups(console, of_tensors, _COMPARED if report.against else _STATIC)
    for note in report.notes:
        console.print(f"- {safe(note)}", soft_wrap=True)


def _show_findings(console: Console, checks: Iterable[Check]) -> None:
    from rich.table import Table

    found = sorted(
        (check for check in checks if check.verdict in _SEVERITY),
        key=lambda check: _SEVERITY[check.verdict],
    )
    if not found:
        return
    table = Table("verdict", "tensor", "check", "value", "threshold")
    for check in found[:_MOST_FINDINGS]:
        table.add_row(
            _mark(check.verdict),
            safe(check.tensor or ""),
            safe(check.name),
            _number(check.value),
            "" if check.threshold is None else _number(check.threshold),
        )
    console.print(table)
    if len(found) > _MOST_FINDINGS:
        console.print(f"- {len(found) - _MOST_FINDINGS:,} more of these; --json lists all")


def _show_groups(
    console: Console, checks: Iterable[Check], tables: dict[str, tuple[str, ...]]
) -> None:
    from rich.table import Table

    groups: dict[str, dict[str, list[Check]]] = {}
    for check in checks:
        kind = re.sub(r"\d+", "*", check.tensor or "")
        groups.setdefault(kind, {}).setdefault(check.name, []).append(check)
    ordered = sorted(groups.items(), key=lambda group: _worst(group[1]))
    names = dict.fromkeys(name for found in groups.values() for name in found)
    if not any(name in columns for name in names for columns in tables.values()):
        tables = {"layers": tuple(names)}
    for title, columns in tables.items():
        rows = [(kind, found) for kind, found in ordered if any(map(found.get, columns))]
        present = [name for name in columns if any(name in found for _, found in rows)]
        if not rows:
            continue
        table = Table(title=title, title_justify="left")
        table.add_column("tensor", overflow="fold")
        table.add_column("", justify="right")
        for name in present:
            table.add_column(_HEADS.get(name, name))
        for kind, found in rows[:_MOST_ROWS]:
            alike = {check.tensor or "" for some in found.values() for check in some}
            shown_name = safe(alike.pop() if len(alike) == 1 else kind)
            count = str(max(len(some) for some in found.values()))
            table.add_row(shown_name, count, *(_cell(found.get(name, [])) for name in present))
        console.print(table)
        if len(rows) > _MOST_ROWS:
            console.print(f"- {len(rows) - _MOST_ROWS:,} more kinds of tensors; --json lists all")


def _worst(found: dict[str, list[Check]]) -> int:
    return min(_SEVERITY.get(check.verdict, 2) for checks in found.values() for check in checks)


def _cell(checks: list[Check]) -> str:
    """The range of a group's values, and of what they are compared with."""
    mine = _range([check.value for check in checks])
    if (
        checks
        and checks[0].name in (*_BESIDE, *_STEP_0)
        and any(c.against is not None for c in checks)
    ):
        return f"{mine} | {_range([check.against for check in checks])}"
    return mine


def _range(values: list[float | int | str | None]) -> str:
    numbers = [value for value in values if isinstance(value, int | float)]
    if numbers:
        low, high = (f"{pick(numbers):.3g}" for pick in (min, max))
        return low if low == high else f"{low}…{high}"
    texts = Counter(value for value in values if isinstance(value, str)).most_common()
    if not texts:
        return "-" if values else ""
    first, count = texts[0]
    return safe(first) + (f" ({count} of {len(values)})" if len(texts) > 1 else "")


def _mark(verdict: str) -> str:
    return "" if verdict == "info" else f"[{_COLOURS[verdict]}]{verdict}[/]"


def _number(value: Any) -> str:
    return "-" if value is None else safe(shown(value))
