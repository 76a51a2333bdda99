"""``closed-form``: from text or counts to a published checkpoint with its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from structinit_core.artifact import (
    Input,
    Recipe,
    file_input,
    is_up_to_date,
    locked,
    read_manifest,
    refuse_foreign,
    refuse_overlap,
    scratch,
    staged,
)
from structinit_core.blueprint import Blueprint, make_blueprint, read_config
from structinit_core.checkpoint import (
    CHECKPOINT_KIND,
    CHECKPOINT_VERSION,
    DEFAULT_SHARD_BYTES,
    write_checkpoint,
    write_directory,
)
from structinit_core.cooc import Counts, KneserNey, open_counts
from structinit_core.corpus import cut_windows, find_frame, load_tokenizer, spread, vocabulary_size
from structinit_core.errors import IncompatibleError, LimitError, UsageError
from structinit_core.initializers.closed_form import (
    DEFAULT_STAGES,
    chosen_stages,
    compile_ngram,
    refuse_unsupported,
)
from structinit_core.linalg import resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.count_forecast import forecast_counting
from structinit_core.recipes.count_plan import bound_counting
from structinit_core.recipes.counting import DEFAULT_MEMORY, CountSource, count_corpus
from structinit_core.recipes.record import Recorder
from structinit_core.recipes.solve_plan import SOLVE_BYTES_PER_BIGRAM, Plan, plan_closed_form

SCORING = "scoring the checkpoint"
"""The stage that proves the checkpoint; making it has ended by then."""
_SCORED_TOKENS = 1 << 17
_SCORING_FLOATS = 3 * 10**12


@dataclass(frozen=True)
class ClosedFormJob:
    """One compilation: a config, and either text to count or a counts artifact.

    ``stages``: those to try; the first is in every compilation.
    """

    config: Path
    source: CountSource | None = None
    counts: Path | None = None
    seed: int = 0
    device: str = "cpu"
    memory_bytes: int = DEFAULT_MEMORY
    shard_bytes: int = DEFAULT_SHARD_BYTES
    stages: tuple[str, ...] = DEFAULT_STAGES

    def __post_init__(self) -> None:
        chosen_stages(self.stages)
        if (self.source is None) == (self.counts is None):
            raise UsageError("give either text with a tokenizer, or counts")

    def paths(self) -> list[Path]:
        """Every file and directory read."""
        read = [self.config, *(self.source.paths() if self.source else [])]
        return [*read, self.counts] if self.counts else read

    def recipe(self) -> Recipe:
        """What decides the checkpoint's bytes."""
        inputs = [file_input(self.config)]
        params: dict[str, object] = {
            "method": "ngram",
            "seed": self.seed,
            "shard_bytes": self.shard_bytes,
            "stages": list(chosen_stages(self.stages)),
        }
        if self.source is not None:
            inputs += self.source.inputs()
            params["counts"] = self.source.params()
        if self.counts is not None:
            manifest = read_manifest(self.counts)
            if manifest is None:
                raise IncompatibleError("is not a counts artifact", where=str(self.counts))
            inputs.append(Input(name="counts", sha256=manifest.content))
        return Recipe(
            kind=CHECKPOINT_KIND, version=CHECKPOINT_VERSION, params=params, inputs=tuple(inputs)
        )


def plan(job: ClosedFormJob, *, sampled: bool = True) -> Plan:
    """The forecast of ``job``: reads the config and a sample of the text, writes nothing.

    Not ``sampled``, it takes the bounds that file sizes give.

    Raises:
        IncompatibleError: a model this method cannot compile. InputError: a missing file.
    """
    blueprint = make_blueprint(read_config(job.config))
    refuse_unsupported(blueprint)
    counting = None
    if job.source is not None:
        refuse_vocabulary(promised_vocabulary(job.source), blueprint)
        forecast = forecast_counting if sampled else bound_counting
        counting = forecast(job.source, job.memory_bytes)
    return plan_closed_form(blueprint, counting, job.memory_bytes)


def closed_form(
    job: ClosedFormJob, output: Path, *, force: bool = False, progress: Progress | None = None
) -> bool:
    """Publish the compiled checkpoint of ``job``; ``False`` if it was up to date already.

    ``output`` holds ``config.json``, ``generation_config.json``, ``tokenizer.json``,
    ``tokenizer_config.json``, ``model.safetensors`` (float32, or shards and their index above
    ``shard_bytes``), ``report.json``, ``manifest.json`` and ``run.json``; transformers
    loads it. Same job, same bytes of all but ``run.json``, on one machine class with a fixed
    number of threads.

    Raises:
        any :class:`~structinit_core.errors.StructinitError`; nothing is then published.
    """
    record = Recorder(progress or Silent())
    forecast = plan(job, sampled=False)
    if not forecast.fits:
        raise _too_large(forecast.solve_bytes, job.memory_bytes)
    resolve_device(job.device, forecast.refit_multiply_adds)
    refuse_overlap(output, job.paths())
    with locked(output):
        refuse_foreign(output, CHECKPOINT_KIND, force)
        record.stage("hashing inputs")
        recipe = job.recipe()
        if is_up_to_date(output, recipe):
            return False
        record.stage("checking the config")
        # transformers takes seconds to import: a run that has ended by now does not pay them.
        from structinit_core.model import check_config

        check_config(read_config(job.config))
        hashes: dict[Path, str] = {}
        with staged(output, recipe, hashes) as work, scratch(output) as temporary:
            directory = job.counts or temporary / "counts"
            if job.source is not None:
                count_corpus(job.source, directory, memory_bytes=job.memory_bytes, progress=record)
            stages = compile_counts(job, open_counts(directory), work, record, hashes)
            record.write(work, stages)
    return True


def compile_counts(
    job: ClosedFormJob,
    counts: Counts,
    work: Path,
    progress: Progress,
    hashes: dict[Path, str] | None = None,
) -> dict[str, float]:
    """Write the checkpoint of ``job`` from open ``counts`` into ``work``, without publishing it.

    Returns the seconds of each stage of the compilation; the sha256 of the tensor files are
    entered in ``hashes`` if given. Errors as in :func:`closed_form`.
    """
    from structinit_core.recipes.verdict import compile_report, score

    forecast = plan(job, sampled=False)
    device, _ = resolve_device(job.device, forecast.refit_multiply_adds)
    blueprint = make_blueprint(read_config(job.config))
    refuse_vocabulary(counts.vocabulary, blueprint)
    if not counts.unigram.any():
        raise IncompatibleError(
            "the counts are those of an empty shard",
            hint="merge them with the other shards: initctl cooc --merge",
        )
    solve_bytes = _check_sizes(forecast, counts, job.memory_bytes, progress)
    progress.stage("smoothing")
    model = KneserNey(counts)
    windows = cut_windows(counts.held_out_spans, blueprint.context)
    windows = spread(windows, _scored_tokens(blueprint))
    if len(windows) == 0:
        progress.warn("no held-out text: the count table judges the stages, no loss is reported")
    compiled = compile_ngram(
        model,
        windows,
        blueprint,
        stages=job.stages,
        spare_bytes=job.memory_bytes - solve_bytes,
        seed=job.seed,
        device=device,
        progress=progress,
    )
    progress.stage("writing", len(blueprint.tensors))
    write_checkpoint(
        work,
        blueprint.tensors,
        compiled.tensors(blueprint, job.seed),
        progress,
        shard_bytes=job.shard_bytes,
        hashes=hashes,
    )
    (work / "tokenizer.json").write_text(counts.tokenizer_json, encoding="utf-8")
    frame = find_frame(load_tokenizer(work / "tokenizer.json"))
    write_directory(work, blueprint, counts.tokenizer_json, frame)
    progress.stage(SCORING, len(windows) or None)
    scores = score(work, compiled, blueprint, model, windows, device=device, progress=progress)
    report = compile_report(compiled, blueprint, counts, scores)
    report.write(work)
    return {stage.name: stage.seconds for stage in compiled.stages}


def promised_vocabulary(source: CountSource) -> int:
    """Tokens of the tokenizer ``source`` names, or at most asks for."""
    if source.tokenizer is not None:
        return vocabulary_size(load_tokenizer(source.tokenizer))
    return source.train_vocabulary or 0


def refuse_vocabulary(tokens: int, blueprint: Blueprint) -> None:
    """Refuse a tokenizer that the network has no rows for.

    Raises:
        IncompatibleError: with both sizes.
    """
    if tokens > blueprint.vocabulary:
        raise IncompatibleError(
            f"the tokenizer has {tokens} tokens, the config only vocab_size {blueprint.vocabulary}",
            hint=f'set "vocab_size": {tokens} in the config, or take a smaller tokenizer',
        )


def _check_sizes(forecast: Plan, counts: Counts, memory_bytes: int, progress: Progress) -> int:
    """Bytes that compiling the bigram takes, which the memory allows."""
    rows, have = forecast.vocabulary, counts.vocabulary
    if rows - have > rows // 10:
        progress.warn(f"{rows - have} of {rows} vocabulary rows have no token and are padding")
    guessed = forecast.counting.estimated_tokens if forecast.counting else 0
    bigrams = int(counts.offsets[0].nnz)
    solve = forecast.solve_bytes + SOLVE_BYTES_PER_BIGRAM * (bigrams - min(rows**2, guessed))
    if solve > memory_bytes:
        raise _too_large(solve, memory_bytes)
    return solve


def _too_large(needed: int, allowed: int) -> LimitError:
    return LimitError(
        f"the solve needs about {needed >> 20} MiB, allowed are {allowed >> 20}",
        hint="raise --memory, or take a smaller vocabulary or width",
    )


def _scored_tokens(blueprint: Blueprint) -> int:
    """Held-out tokens to score: enough for two decimals, bounded by the model's own cost."""
    return min(_SCORED_TOKENS, max(4096, _SCORING_FLOATS // (2 * blueprint.parameters)))
