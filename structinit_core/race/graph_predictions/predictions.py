"""What finished runs say of the five predictions, from paired intervals and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from structinit_core.race.graph_predictions.result import (
    COMPILED,
    COMPILED_UNIGRAM,
    DEFAULT,
    PERMUTED,
    UNIGRAM,
    ArmRuns,
    GraphFacts,
    Number,
    Prediction,
    SeedRun,
    TextFacts,
    Verdict,
)
from structinit_core.race.result import Estimate
from structinit_core.race.statistics import arrival_step, excludes_zero, paired
from structinit_core.race.wording import count_text, difference_text, interval

Measure = Callable[[SeedRun, SeedRun], float]
_PAIRS = (
    (COMPILED, DEFAULT),
    (COMPILED, PERMUTED),
    (COMPILED, UNIGRAM),
    (COMPILED_UNIGRAM, UNIGRAM),
)
"""Starts compared on the domain's text; the first pair decides."""
_PART_WAY = (0.3, 0.6)
"""Shares of the budget at which the baseline's loss is a target, too."""


class Runs:
    """The arms of all texts, compared seed by seed."""

    def __init__(self, arms: Sequence[ArmRuns]) -> None:
        self._arms = {(arm.text, arm.arm): arm for arm in arms}

    def values(self, text: str, arm: str, base: str, measure: Measure) -> list[float]:
        """``measure`` of arm and base at each seed that both have."""
        others = {run.seed: run for run in self._arms[text, base].runs}
        own = self._arms[text, arm].runs
        return [measure(run, others[run.seed]) for run in own if run.seed in others]

    def compared(self, text: str, arm: str, base: str, measure: Measure) -> Estimate:
        """Their mean with its 95 % interval."""
        values = self.values(text, arm, base, measure)
        return paired(values, [0.0] * len(values))


def first_loss(run: SeedRun, base: SeedRun) -> float:
    """Loss before any training, run − base."""
    return run.losses[0] - base.losses[0]


def last_loss(run: SeedRun, base: SeedRun) -> float:
    """Loss after the last step, run − base."""
    return run.losses[-1] - base.losses[-1]


def steps_saved(run: SeedRun, base: SeedRun, share: float = 1.0) -> float:
    """Of the steps to the base's loss once ``share`` of them are done, the part saved: −1 … 1.

    A run that does not get there in as many steps scores what the base saves on the way to the
    run's own loss, with a minus sign: exchanging the two changes the sign only.
    """
    budget = share * base.steps[-1]
    count = 1 + next(at for at, step in enumerate(base.steps) if step >= budget)
    steps, mine, theirs = base.steps[:count], run.losses[:count], base.losses[:count]
    reached = arrival_step(steps, mine, theirs[-1])
    if reached is not None:
        return 1 - reached / steps[-1]
    overtaken = arrival_step(steps, theirs, mine[-1])
    return 0.0 if overtaken is None else overtaken / steps[-1] - 1


def predictions(
    arms: Sequence[ArmRuns], graphs: Sequence[GraphFacts], texts: Sequence[TextFacts]
) -> tuple[Prediction, ...]:
    """All five; ``texts`` are those on the domain, the general one and of the neurons' graph."""
    runs = Runs(arms)
    domain, general, neurons = (text.name for text in texts)
    levels = [graph for graph in graphs if graph.gini is not None]
    return (
        _first_loss(runs, domain, texts[0].vocabulary),
        _fewer_steps(runs, domain),
        _domain(runs, domain, general),
        _concentration(runs, neurons, levels),
        Prediction(
            number=5,
            title="smaller divergence from human focus",
            verdict="out of reach",
            said="It compares with the focus of humans, of whom there are no data here.",
            numbers=(),
        ),
    )


def verdict_of(value: Estimate, predicted: int) -> Verdict:
    """What an interval says of a sign that is ``predicted``: −1 or 1."""
    if not excludes_zero(value):
        return "not decided"
    return "holds" if value.mean * predicted > 0 else "does not hold"


def _first_loss(runs: Runs, domain: str, vocabulary: int) -> Prediction:
    numbers = [
        Number(
            name=f"loss at step 0, {arm} − {other}",
            value=runs.compared(domain, arm, other, first_loss),
        )
        for arm, other in _PAIRS
    ]
    return Prediction(
        number=1,
        title="lower loss at step 0 than a random start",
        verdict=verdict_of(numbers[0].value, -1),
        said=f"{_listed(numbers, difference_text, 'nats')}; a uniform guess scores "
        f"{math.log(vocabulary):.3f}.",
        numbers=tuple(numbers),
    )


def _fewer_steps(runs: Runs, domain: str) -> Prediction:
    numbers = [
        Number(
            name=f"steps that {arm} saves to the last loss of {other}",
            value=runs.compared(domain, arm, other, steps_saved),
        )
        for arm, other in _PAIRS
    ]
    numbers += [
        Number(
            name=f"steps that {COMPILED} saves to the loss of {DEFAULT} {share:.0%} of the way",
            value=runs.compared(domain, COMPILED, DEFAULT, partial(steps_saved, share=share)),
        )
        for share in _PART_WAY
    ]
    last = [
        Number(
            name=f"last loss, {arm} − {other}",
            value=runs.compared(domain, arm, other, last_loss),
        )
        for arm, other in _PAIRS
    ]
    targets = [numbers[0], *numbers[-len(_PART_WAY) :]]
    decided = {verdict_of(number.value, 1) for number in targets}
    verdict: Verdict = "not decided" if len(decided) > 1 else decided.pop()
    said = f"{_listed(numbers, _percent)}; {_listed(last, difference_text, 'nats')}."
    if len(decided) > 1:
        said += " The targets do not agree."
    return Prediction(
        number=2,
        title="fewer steps to a target",
        verdict=verdict,
        said=said,
        numbers=(*numbers, *last),
    )


def _domain(runs: Runs, domain: str, general: str) -> Prediction:
    found: dict[str, tuple[list[float], list[float]]] = {}
    for name, measure, sign in (
        ("steps saved", steps_saved, 1),
        ("nats gained at step 0", first_loss, -1),
    ):
        found[name] = tuple(  # type: ignore[assignment]
            [sign * v for v in runs.values(text, COMPILED, DEFAULT, measure)]
            for text in (domain, general)
        )
    numbers = [
        Number(name=f"{name}, on {domain} − on {general}", value=paired(*values))
        for name, values in found.items()
    ]
    each = [
        Number(name=f"steps saved on {text}", value=paired(values, [0.0] * len(values)))
        for text, values in zip((domain, general), found["steps saved"], strict=True)
    ]
    return Prediction(
        number=3,
        title="larger speedup on the graph's own domain",
        verdict=verdict_of(numbers[0].value, 1),
        said=f"{_listed([numbers[0], *each], _percent)}; {_listed(numbers[1:], difference_text)}.",
        numbers=(*numbers, *each),
    )


def _concentration(runs: Runs, text: str, levels: Sequence[GraphFacts]) -> Prediction:
    saved = [runs.values(text, level.arm, DEFAULT, steps_saved) for level in levels]
    gained = [
        Number(
            name=f"loss at step 0, {level.arm} − {DEFAULT}",
            value=runs.compared(text, level.arm, DEFAULT, first_loss),
        )
        for level in levels
    ]
    lowest, highest = levels[0], levels[-1]
    decisive = Number(
        name=f"steps saved, at Gini {highest.gini:g} − at {lowest.gini:g}",
        value=paired(saved[-1], saved[0]),
    )
    each = [
        Number(name=f"steps saved, {level.arm}", value=paired(values, [0.0] * len(values)))
        for level, values in zip(levels, saved, strict=True)
    ]
    ranks = ", ".join(f"{count_text(level.effective_rank)} at {level.gini:g}" for level in levels)
    lower = highest.effective_rank < lowest.effective_rank
    return Prediction(
        number=4,
        title="smaller speedup from a concentrated graph",
        verdict=verdict_of(decisive.value, -1),
        said=f"{_listed([decisive, *each], _percent)}; {_listed(gained, difference_text, 'nats')}. "
        f"The effective rank d*, which the source says falls with concentration, "
        f"{'falls' if lower else 'does not'}: {ranks}.",
        numbers=(decisive, *each, *gained),
    )


def _listed(numbers: Sequence[Number], form: Callable[[float], str], unit: str = "") -> str:
    parts = []
    for number in numbers:
        text = " ".join(part for part in interval(number.value, form) if part)
        parts.append(f"{number.name}: {text}{f' {unit}' if unit else ''}")
    return "; ".join(parts)


def _percent(value: float) -> str:
    return f"{100 * value:+.0f} %"
