"""A race as one self-contained HTML page: verdicts first, then pictures, then every number."""

from __future__ import annotations

from structinit_core.diagnose.markup import bullets, document, escaped, figure, grid, section
from structinit_core.race.frame import loss_levels, loss_lines
from structinit_core.race.lines import line_chart
from structinit_core.race.result import ArmResult, RaceResult
from structinit_core.race.tables import (
    arm_table,
    bucket_table,
    difference_table,
    fact_table,
    gradient_bars,
    induction_table,
    reference_table,
    sweep_table,
    target_table,
)
from structinit_core.race.wording import step_unit, summary

_LONGEST = 2000


def race_page(result: RaceResult) -> str:
    """``result`` as HTML; a part without data is left out, an incomplete race says so.

    Every text is escaped, and the page's own policy forbids scripts and anything from elsewhere.
    """
    parts = [
        section("Verdicts", bullets(map(_verdict, result.arms))),
        _charts(result),
        arm_table(result),
        difference_table(result),
        target_table(result),
        gradient_bars(result.arms),
        bucket_table(result.arms),
        induction_table(result.arms),
        sweep_table(result.arms),
        reference_table(result),
        fact_table("Protocol", result.protocol),
        fact_table("Network and text", {"network": result.network, "text": result.text}),
        fact_table("Machine", result.machine),
        section("Notes", bullets(escaped(note, _LONGEST) for note in result.notes)),
    ]
    unfinished = "This race is not complete: runs are missing, and every number may still change."
    return document(
        f"Race against {escaped(result.baseline)}",
        "race",
        f'<p class="soft">{summary(result)}{_steps(result)}</p>',
        "" if result.complete else f'<p class="warn">{unfinished}</p>',
        *parts,
    )


def _steps(result: RaceResult) -> str:
    unit = step_unit(result)
    return f". A step is here {escaped(unit)}" if unit else ""


def _verdict(arm: ArmResult) -> str:
    mark = {"diverged": "fail", "unfinished": "warn"}.get(arm.status)
    said = escaped(arm.verdict, _LONGEST)
    said = f'<span class="{mark}">{said}</span>' if mark else said
    return f"<strong>{escaped(arm.name)}</strong>: {said}"


def _charts(result: RaceResult) -> str:
    drawn = (_chart(result, seconds=seconds) for seconds in (False, True))
    return section("Loss", grid("wide", drawn))


def _chart(result: RaceResult, *, seconds: bool) -> str:
    lines, levels = loss_lines(result, seconds=seconds), loss_levels(result)
    picture = line_chart(
        lines,
        levels,
        what="Held-out loss in nats per token",
        unit="seconds, the start included" if seconds else "steps",
        uniform=result.references.uniform if result.references else None,
    )
    steps = "steps" if step_unit(result) else "training steps"
    over = "seconds, with those the start took to make" if seconds else steps
    band = ", with the 95 % interval over seeds" if any(line.low for line in lines) else ""
    return figure(picture, f"Held-out loss over {over}, nats per token{band}; lower is better")
