"""Building the start of an arm: a checkpoint on disk, and what making it took."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

from structinit_core.artifact import file_digest, pretty_json, text_digest
from structinit_core.blueprint import Blueprint, make_blueprint, named_config, read_config
from structinit_core.checkpoint import read_tensors, shard_files, write_checkpoint
from structinit_core.cooc import Counts, KneserNey, shuffled, shuffled_tokens
from structinit_core.corpus import load_tokenizer, serialise
from structinit_core.errors import IncompatibleError, InputError, LimitError
from structinit_core.initializers.baselines import BASELINES, baseline_stream
from structinit_core.initializers.closed_form import OFFSETS
from structinit_core.model import check_config, default_tensors, effective_config
from structinit_core.progress import Progress
from structinit_core.race.arms import COMPILED, Arm, refuse_arm
from structinit_core.race.dpi_starts import DPI, DpiStart, write_dpi_start
from structinit_core.race.protocol import RaceJob
from structinit_core.race.text import RaceText
from structinit_core.recipes.compile_job import (
    ClosedFormJob,
    promised_vocabulary,
    refuse_vocabulary,
)
from structinit_core.recipes.compiling import SCORING, compile_counts, text_contexts
from structinit_core.recipes.record import Recorder

_COUNTING = "counting"
_UNCHARGED = (
    "hashing inputs",
    "checking the config",
    "reading the tokenizer",
    "training the tokenizer",
    "tokenizing",
    SCORING,
)
"""Stages of a checkpoint's own run that no arm of a race is charged."""


@dataclass(frozen=True)
class Start:
    """A checkpoint directory to train from; seconds to make it, ``None`` where unknown."""

    directory: Path
    seconds: float | None


class Starts:
    """Builds starts for one race."""

    def __init__(self, job: RaceJob, blueprint: Blueprint, text: RaceText) -> None:
        self._job, self._blueprint, self._text = job, blueprint, text

    def build(self, arm: Arm, seed: int, work: Path, progress: Progress) -> Start:
        """The start of ``arm`` for one seed, written into ``work`` unless it lies elsewhere.

        Seconds are those of counting, solving, drawing and writing; the proof that a compiled
        checkpoint is what was compiled is not charged.

        Raises:
            any StructinitError of the method.
        """
        if arm.path is not None:
            return Start(arm.path, _own_seconds(arm.path))
        counts = self._text.counts
        began = time.perf_counter()
        if arm.shuffled:
            counts = shuffled(counts, seed)
        config = work / "config.json"
        config.write_text(pretty_json(self._blueprint.config), encoding="utf-8")
        if arm.maker in DPI:
            return self._dpi(DPI[arm.maker], seed, work, began, progress)
        if arm.maker in COMPILED:
            record = Recorder(progress)
            job = ClosedFormJob(
                config,
                counts=Path("counts"),
                stages=COMPILED[arm.maker],
                seed=seed,
                device=self._job.device,
                memory_bytes=self._job.memory_bytes,
            )
            text = None
            if OFFSETS in job.stages:
                text = text_contexts(self._text.train, self._text.counts)
            if text and arm.shuffled:
                text = replace(text, ids=shuffled_tokens(text.ids, counts.vocabulary, seed))
            compile_counts(job, counts, work, record, text=text)
            spent = time.perf_counter() - began - record.seconds()[SCORING]
            return Start(work, self._text.counting_seconds + spent)
        return self._baseline(arm, counts, seed, work, began, progress)

    def _dpi(
        self, start: DpiStart, seed: int, work: Path, began: float, progress: Progress
    ) -> Start:
        write_dpi_start(
            start,
            self._blueprint,
            self._text.counts,
            self._text.train,
            self._job.source(),
            seed,
            work,
            device=self._job.device,
            memory_bytes=self._job.memory_bytes,
            progress=progress,
        )
        charged = 0.0 if start.lines else self._text.counting_seconds
        return Start(work, charged + time.perf_counter() - began)

    def _baseline(
        self,
        arm: Arm,
        counts: Counts,
        seed: int,
        work: Path,
        began: float,
        progress: Progress,
    ) -> Start:
        name = arm.maker or ""
        config, baseline = self._blueprint.config, BASELINES[name]
        charged = self._text.counting_seconds if baseline.needs_unigram else 0.0
        stream = baseline_stream(
            name,
            self._blueprint,
            seed,
            default=default_tensors(config, seed) if baseline.needs_default else None,
            unigram=KneserNey(counts).unigram if baseline.needs_unigram else None,
        )
        progress.stage(f"{arm.name}: writing the start", len(self._blueprint.tensors))
        write_checkpoint(work, self._blueprint.tensors, stream, progress)
        return Start(work, charged + time.perf_counter() - began)


def identity(arm: Arm) -> str:
    """What tells this arm's start from others: the method, or the checkpoint's content and cost."""
    if arm.path is None:
        return arm.source
    content = [file_digest(file) for file in shard_files(arm.path)]
    return text_digest(" ".join([*content, str(_own_seconds(arm.path))]))


def refuse_job(job: RaceJob) -> Blueprint:
    """The network of ``job``, once it is known that nothing keeps it from being raced.

    Raises:
        IncompatibleError: an arm that cannot start it, or a tokenizer larger than it.
        InputError: a file that is not there. LimitError: a step beyond the memory allowed.
    """
    for path in job.paths():
        if not path.exists():
            raise InputError("is not there", where=str(path))
    config = named_config(job.config)
    blueprint = make_blueprint(config)
    for arm in job.arms:
        refuse_arm(arm, blueprint)
    refuse_vocabulary(promised_vocabulary(job.source()), blueprint)
    needed = job.step_bytes(blueprint)
    if needed > job.memory_bytes:
        raise LimitError(
            f"a training step needs about {needed >> 20} MiB, allowed are {job.memory_bytes >> 20}",
            hint="take smaller --batch-tokens, or raise --memory",
        )
    check_config(config)
    return blueprint


def refuse_checkpoint(path: Path, job: RaceJob, blueprint: Blueprint, text: RaceText) -> None:
    """Refuse a checkpoint that is another network than the race's, or of another tokenizer.

    Raises:
        IncompatibleError: naming what differs. InputError: not a checkpoint, or a broken file.
    """
    for file in shard_files(path):
        next(read_tensors(file), None)
    theirs, ours = (
        effective_config(named_config(config)) for config in (path / "config.json", job.config)
    )
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            raise IncompatibleError(
                f"is another network than the race's: its {key} is {theirs.get(key)!r}, "
                f"not {ours.get(key)!r}",
                where=str(path),
            )
    if make_blueprint(read_config(path / "config.json")).tensors != blueprint.tensors:
        raise IncompatibleError("holds other tensors than the race's network", where=str(path))
    tokenizer = path / "tokenizer.json"
    if tokenizer.is_file() and _same(tokenizer, text.counts.tokenizer_json):
        return
    raise IncompatibleError(
        "was made with another tokenizer than the race's, or has none",
        where=str(path),
        hint=f"race with --tokenizer {tokenizer}",
    )


def _same(tokenizer: Path, text: str) -> bool:
    same: bool = json.loads(serialise(load_tokenizer(tokenizer))) == json.loads(text)
    return same


def _own_seconds(path: Path) -> float | None:
    """Seconds of the run that made the checkpoint, where its ``run.json`` says all of them.

    A run that was given its counts says nothing of what counting took.
    """
    try:
        stages = json.loads((path / "run.json").read_text(encoding="utf-8"))["seconds"]
        if _COUNTING not in stages:
            return None
        return sum(float(spent) for stage, spent in stages.items() if stage not in _UNCHARGED)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
