"""From run records to the result: what every arm is worth, in the order given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from structinit_core.race.evidence import ArmRuns, Evidence, collect
from structinit_core.race.record import RunRecord
from structinit_core.race.result import (
    MILESTONES,
    TARGETS,
    ArmResult,
    Arrival,
    Milestone,
    RaceResult,
    References,
    Target,
    Trial,
)
from structinit_core.race.statistics import (
    Table,
    arrival_step,
    estimate,
    mean,
    mean_buckets,
    mean_induction,
    mean_norms,
    paired,
)
from structinit_core.race.verdict import Comparison, verdict


def summarise(
    arms: Sequence[ArmRuns],
    *,
    baseline: str,
    steps: int,
    complete: bool,
    network: Mapping[str, Any],
    text: Mapping[str, Any],
    protocol: Mapping[str, Any],
    machine: Mapping[str, Any],
    references: References | None = None,
    notes: Sequence[str] = (),
    shares: Sequence[float] = MILESTONES,
) -> RaceResult:
    """The comparison of ``arms`` after ``steps`` steps each, also of an unfinished race.

    Evidence is a run of purpose ``evidence`` at the chosen setting, a planned seed and
    ``steps`` steps; of two such runs of one seed the first counts. Diverged seeds are listed
    and left out of every mean but ``start_seconds``. Depends on its arguments alone.

    Raises:
        ValueError: two arms of one name, or no arm named ``baseline``.
    """
    names = [arm.name for arm in arms]
    if len(set(names)) < len(names) or baseline not in names:
        raise ValueError(f"arms need unique names, one of them {baseline!r}: {names}")
    found = [collect(arm, steps) for arm in arms]
    base = found[names.index(baseline)]
    targets = _targets(base, steps)
    return RaceResult(
        complete=complete,
        baseline=baseline,
        network=dict(network),
        text=dict(text),
        protocol=dict(protocol),
        machine=dict(machine),
        references=references,
        targets=targets,
        arms=tuple(_arm(one, base, targets, shares, steps) for one in found),
        notes=tuple(notes),
    )


def _arm(
    one: Evidence,
    base: Evidence,
    targets: tuple[Target, ...],
    shares: Sequence[float],
    budget: int,
) -> ArmResult:
    arm, live = one.arm, list(one.live.values())
    gap = None if one is base else _gap(one, base)
    compared = Comparison() if one is base else _compare(one, base, gap)
    table = Table.of([_losses(run) for run in live]) if live else None
    probes = [(run.start, run.end) for run in live if run.start and run.end]
    sweep = [run for run in arm.runs if run.purpose == "sweep"]
    sweep.sort(key=lambda run: (run.learning_rate, run.warmup, run.seed))
    return ArmResult(
        name=arm.name,
        source=arm.source,
        status=one.status,
        learning_rate=arm.learning_rate,
        warmup=arm.warmup,
        sweep=tuple(_trial(run) for run in sweep),
        seeds=tuple(run.seed for run in one.runs),
        diverged_seeds=one.diverged_seeds,
        start_seconds=_start_seconds(one),
        step_seconds=arm.step_seconds,
        curve=table.curve() if table else None,
        milestones=_milestones(table, gap, shares, budget) if table else (),
        arrivals=tuple(_arrival(one, target) for target in targets),
        final_difference=compared.difference,
        seconds_saved=compared.saved,
        crossover_step=gap.lead_lost() if gap else None,
        gradient_norms=mean_norms(live),
        buckets=mean_buckets(probes),
        induction_start=mean_induction([start for start, _ in probes]),
        induction_end=mean_induction([end for _, end in probes]),
        verdict=verdict(
            status=one.status,
            baseline=base.arm.name,
            is_baseline=one is base,
            done=len(one.runs),
            planned=len(set(arm.seeds)),
            learning_rate=arm.learning_rate,
            tried=[run.learning_rate for run in sweep],
            diverged_seeds=one.diverged_seeds,
            comparison=compared,
        ),
    )


def _start_seconds(one: Evidence) -> float | None:
    """The mean cost of the arm's starts; ``None`` where one of them is not known."""
    known = [run.start_seconds for run in one.runs if run.start_seconds is not None]
    return mean(known) if known and len(known) == len(one.runs) else None


def _trial(run: RunRecord) -> Trial:
    loss = run.final_loss if math.isfinite(run.final_loss) else None
    return Trial(learning_rate=run.learning_rate, warmup=run.warmup, loss=loss)


def _pairs(one: Evidence, base: Evidence) -> list[tuple[RunRecord, RunRecord]]:
    other = base.live
    return [(run, other[seed]) for seed, run in one.live.items() if seed in other]


def _gap(one: Evidence, base: Evidence) -> Table | None:
    """Loss of the arm − the baseline's, one row a common seed; ``None`` without one."""
    pairs = _pairs(one, base)
    return (
        Table.of([_losses(a) for a, _ in pairs], [_losses(b) for _, b in pairs]) if pairs else None
    )


def _compare(one: Evidence, base: Evidence, gap: Table | None) -> Comparison:
    if gap is None:
        return Comparison()
    pairs = _pairs(one, base)
    # A seed at which only this arm diverged is one at which it did not get there either.
    fallen = sum(seed in base.live for seed in one.diverged_seeds)
    arrived = [_reach(run, other.final_loss) for run, other in pairs]
    steps = [step for step in arrived if step is not None]
    missed = fallen + len(arrived) - len(steps)
    # The baseline's first arrival, as the arm's: it may have been as low before its end.
    theirs = _seconds(base, [(other, _reach(other, other.final_loss)) for _, other in pairs])
    own = _seconds(one, [(run, step) for (run, _), step in zip(pairs, arrived, strict=True)])
    saved = paired(theirs, own) if theirs and own and missed == 0 else None
    whole = mean(theirs) if theirs else None
    return Comparison(
        difference=gap.estimates()[-1],
        saved=saved,
        whole_seconds=whole,
        missed=missed,
        seeds=fallen + len(pairs),
        lost_at=gap.lead_lost() if gap.ever_below_zero() else None,
    )


def _seconds(
    one: Evidence, arrivals: Sequence[tuple[RunRecord, float | None]]
) -> list[float] | None:
    """Seconds of each arrival, its start's included; ``None`` where one is not known."""
    pace, found = one.arm.step_seconds, []
    for run, step in arrivals:
        if pace is None or step is None or run.start_seconds is None:
            return None
        found.append(run.start_seconds + step * pace)
    return found


def _losses(run: RunRecord) -> dict[int, float]:
    return {point.step: point.loss for point in run.curve}


def _reach(run: RunRecord, loss: float) -> float | None:
    curve = _losses(run)
    return arrival_step(list(curve), list(curve.values()), loss)


def _milestones(
    table: Table, gap: Table | None, shares: Sequence[float], budget: int
) -> tuple[Milestone, ...]:
    losses = dict(zip(table.steps, table.estimates(), strict=True))
    gaps = dict(zip(gap.steps, gap.estimates(), strict=True)) if gap else {}
    steps = [(share, table.nearest(round(share * budget))) for share in shares]
    return tuple(
        Milestone(share=share, step=step, loss=losses[step], difference=gaps.get(step))
        for share, step in steps
    )


def _targets(base: Evidence, budget: int) -> tuple[Target, ...]:
    """The finished baseline's mean losses along its way; of equal ones the last stays."""
    if base.status != "finished":
        return ()
    table, name = Table.of([_losses(run) for run in base.live.values()]), base.arm.name
    names: dict[float, str] = {}
    for milestone in reversed(_milestones(table, None, TARGETS, budget)):
        share = milestone.share
        label = "the end" if share == 1 else f"{share:.0%}".replace("%", " %")
        names.setdefault(milestone.loss.mean, f"{name} at {label}")
    return tuple(Target(name=text, loss=loss) for loss, text in reversed(names.items()))


def _arrival(one: Evidence, target: Target) -> Arrival:
    """Over the live runs that reached the target; a diverged seed counts as one that did not."""
    arrived = [(run, _reach(run, target.loss)) for run in one.live.values()]
    reached = [(run, step) for run, step in arrived if step is not None]
    seconds = _seconds(one, reached)
    return Arrival(
        target=target.name,
        reached=len(reached),
        seeds=len(one.runs),
        steps=estimate([step for _, step in reached]) if reached else None,
        seconds=estimate(seconds) if seconds else None,
    )
