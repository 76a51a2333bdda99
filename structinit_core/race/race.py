"""``race``: sweep every arm, then run each at its best setting on several seeds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from structinit_core.artifact import (
    canonical_json,
    locked,
    pretty_json,
    publish_text,
    refuse_overlap,
)
from structinit_core.blueprint import named_config
from structinit_core.errors import IncompatibleError
from structinit_core.linalg import resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.race.outcome import publish_result, references, result_of
from structinit_core.race.protocol import RaceJob
from structinit_core.race.runner import Entrant, Runner, entrants
from structinit_core.race.starts import Start, refuse_checkpoint, refuse_job
from structinit_core.race.store import read_note, run_key
from structinit_core.race.sweep import Setting, best_setting
from structinit_core.race.text import prepare_text
from structinit_core.race.timing import median_step_seconds

MARK = "protocol.json"
_SCHEMA = "structinit/race-protocol/1"
_WORTH_A_WARNING = 0.01
"""A heading or an empty line that stands in both texts is none."""


def race_starts(job: RaceJob, output: Path, progress: Progress | None = None) -> bool:
    """Run the race into ``output``; ``False`` if the result was there already.

    ``output`` holds ``race.json``, ``race.html``, the curves as PNG where matplotlib is
    installed, ``protocol.json``, one JSON a finished run in ``runs/``, and the counts and
    tokens. A run that is there is not run again: after an interruption the same call goes on,
    and more arms or seeds add to what is there. However it ends, ``race.json`` says what the
    finished runs say. Deterministic but for seconds, on one machine with fixed threads.

    Raises:
        LimitError: ``budget_seconds`` ended first. IncompatibleError: an arm that is another
        network, or an ``output`` that is not a race. LockedError: it is being written. And
        what the methods raise.
    """
    progress = progress or Silent()
    threads = torch.get_num_threads()
    blueprint = refuse_job(job)
    device, reason = resolve_device(job.device, job.multiply_adds(blueprint))
    refuse_overlap(output, job.paths())
    with locked(output):
        refuse_foreign_race(output, _SCHEMA)
        output.mkdir(exist_ok=True)
        if not (output / MARK).exists():
            publish_text(output / MARK, pretty_json({"schema": _SCHEMA}))
        text = prepare_text(
            job.source(),
            job.valid,
            output,
            progress,
            context=blueprint.context,
            eval_tokens=job.protocol.eval_tokens,
            memory_bytes=job.memory_bytes,
        )
        if text.leaked > _WORTH_A_WARNING:
            progress.warn(f"{text.leaked:.1%} of the held-out tokens are trained on, too")
        for arm in job.arms:
            if arm.path is not None:
                refuse_checkpoint(arm.path, job, blueprint, text)
        publish_text(output / MARK, pretty_json({"schema": _SCHEMA} | _described(job)))
        machine = {"device": str(device), "device_reason": reason, "threads": threads}
        runner = Runner(job, blueprint, text, output, device, threads, progress)
        return _run(runner, machine)


def _run(runner: Runner, machine: dict[str, Any]) -> bool:
    """All sweeps, the step times, then the evidence, seed by seed over all arms."""
    job, progress = runner.job, runner.progress
    progress.stage("scoring the references")
    found = references(runner.text, runner.blueprint)
    field = entrants(job)
    complete = changed = False
    try:
        for entrant in field:
            _sweep(runner, entrant)
        _time_steps(runner, field)
        for seed in job.protocol.evidence_seeds:
            for entrant in field:
                if entrant.setting is not None:
                    runner.record(entrant, entrant.setting, seed, "evidence")
        complete = True
    finally:
        result = result_of(
            job, runner.blueprint, runner.text, field, found, machine, complete=complete
        )
        changed = publish_result(result, runner.output, progress)
    shutil.rmtree(runner.output / "starts", ignore_errors=True)
    return changed


def _sweep(runner: Runner, entrant: Entrant) -> None:
    protocol = runner.job.protocol

    def trial(setting: Setting) -> float:
        return runner.record(entrant, setting, protocol.seed, "sweep").final_loss

    entrant.setting = best_setting(protocol.rates, protocol.warmup, protocol.warmups, trial)
    if entrant.setting is None:
        runner.progress.warn(f"arm {entrant.arm.name} diverged at every learning rate")


def _time_steps(runner: Runner, field: list[Entrant]) -> None:
    """The step seconds of every arm with a setting, measured once and kept."""
    racing = [(entrant, entrant.setting) for entrant in field if entrant.setting is not None]
    rates = sorted(([one.identity, setting.rate] for one, setting in racing), key=canonical_json)
    key = run_key(runner.shared() | {"timed": rates})
    note = runner.output / "timing.json"
    kept = read_note(note)
    if racing and (kept.get("key") != key or not isinstance(kept.get("seconds"), float)):
        starts: list[tuple[Start, Setting]] = []
        for entrant, setting in racing:
            with runner.start(entrant, runner.job.protocol.seed, keep=True) as start:
                starts.append((start, setting))
        kept = {"key": key, "seconds": median_step_seconds(runner, starts)}
        publish_text(note, pretty_json(kept))
    for entrant, _ in racing:
        entrant.step_seconds = kept["seconds"]


def _described(job: RaceJob) -> dict[str, Any]:
    """The job as JSON values: names of files, never their directories."""
    return {
        "config": named_config(job.config),
        "corpus": [path.name for path in job.corpus],
        "valid": [path.name for path in job.valid],
        "arms": {arm.name: arm.source for arm in job.arms},
        "baseline": job.compared_with,
        "protocol": job.protocol.model_dump(mode="json"),
    }


def refuse_foreign_race(output: Path, schema: str) -> None:
    """Refuse a directory that is no race of this ``schema``: nothing in it is ever replaced.

    Raises:
        IncompatibleError: a file, a link, or a directory of something else.
    """
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise IncompatibleError("exists and is not a directory", where=str(output))
    if not output.exists() or not any(output.iterdir()):
        return
    try:
        ours = json.loads((output / MARK).read_text(encoding="utf-8"))["schema"] == schema
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise IncompatibleError(
            "exists and is not a race", where=str(output), hint="name another output"
        )
