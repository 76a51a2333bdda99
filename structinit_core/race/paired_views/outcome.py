"""What the finished runs of the protocol say, as the result of a race."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from structinit_core.cooc import KneserNey, reference_losses_at
from structinit_core.initializers.paired_views import TextWindows
from structinit_core.race.evidence import ArmRuns
from structinit_core.race.outcome import machine_facts
from structinit_core.race.paired_views.job import (
    ARMS,
    BACKPROP,
    BUDGET,
    CE_HEAD,
    FINE_TUNE,
    RANDOM,
    STEP,
    PairedViewsRace,
)
from structinit_core.race.paired_views.runs import Bench
from structinit_core.race.paired_views.training import SHARES, thousandth
from structinit_core.race.record import RunRecord
from structinit_core.race.result import RaceResult, References
from structinit_core.race.statistics import paired
from structinit_core.race.summary import summarise
from structinit_core.race.text import RaceText


def result_of(
    job: PairedViewsRace,
    bench: Bench,
    text: RaceText,
    found: References,
    records: Mapping[str, Sequence[RunRecord]],
    machine: Mapping[str, Any],
    *,
    complete: bool,
) -> RaceResult:
    """The result of the runs so far."""
    protocol, compute = job.protocol, bench.compute
    arms = [
        ArmRuns(
            name=arm,
            source=arm,
            runs=runs,
            learning_rate=protocol.head_rate if arm == CE_HEAD else protocol.rate,
            warmup=0.0,
            seeds=protocol.evidence_seeds,
            step_seconds=float(np.median([one.wall_seconds for one in runs])) / BUDGET
            if runs
            else None,
        )
        for arm, runs in records.items()
    ]
    whole = protocol.multiply_adds(BACKPROP, compute)
    sizes = bench.config.model_dump(mode="json", exclude={"windows"})
    return summarise(
        arms,
        baseline=BACKPROP,
        steps=BUDGET,
        complete=complete,
        network=sizes | {"vocabulary": bench.config.tokens},
        text={
            "corpus": [path.name for path in job.corpus],
            "valid": [path.name for path in job.valid],
            "train_tokens": len(text.train.ids),
            "train_windows": len(bench.train.starts),
            "scored_windows": found.tokens,
            "leaked_share": text.leaked,
        },
        protocol=protocol.model_dump(mode="json")
        | {
            "step": STEP,
            "optimizer": "AdamW, betas 0.9 and 0.999, constant rate, no clipping, masked windows",
            "steps": {arm: protocol.steps(arm, compute) for arm in ARMS},
            "multiply_adds": {arm: protocol.multiply_adds(arm, compute) for arm in ARMS},
            "share_of_backprop": {
                arm: round(protocol.multiply_adds(arm, compute) / whole, 4) for arm in ARMS
            },
            "initialisation_share": round(compute.initialisation() / whole, 4),
        },
        machine=machine_facts() | dict(machine),
        references=found,
        notes=_notes(bench, text, records),
        shares=SHARES[1:],
    )


def _notes(bench: Bench, text: RaceText, records: Mapping[str, Sequence[RunRecord]]) -> list[str]:
    protocol, compute = bench.protocol, bench.compute
    steps = {arm: protocol.steps(arm, compute) for arm in ARMS}
    covered = np.zeros(len(text.train.ids), bool)
    for place in range(bench.config.max_position_embeddings + 1):
        covered[bench.train.starts + place] = True
    notes = [
        f"compute is matched by the source's proxy of forward multiply-adds: {steps[BACKPROP]} "
        f"steps of {BACKPROP}, {steps[FINE_TUNE]} of {FINE_TUNE} after its fit, {steps[RANDOM]} "
        f"of {RANDOM}; {CE_HEAD} trains its head for {protocol.head_epochs} epochs, whatever "
        "that costs",
        f"{FINE_TUNE} and {RANDOM} are one network, whose heads start as the same random draws; "
        f"{BACKPROP} is another one, so that its difference to them is not of the start alone",
        f"every arm sees {len(bench.train.starts):,} windows that cover {int(covered.sum()):,} "
        f"of {len(text.train.ids):,} training tokens; unigram, KN-2 and KN-3 are counted on "
        "nearly all of them, and scored on the same held-out tokens as the arms",
        "the source's flaws are kept: no label in the fit, its readouts thrown away, its last "
        "block read by nothing, one rate for all three networks and none tuned",
    ]
    apart = _same_steps(records, thousandth(steps[FINE_TUNE], steps[RANDOM]))
    return [*notes, apart] if apart else notes


def _same_steps(records: Mapping[str, Sequence[RunRecord]], place: int) -> str:
    """The closed form against its architecture at random after equally many steps, in words."""
    ends = {run.seed: run.final_loss for run in records[FINE_TUNE]}
    then = {
        run.seed: point.loss
        for run in records[RANDOM]
        for point in run.curve
        if point.step == place
    }
    seeds = [seed for seed in ends if seed in then and np.isfinite(ends[seed])]
    if not seeds:
        return ""
    found = paired([ends[seed] for seed in seeds], [then[seed] for seed in seeds])
    around = (
        ", one seed"
        if found.low is None or found.high is None
        else f" (95 % interval {found.low:+.4f} to {found.high:+.4f}, {found.n} seeds)"
    )
    return (
        f"after equally many steps, {FINE_TUNE} differs from {RANDOM} by "
        f"{found.mean:+.4f} nats{around}: what the closed-form start is worth in its own network"
    )


def references(bench: Bench, text: RaceText) -> References:
    """What counting scores on the token after each held-out window."""
    windows: TextWindows = bench.valid
    losses = reference_losses_at(
        KneserNey(text.counts), text.valid, windows.targets, windows.starts
    )
    return References(
        uniform=losses.uniform,
        unigram=losses.unigram,
        kn2=losses.kn2,
        kn3=losses.kn3,
        tokens=losses.tokens,
    )
