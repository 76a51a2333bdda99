"""Every number of a race as tables of its page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from structinit_core.diagnose.bars import Bar, bar_chart
from structinit_core.diagnose.losses import seen
from structinit_core.diagnose.markup import Row, escaped, figure, number, section, table
from structinit_core.race.result import ArmResult, Estimate, Milestone, RaceResult
from structinit_core.race.wording import (
    count_text,
    difference_text,
    interval,
    loss_text,
    many,
    shares,
    step_zero,
)

_WHEN = ("before training", "at the end")
_LONGEST = 2000


def _milestones(arm: ArmResult) -> dict[float, Milestone]:
    return {milestone.share: milestone for milestone in arm.milestones}


def arm_table(result: RaceResult) -> str:
    """Every arm with its losses, what it saved and what it cost."""
    parts = shares(result.arms)
    head = ["start", "status", "at the end, to baseline", "seconds saved", "rate", "step 0"]
    head += [f"{100 * share:.4g} %" for share in parts]
    head += ["making it, s", "step, s", "lead lost at step", "made from"]

    def row(arm: ArmResult) -> Iterator[str]:
        found = _milestones(arm)
        fallen = f", {many(len(arm.diverged_seeds), 'seed')} diverged"
        yield arm.status + (fallen if arm.diverged_seeds and arm.status != "diverged" else "")
        yield _cell(arm.final_difference, difference_text)
        yield _cell(arm.seconds_saved, count_text)
        yield "–" if arm.learning_rate is None else f"{arm.learning_rate:g}"
        yield "–" if (before := step_zero(arm)) is None else loss_text(before)
        for share in parts:
            yield _cell(found[share].loss if share in found else None, loss_text)
        yield from (number(seconds) for seconds in (arm.start_seconds, arm.step_seconds))
        yield number(arm.crossover_step)
        yield escaped(arm.source)

    return table("All starts", head, ((name, [*row(arm)]) for name, arm in _names(result.arms)))


def difference_table(result: RaceResult) -> str:
    """Paired differences along the way, where an early lead shows."""
    parts = shares(result.arms)
    rows: list[Row] = []
    for name, arm in _names(result.arms):
        given = {share: one.difference for share, one in _milestones(arm).items()}
        if any(given.values()):
            rows.append((name, [_cell(given.get(share), difference_text) for share in parts]))
    head = ["start", *(f"after {100 * share:.4g} %" for share in parts)]
    return table("Difference to the baseline on the way, nats", head, rows)


def target_table(result: RaceResult) -> str:
    """Steps and seconds to each target, an arm a row."""
    losses = {target.name: target.loss for target in result.targets}
    rows: list[Row] = []
    for target, loss in losses.items():
        for name, arm in _names(result.arms):
            for found in arm.arrivals:
                if found.target == target:
                    some = f"{found.reached} of {found.seeds}" if found.reached else "never"
                    when = (_cell(found.steps, count_text), _cell(found.seconds, count_text))
                    shown = when if found.reached else ("–", "–")
                    rows.append((escaped(target), (loss_text(loss), name, some, *shown)))
    head = ("target", "loss", "start", "seeds that reached it", "steps", "seconds")
    return table("Steps and seconds to a loss", head, rows)


def gradient_bars(arms: Sequence[ArmResult]) -> str:
    """Gradient norms of the first step, a picture an arm."""
    pictures = []
    for name, arm in _names(arms):
        largest = max(arm.gradient_norms.values(), default=0.0)
        digits = max(3, 2 - math.floor(math.log10(largest))) if largest > 0 else 3
        bars = [Bar(layer, norm) for layer, norm in arm.gradient_norms.items()]
        what = f"Gradient norm of {arm.name}"
        chart = bar_chart(bars, what=what, unit="by layer", digits=min(digits, 12))
        pictures.append(figure(chart, name))
    drawn = "\n".join(picture for picture in pictures if picture)
    said = "Of the first step, before clipping. Each start has a scale of its own."
    return section(
        "Gradient norm by layer",
        f'<p class="soft">{said}</p>\n<div class="small">{drawn}</div>' if drawn else "",
    )


def bucket_table(arms: Sequence[ArmResult]) -> str:
    """One row a bucket, one column an arm."""
    found = {
        name: {(change.start.low, change.start.high): change for change in arm.buckets}
        for name, arm in _names(arms)
        if arm.buckets
    }
    tokens = {place: c.start.tokens for changes in found.values() for place, c in changes.items()}

    def cell(changes: Mapping[Any, Any], place: tuple[int, int | None]) -> str:
        change = changes.get(place)
        return f"{change.start.loss:.3f} → {change.end.loss:.3f}" if change else "–"

    rows = [
        (seen(*place), [number(count), *(cell(changes, place) for changes in found.values())])
        for place, count in sorted(tokens.items(), key=lambda item: item[0][0])
    ]
    head = ("seen in training", "held-out tokens", *found)
    return table("Loss by how often a token was seen, start → end", head, rows)


def induction_table(arms: Sequence[ArmResult]) -> str:
    """Losses on sequences written twice, before and after."""
    rows: list[Row] = []
    for name, arm in _names(arms):
        for when, found in zip(_WHEN, (arm.induction_start, arm.induction_end), strict=True):
            if found is not None:
                gain = difference_text(found.second - found.first)
                halves = (loss_text(found.first), loss_text(found.second))
                rows.append((name, (when, *halves, gain)))
    head = ("start", "when", "first half", "its repetition", "difference")
    return table("Loss on random sequences that repeat once", head, rows)


def sweep_table(arms: Sequence[ArmResult]) -> str:
    """One row an arm, one column a setting; the best of each arm stands out."""
    settings = sorted({(t.learning_rate, t.warmup) for arm in arms for t in arm.sweep})
    several = len({warmup for _, warmup in settings}) > 1
    rows: list[Row] = []
    for name, arm in _names(arms):
        trials = {(trial.learning_rate, trial.warmup): trial.loss for trial in arm.sweep}
        best = min((loss for loss in trials.values() if loss is not None), default=None)

        def cell(
            setting: tuple[float, float],
            trials: Mapping[tuple[float, float], float | None] = trials,
            best: float | None = best,
        ) -> str:
            if setting not in trials:
                return "–"
            if (loss := trials[setting]) is None:
                return '<span class="fail">diverged</span>'
            return f"<strong>best {loss:.3f}</strong>" if loss == best else loss_text(loss)

        if trials:
            rows.append((name, [cell(setting) for setting in settings]))
    head = [f"{rate:g}" + (f", warm-up {warmup:g}" if several else "") for rate, warmup in settings]
    return table("Learning rates tried, and the loss after them", ("start", *head), rows)


def reference_table(result: RaceResult) -> str:
    """What counting scores on the same tokens."""
    if (given := result.references) is None:
        return ""
    names = {"uniform": given.uniform, "unigram": given.unigram, "KN-2": given.kn2}
    names["KN-3"] = given.kn3
    rows = [(name, (loss_text(loss),)) for name, loss in names.items()]
    return table("What counting scores", ("reference", "nats per token"), rows)


def fact_table(title: str, values: Mapping[str, Any]) -> str:
    """Names and values, also of what is nested."""
    rows = [(escaped(name), (value,)) for name, value in _flat(values, "")]
    return table(title, ("setting", "value"), rows)


def fact_line(values: Mapping[str, Any]) -> str:
    """Names and values in one line."""
    facts = [f"{escaped(name)} {escaped(str(value))}" for name, value in values.items()]
    return f"<p class='soft'>{', '.join(facts)}</p>"


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Names and escaped values of what may be nested."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        yield name, escaped(", ".join(map(str, value)), _LONGEST) or "–"
    elif isinstance(value, bool):
        yield name, "yes" if value else "no"
    else:
        known = value is None or isinstance(value, float | int)
        yield name, number(value) if known else escaped(str(value), _LONGEST)


def _cell(estimate: Estimate | None, form: Callable[[float], str]) -> str:
    mean, around = interval(estimate, form)
    return f'{mean}<br><span class="soft">{around}</span>' if around else mean


def _names(arms: Iterable[ArmResult]) -> Iterator[tuple[str, ArmResult]]:
    """Names with the numbers that the charts give."""
    return ((f"{i}\u2002{escaped(arm.name)}", arm) for i, arm in enumerate(arms, 1))
