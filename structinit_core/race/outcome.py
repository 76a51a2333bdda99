"""Publishing what the finished runs say: ``race.json``, the page and the pictures."""

from __future__ import annotations

import math
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
from structinit_core.race.claims import claim_notes
from structinit_core.race.evidence import ArmRuns
from structinit_core.race.page import race_page
from structinit_core.race.plots import PICTURES, write_plots
from structinit_core.race.protocol import RaceJob
from structinit_core.race.result import RaceResult, References
from structinit_core.race.runner import Entrant
from structinit_core.race.summary import summarise
from structinit_core.race.text import RaceText
from structinit_core.race.train import OPTIMIZER

RESULT = "race.json"
PAGE = "race.html"


def references(text: RaceText, blueprint: Blueprint) -> References:
    """What counting scores on the held-out windows; uniform is over the network's V."""
    losses = reference_losses(KneserNey(text.counts), text.valid, text.windows)
    return References(
        uniform=math.log(blueprint.vocabulary),
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
    result = summarise(
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
            "trained_tokens": job.step_tokens(blueprint) * protocol.steps,
        },
        protocol=protocol.model_dump(mode="json") | {"optimizer": OPTIMIZER},
        machine=machine_facts() | dict(machine),
        references=found,
        notes=_notes(job, blueprint, text, field),
    )
    claims = claim_notes(job.claims, result.arms)
    return result.model_copy(update={"notes": (*claims, *result.notes)})


def _notes(
    job: RaceJob, blueprint: Blueprint, text: RaceText, field: Sequence[Entrant]
) -> list[str]:
    """What a reader of the result has to know about its conditions."""
    trained = job.protocol.steps * job.step_tokens(blueprint)
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
    for entrant in field:
        if entrant.arm.path is not None:
            name, known = (
                entrant.arm.name,
                all(run.start_seconds is not None for run in entrant.runs),
            )
            notes.append(
                f"{name}: is charged what its run.json says"
                if known
                else f"{name}: what making it took, counting included, is not known: no seconds"
            )
        tried = [run.learning_rate for run in entrant.runs if run.purpose == "sweep"]
        best = entrant.setting.rate if entrant.setting else None
        if best is not None and best in (min(tried), max(tried)):
            side = "smallest" if best == min(tried) else "largest"
            notes.append(
                f"{entrant.arm.name}: the best rate, {best:g}, is the {side} that was tried"
            )
    return notes


def publish_result(result: RaceResult, output: Path, progress: Progress) -> bool:
    """Write ``race.json``, its page and its pictures; ``False`` if all were there already.

    The pictures are those of a complete race, and need matplotlib.
    """
    text = pretty_json(result.model_dump(mode="json", by_alias=True))
    known = output / RESULT
    same = known.is_file() and known.read_text(encoding="utf-8") == text
    if not same:
        publish_text(known, text)
    if not same or not (output / PAGE).is_file():
        publish_text(output / PAGE, race_page(result))
    if result.complete and not (same and all((output / name).is_file() for name in PICTURES)):
        try:
            write_plots(result, output)
        except MissingError as error:
            progress.warn(f"no PNG curves: {error}; {error.hint}")
    return not same


def machine_facts() -> dict[str, Any]:
    """Cores, architecture and versions, for the result."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "structinit": __version__,
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
