"""A race as one self-contained HTML page: verdicts first, then pictures, then every number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from structinit_core.diagnose.bars import Bar, bar_chart
from structinit_core.diagnose.markup import Row, escaped, figure, number, section, table
from structinit_core.diagnose.style import STYLE
from structinit_core.race.lines import line_chart, loss_levels, loss_lines
from structinit_core.race.result import ArmResult, Estimate, Milestone, RaceResult

_WHEN = ("before training", "at the end")
_LONGEST = 2000


def race_page(result: RaceResult) -> str:
    """``result`` as HTML; a part without data is left out, an incomplete race says so.

    Every text is escaped, and the page's own policy forbids scripts and anything from elsewhere.
    """
    verdicts = "".join(map(_verdict, result.arms))
    notes = "".join(f"<li>{escaped(note, _LONGEST)}</li>" for note in result.notes)
    parts = [
        section("Verdicts", f"<ul>{verdicts}</ul>" if verdicts else ""),
        _charts(result),
        _arms(result),
        _differences(result),
        _targets(result),
        _gradients(result.arms),
        _buckets(result.arms),
        _induction(result.arms),
        _sweeps(result.arms),
        _references(result),
        _facts("Protocol", result.protocol),
        _facts("Network and text", {"network": result.network, "text": result.text}),
        _facts("Machine", result.machine),
        section("Notes", f"<ul>{notes}</ul>" if notes else ""),
    ]
    content = "\n".join(part for part in parts if part)
    unfinished = "This race is not complete: runs are missing, and every number may still change."
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Race against {escaped(result.baseline)} · structinit</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>Race against {escaped(result.baseline)}</h1>
<p class="soft">{summary(result)}</p>
{"" if result.complete else f'<p class="warn">{unfinished}</p>'}
{content}
</main>
</body>
</html>
"""


def summary(result: RaceResult) -> str:
    """The race in a line of plain words and numbers."""
    seeds = max((len(arm.seeds) for arm in result.arms), default=0)
    steps = max((arm.curve.steps[-1] for arm in result.arms if arm.curve), default=0)
    known = [f"{_many(len(result.arms), 'start')} of one network"]
    known += [f"{_many(seeds, 'seed')} each"] if seeds else []
    known += [_many(steps, "step")] if steps else []
    tokens = result.references.tokens if result.references else 0
    known += [f"scored on {_many(tokens, 'held-out token')}"] if tokens else []
    return ", ".join([*known, "learning rate chosen for each start"])


def interval(estimate: Estimate | None, form: Callable[[float], str]) -> tuple[str, str]:
    """The mean, and its interval in brackets where there is one; a dash where nothing is."""
    if estimate is None:
        return "–", ""
    if estimate.low is None or estimate.high is None:
        return form(estimate.mean), ""
    return form(estimate.mean), f"[{form(estimate.low)}, {form(estimate.high)}]"


def loss_text(value: float) -> str:
    """A loss."""
    return f"{value:.3f}"


def difference_text(value: float) -> str:
    """A difference of losses."""
    return f"{value:+.3f}"


def count_text(value: float) -> str:
    """Seconds or steps: as many decimals as say something."""
    digits = 0 if value == round(value) or abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def step_zero(arm: ArmResult) -> float | None:
    """The loss before any training."""
    at = zip(arm.curve.steps, arm.curve.mean, strict=False) if arm.curve else ()
    return next((loss for step, loss in at if step == 0), None)


def shares(arms: Iterable[ArmResult]) -> list[float]:
    """The parts of the budget for which any arm has a loss."""
    return sorted({milestone.share for arm in arms for milestone in arm.milestones})


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _verdict(arm: ArmResult) -> str:
    mark = {"diverged": "fail", "unfinished": "warn"}.get(arm.status)
    said = escaped(arm.verdict, _LONGEST)
    said = f'<span class="{mark}">{said}</span>' if mark else said
    return f"<li><strong>{escaped(arm.name)}</strong>: {said}</li>"


def _charts(result: RaceResult) -> str:
    drawn = [_chart(result, seconds=seconds) for seconds in (False, True)]
    content = "\n".join(picture for picture in drawn if picture)
    return section("Loss", f'<div class="wide">\n{content}\n</div>' if content else "")


def _chart(result: RaceResult, *, seconds: bool) -> str:
    lines, levels = loss_lines(result, seconds=seconds), loss_levels(result)
    picture = line_chart(
        lines,
        levels,
        what="Held-out loss in nats per token",
        unit="seconds, the start included" if seconds else "steps",
        uniform=result.references.uniform if result.references else None,
    )
    over = "seconds, with those the start took to make" if seconds else "training steps"
    band = ", with the 95 % interval over seeds" if any(line.low for line in lines) else ""
    return figure(picture, f"Held-out loss over {over}, nats per token{band}; lower is better")


def _cell(estimate: Estimate | None, form: Callable[[float], str]) -> str:
    mean, around = interval(estimate, form)
    return f'{mean}<br><span class="soft">{around}</span>' if around else mean


def _names(arms: Iterable[ArmResult]) -> Iterator[tuple[str, ArmResult]]:
    """Names with the numbers that the charts give."""
    return ((f"{i}\u2002{escaped(arm.name)}", arm) for i, arm in enumerate(arms, 1))


def _milestones(arm: ArmResult) -> dict[float, Milestone]:
    return {milestone.share: milestone for milestone in arm.milestones}


def _arms(result: RaceResult) -> str:
    parts = shares(result.arms)
    head = ["start", "status", "at the end, to baseline", "seconds saved", "rate", "step 0"]
    head += [f"{100 * share:.4g} %" for share in parts]
    head += ["making it, s", "step, s", "lead lost at step", "made from"]

    def row(arm: ArmResult) -> Iterator[str]:
        found = _milestones(arm)
        fallen = f", {_many(len(arm.diverged_seeds), 'seed')} diverged"
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


def _differences(result: RaceResult) -> str:
    """Paired differences along the way, where an early lead shows."""
    parts = shares(result.arms)
    rows: list[Row] = []
    for name, arm in _names(result.arms):
        given = {share: one.difference for share, one in _milestones(arm).items()}
        if any(given.values()):
            rows.append((name, [_cell(given.get(share), difference_text) for share in parts]))
    head = ["start", *(f"after {100 * share:.4g} %" for share in parts)]
    return table("Difference to the baseline on the way, nats", head, rows)


def _targets(result: RaceResult) -> str:
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


def _gradients(arms: Sequence[ArmResult]) -> str:
    pictures = []
    for name, arm in _names(arms):
        largest = max(arm.gradient_norms.values(), default=0.0)
        digits = max(3, 2 - math.floor(math.log10(largest))) if largest > 0 else 3
        layers = sorted(arm.gradient_norms, key=_depth)
        bars = [Bar(layer, arm.gradient_norms[layer]) for layer in layers]
        what = f"Gradient norm of {arm.name}"
        chart = bar_chart(bars, what=what, unit="by layer", digits=min(digits, 12))
        pictures.append(figure(chart, name))
    drawn = "\n".join(picture for picture in pictures if picture)
    said = "Of the first step, before clipping. Each start has a scale of its own."
    return section(
        "Gradient norm by layer",
        f'<p class="soft">{said}</p>\n<div class="small">{drawn}</div>' if drawn else "",
    )


def _depth(layer: str) -> tuple[int, int, str]:
    """The order of the network; ``race.json`` has its keys in that of the alphabet."""
    digits = layer.removeprefix("layer ")
    if digits != layer and digits.isdecimal():
        return 1, len(digits), digits
    return (0 if layer == "embed" else 2), 0, layer


def _buckets(arms: Sequence[ArmResult]) -> str:
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
        (_seen(*place), [number(count), *(cell(changes, place) for changes in found.values())])
        for place, count in sorted(tokens.items(), key=lambda item: item[0][0])
    ]
    head = ("seen in training", "held-out tokens", *found)
    return table("Loss by how often a token was seen, start → end", head, rows)


def _seen(low: int, high: int | None) -> str:
    if high is None:
        return f"{low:,} times or more"
    return f"{low:,} to {high - 1:,} times" if high > low + 1 else f"{low:,} times"


def _induction(arms: Sequence[ArmResult]) -> str:
    rows: list[Row] = []
    for name, arm in _names(arms):
        for when, found in zip(_WHEN, (arm.induction_start, arm.induction_end), strict=True):
            if found is not None:
                gain = difference_text(found.second - found.first)
                halves = (loss_text(found.first), loss_text(found.second))
                rows.append((name, (when, *halves, gain)))
    head = ("start", "when", "first half", "its repetition", "difference")
    return table("Loss on random sequences that repeat once", head, rows)


def _sweeps(arms: Sequence[ArmResult]) -> str:
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


def _references(result: RaceResult) -> str:
    if (given := result.references) is None:
        return ""
    names = {"uniform": given.uniform, "unigram": given.unigram, "KN-2": given.kn2}
    names["KN-3"] = given.kn3
    rows = [(name, (loss_text(loss),)) for name, loss in names.items()]
    return table("What counting scores", ("reference", "nats per token"), rows)


def _facts(title: str, values: Mapping[str, Any]) -> str:
    rows = [(escaped(name), (value,)) for name, value in _flat(values, "")]
    return table(title, ("setting", "value"), rows)


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
