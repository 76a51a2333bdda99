"""``closed-form --method paired-views``: from text to a published encoder with its flaws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import (
    Recipe,
    file_input,
    is_up_to_date,
    locked,
    refuse_foreign,
    refuse_overlap,
    scratch,
    staged,
)
from structinit_core.blueprint import read_config
from structinit_core.checkpoint import CHECKPOINT_KIND, CHECKPOINT_VERSION, write_paired_views
from structinit_core.cooc import KneserNey, open_counts, reference_losses_at
from structinit_core.corpus import TokenStream, hold_out, vocabulary_size
from structinit_core.errors import LimitError
from structinit_core.initializers.paired_views import (
    PairedViewsConfig,
    TextWindows,
    draw_windows,
    fit_model,
    paired_views_config,
)
from structinit_core.linalg import resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.compile_job import promised_vocabulary
from structinit_core.recipes.count_forecast import forecast_counting
from structinit_core.recipes.count_plan import bound_counting
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import DEFAULT_MEMORY, count_corpus
from structinit_core.recipes.paired_views_plan import METHOD, PairedViewsPlan, forecast_fit
from structinit_core.recipes.paired_views_report import paired_views_report
from structinit_core.recipes.record import Recorder
from structinit_core.recipes.tokenizing import keep_tokens

_SCORED_WINDOWS = 4000
"""Held-out windows behind every loss, as in the source."""


@dataclass(frozen=True)
class PairedViewsJob:
    """One encoder: the text, and a paired-views ``config.json`` or the source's sizes.

    Of ``source`` the offsets are not used: the n-gram references need the first alone.
    """

    source: CountSource
    config: Path | None = None
    seed: int = 0
    device: str = "cpu"
    memory_bytes: int = DEFAULT_MEMORY

    @property
    def counted(self) -> CountSource:
        """The text as it is counted for the references."""
        return replace(self.source, offsets=1)

    def paths(self) -> list[Path]:
        """Every file read."""
        return [*([self.config] if self.config else []), *self.source.paths()]

    def read_config(self) -> PairedViewsConfig:
        """The sizes.

        Raises:
            InputError: an unreadable config. IncompatibleError: another kind of model's.
        """
        return paired_views_config(read_config(self.config)) if self.config else PairedViewsConfig()

    def recipe(self) -> Recipe:
        """What decides the bytes."""
        params = {
            "method": METHOD,
            "seed": self.seed,
            "config": self.read_config().model_dump(mode="json"),
            "counts": self.counted.params(),
        }
        inputs = [file_input(self.config)] if self.config else []
        return Recipe(
            kind=CHECKPOINT_KIND,
            version=CHECKPOINT_VERSION,
            params=params,
            inputs=(*inputs, *self.source.inputs()),
        )


def plan_paired_views(job: PairedViewsJob, *, sampled: bool = True) -> PairedViewsPlan:
    """The forecast of ``job``: reads the config and a sample of the text, writes nothing.

    Raises:
        IncompatibleError: a config of another kind. InputError: a missing file.
    """
    config = job.read_config().with_vocabulary(promised_vocabulary(job.source))
    forecast = forecast_counting if sampled else bound_counting
    return forecast_fit(config, forecast(job.counted, job.memory_bytes), job.memory_bytes)


def fit_paired_views(
    job: PairedViewsJob, output: Path, *, force: bool = False, progress: Progress | None = None
) -> bool:
    """Publish the encoder of ``job``; ``False`` if it was up to date already.

    ``output`` holds ``config.json``, ``tokenizer.json``, ``model.safetensors``, ``report.json``,
    ``manifest.json`` and ``run.json``; :func:`~structinit_core.checkpoint.load_paired_views`
    loads it. The predictor in it is the source's original pipeline for next-token tasks: ridge
    readouts of the last position before every block, added up, with one temperature; the
    cross-entropy head of the source's benchmark needs gradient descent and is an arm of
    ``race --preset paired-views``. Memory is bounded by ``job.memory_bytes`` and does not
    depend on the text's length. Same job, same bytes of all but ``run.json``, on one machine
    class with a fixed number of threads.

    Raises:
        any :class:`~structinit_core.errors.StructinitError`; nothing is then published.
    """
    record = Recorder(progress or Silent())
    forecast = plan_paired_views(job, sampled=False)
    if not forecast.fits:
        raise LimitError(
            f"the fit needs about {forecast.solve_bytes >> 20} MiB, allowed are "
            f"{job.memory_bytes >> 20}",
            hint="raise --memory, or take a smaller vocabulary, width or context",
        )
    resolve_device(job.device, forecast.multiply_adds)
    refuse_overlap(output, job.paths())
    with locked(output):
        refuse_foreign(output, CHECKPOINT_KIND, force)
        record.stage("hashing inputs")
        recipe = job.recipe()
        if is_up_to_date(output, recipe):
            return False
        hashes: dict[Path, str] = {}
        with staged(output, recipe, hashes) as work, scratch(output) as temporary:
            _fit_into(job, work, temporary, record, hashes)
            record.write(work)
    return True


def _fit_into(
    job: PairedViewsJob, work: Path, temporary: Path, record: Recorder, hashes: dict[Path, str]
) -> None:
    source, where = job.counted, temporary / "counts"
    tokens = temporary / "tokens"
    count_corpus(source, where, tokens=tokens, memory_bytes=job.memory_bytes, progress=record)
    tokenizer, stream = keep_tokens(source, tokens, record)
    config = job.read_config().with_vocabulary(vocabulary_size(tokenizer))
    split = hold_out(stream, source.holdout, source.seed)
    windows = draw_windows(stream.ids, split.counted, config, config.windows, job.seed, "counted")
    if len(windows.starts) < config.windows:
        record.warn(
            f"the text holds {len(windows.starts)} windows, {config.windows} were asked for"
        )
    held_out = _held_out(stream, split.held_out, config, job.seed)
    if held_out is None:
        record.warn("no held-out document is longer than a window: no loss is reported")
    device, _ = resolve_device(job.device, config.compute(len(windows.starts)).initialisation())
    model, whole = fit_model(config, windows, seed=job.seed, device=device, progress=record)
    record.stage("writing")
    write_paired_views(work, model, record, hashes)
    counts = open_counts(where)
    (work / "tokenizer.json").write_text(counts.tokenizer_json, encoding="utf-8")
    record.stage("measuring the flaws")
    references = None
    if held_out is not None:
        references = reference_losses_at(
            KneserNey(counts), stream, held_out.targets, held_out.starts
        )
    report = paired_views_report(model, whole, windows, held_out, references)
    report.write(work)


def _held_out(
    stream: TokenStream, spans: NDArray[np.int64], config: PairedViewsConfig, seed: int
) -> TextWindows | None:
    length = config.max_position_embeddings
    if not np.any(spans[:, 1] - spans[:, 0] > length):
        return None
    return draw_windows(stream.ids, spans, config, _SCORED_WINDOWS, seed, "held-out")
