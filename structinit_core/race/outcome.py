"""Publishing what the finished runs say: ``race.json``, the page and the pictures."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from structinit_core import __version__
from structinit_core.artifact import pretty_json, publish_text
from structinit_core.blueprint import Blueprint
from structinit_core.cooc import KneserNey, reference_losses
from structinit_core.errors import MissingError
from structinit_core.progress import Progress
from structinit_core.race.evidence import ArmRuns
from structinit_core.race.page import race_page
from structinit_core.race.plots import write_plots
from structinit_core.race.protocol import RaceJob
from structinit_core.race.result import RaceResult, References
from structinit_core.race.runner import Entrant
from structinit_core.race.summary import summarise
from structinit_core.race.text import RaceText
from structinit_core.race.train import OPTIMIZER

RESULT = "race.json"
PAGE = "race.html"


def references(text: RaceText) -> References:
    """What counting the training text scores on the held-out windows."""
    losses = reference_losses(KneserNey(text.counts), text.valid, text.windows)
    return References(
        uniform=losses.uniform,
        unigram=losses.unigram,
        kn2=losses.kn2,
        kn3=losses.kn3,
        tokens=losses.tokens,
    )


def result_of(
    job: RaceJob,
    blueprint: Blueprint,
    text: RaceText,
    field: Sequence[Entrant],
    found: References,
    machine: Mapping[str, Any],
    *,
    complete: bool,
) -> RaceResult:
    """The result of a race from its runs so far."""
    protocol = job.protocol
    arms = [
        ArmRuns(
            name=entrant.arm.name,
            source=entrant.arm.source,
            runs=entrant.runs,
            learning_rate=entrant.setting.rate if entrant.setting else None,
            warmup=entrant.setting.warmup if entrant.setting else None,
            seeds=protocol.evidence_seeds,
            step_seconds=entrant.step_seconds,
        )
        for entrant in field
    ]
    return summarise(
        arms,
        baseline=job.compared_with,
        steps=protocol.steps,
        complete=complete,
        network={
            "config": job.config.name,
            "family": blueprint.family,
            "parameters": blueprint.parameters,
            "vocabulary": blueprint.vocabulary,
            "width": blueprint.width,
            "layers": blueprint.layers,
            "heads": blueprint.heads,
            "context": blueprint.context,
            "tied": blueprint.tied,
        },
        text={
            "corpus": [path.name for path in job.corpus],
            "valid": [path.name for path in job.valid],
            "train_tokens": len(text.train.ids),
            "scored_tokens": found.tokens,
            "leaked_share": text.leaked,
        },
        protocol=protocol.model_dump(mode="json") | {"optimizer": OPTIMIZER},
        machine=_machine() | dict(machine),
        references=found,
        notes=_notes(job, text, field),
    )


def _notes(job: RaceJob, text: RaceText, field: Sequence[Entrant]) -> list[str]:
    """What a reader of the result has to know about its conditions."""
    trained = job.protocol.steps * job.protocol.batch_tokens
    notes = [
        f"{trained:,} tokens are trained on, of a text of {len(text.train.ids):,}; a compiled "
        "start has been counted on that text before",
        "intervals are over seeds (start and data order), not over held-out text; tokenizer "
        "and encoding are shared by all arms and charged to none",
    ]
    if text.leaked > 0:
        notes.append(
            f"{text.leaked:.2%} of the held-out tokens are in documents of the training text"
        )
    given = [arm.name for arm in job.arms if arm.path]
    if given:
        names = ", ".join(given)
        notes.append(f"a given checkpoint is charged what its run.json says, if any: {names}")
    for entrant in field:
        tried = [run.learning_rate for run in entrant.runs if run.purpose == "sweep"]
        best = entrant.setting.rate if entrant.setting else None
        if best is not None and best in (min(tried), max(tried)):
            side = "smallest" if best == min(tried) else "largest"
            notes.append(
                f"{entrant.arm.name}: the best rate, {best:g}, is the {side} that was tried"
            )
    return notes


def publish_result(result: RaceResult, output: Path, progress: Progress, *, pictures: bool) -> None:
    """Write ``race.json`` and ``race.html``, and the PNG curves where matplotlib is installed."""
    publish_text(output / RESULT, pretty_json(result.model_dump(mode="json", by_alias=True)))
    publish_text(output / PAGE, race_page(result))
    if pictures:
        try:
            write_plots(result, output)
        except MissingError as error:
            progress.warn(f"no PNG curves: {error}; {error.hint}")


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "structinit": __version__,
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
