"""Numbers of a race as people read them, on the page and on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from structinit_core.race.result import ArmResult, Estimate, RaceResult


def summary(result: RaceResult) -> str:
    """The race in a line of plain words and numbers."""
    seeds = max((len(arm.seeds) for arm in result.arms), default=0)
    steps = max((arm.curve.steps[-1] for arm in result.arms if arm.curve), default=0)
    own_networks = step_unit(result)
    count = len(result.arms)
    known = [many(count, "arm") if own_networks else f"{many(count, 'start')} of one network"]
    known += [f"{many(seeds, 'seed')} each"] if seeds else []
    known += [many(steps, "step")] if steps else []
    tokens = result.references.tokens if result.references else 0
    known += [f"scored on {many(tokens, 'held-out token')}"] if tokens else []
    swept = any(arm.sweep for arm in result.arms)
    return ", ".join([*known, *(["learning rate chosen for each start"] if swept else [])])


def step_unit(result: RaceResult) -> str:
    """What the steps of this race are where they are no training steps; empty where they are."""
    return str(result.protocol.get("step", ""))


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


def many(count: int, what: str) -> str:
    """A count with its noun."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
