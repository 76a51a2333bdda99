"""A race on a terminal: one row an arm, what it means in words, and what counting scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from initctl.console import safe

if TYPE_CHECKING:
    from rich.table import Table

    from structinit_core.race.result import ArmResult, Arrival, Estimate, RaceResult

_ANY_WIDTH = 10_000
_SHORTEST = 10
_MARKS = {"diverged": "red", "unfinished": "yellow"}

Column = tuple[str, list[str]]
"""A title and one text an arm."""


def show_race(console: Console, result: RaceResult) -> None:
    """One table of all arms, or several where the terminal is narrow; verdicts; references."""
    if not result.complete:
        said = "not complete: runs are missing, and every number may still change"
        console.print(f"[yellow]{said}[/]", soft_wrap=True)
    names = [safe(arm.name) for arm in result.arms]
    for table in _tables(console, names, [*_losses(result), *_outcome(result)]):
        console.print(table)
    for name, arm in zip(names, result.arms, strict=True):
        console.print(f"- [bold]{name}[/]: {safe(arm.verdict)}", soft_wrap=True)
    if (given := result.references) is not None:
        console.print(
            f"counting scores: uniform {given.uniform:.3f}, unigram {given.unigram:.3f}, "
            f"KN-2 {given.kn2:.3f}, KN-3 {given.kn3:.3f} nats on {given.tokens:,} tokens",
            soft_wrap=True,
        )
    for note in result.notes:
        console.print(f"- {safe(note)}", soft_wrap=True)


def _tables(console: Console, names: Sequence[str], columns: Sequence[Column]) -> Iterator[Table]:
    """As many columns side by side as fit, each table with the names: no number is folded."""
    unbounded = console.options.update(max_width=_ANY_WIDTH)
    longest = max(_SHORTEST, console.width // 3)
    fitting: list[Column] = []
    for column in columns:
        wider = _table(names, [*fitting, column], longest)
        if fitting and console.measure(wider, options=unbounded).maximum > console.width:
            yield _table(names, fitting, longest)
            fitting = []
        fitting.append(column)
    yield _table(names, fitting, longest)


def _table(names: Sequence[str], columns: Sequence[Column], longest: int) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("arm", overflow="fold", min_width=_SHORTEST, max_width=longest)
    for title, _ in columns:
        table.add_column(title, justify="right", overflow="fold")
    for i, name in enumerate(names):
        table.add_row(name, *(cells[i] for _, cells in columns))
    return table


def _losses(result: RaceResult) -> list[Column]:
    from structinit_core.race.wording import shares, step_zero

    arms = result.arms
    columns = [
        ("rate", [_rate(arm) for arm in arms]),
        ("step 0", [_loss(step_zero(arm)) for arm in arms]),
    ]
    for share in shares(arms):
        found = [next((m for m in arm.milestones if m.share == share), None) for arm in arms]
        losses = [_loss(one.loss.mean if one else None) for one in found]
        columns.append((f"{100 * share:.4g} %", losses))
    return columns


def _loss(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.3f}"


def _outcome(result: RaceResult) -> list[Column]:
    from structinit_core.race.wording import count_text, difference_text

    arms, target = result.arms, _end(result)
    arrived = [next((a for a in arm.arrivals if a.target == target), None) for arm in arms]
    return [
        ("Δ end", [_around(arm.final_difference, difference_text) for arm in arms]),
        ("s to base's end", [_seconds(one) for one in arrived]),
        ("s saved", [_around(arm.seconds_saved, count_text) for arm in arms]),
        ("status", [_status(arm) for arm in arms]),
    ]


def _end(result: RaceResult) -> str | None:
    """The name of the target that is the baseline's loss at its end."""
    ends = [a.curve.mean[-1] for a in result.arms if a.name == result.baseline and a.curve]
    found = (t.name for t in result.targets for end in ends if math.isclose(t.loss, end))
    return next(found, None)


def _seconds(arrival: Arrival | None) -> str:
    from structinit_core.race.wording import count_text

    if arrival is None or not arrival.seeds:
        return "-"
    if not arrival.reached:
        return "never"
    seconds = count_text(arrival.seconds.mean) if arrival.seconds else "?"
    some = f" ({arrival.reached} of {arrival.seeds})" if arrival.reached < arrival.seeds else ""
    return f"{seconds}{some}"


def _around(estimate: Estimate | None, form: Callable[[float], str]) -> str:
    from structinit_core.race.wording import interval

    return safe(" ".join(interval(estimate, form)).strip()) if estimate else "-"


def _rate(arm: ArmResult) -> str:
    return "-" if arm.learning_rate is None else f"{arm.learning_rate:g}"


def _status(arm: ArmResult) -> str:
    fallen = len(arm.diverged_seeds) if arm.status != "diverged" else 0
    text = f"{arm.status}, {fallen} diverged" if fallen else arm.status
    colour = _MARKS.get(arm.status)
    return f"[{colour}]{text}[/]" if colour else text
