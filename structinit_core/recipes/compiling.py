"""``closed-form``: from text or counts to a published checkpoint with its report."""

from __future__ import annotations

from pathlib import Path

from structinit_core.artifact import (
    is_up_to_date,
    locked,
    refuse_foreign,
    refuse_overlap,
    scratch,
    staged,
)
from structinit_core.blueprint import Blueprint, read_config
from structinit_core.checkpoint import (
    CHECKPOINT_KIND,
    write_checkpoint,
    write_directory,
)
from structinit_core.cooc import Counts, KneserNey, open_counts
from structinit_core.corpus import (
    TokenStream,
    cut_windows,
    find_frame,
    load_tokenizer,
    spread,
)
from structinit_core.errors import IncompatibleError, LimitError
from structinit_core.initializers.closed_form import TextContexts, compile_ngram
from structinit_core.linalg import resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.compile_job import ClosedFormJob, refuse_vocabulary
from structinit_core.recipes.count_plan import bound_counting
from structinit_core.recipes.counting import count_corpus
from structinit_core.recipes.record import Recorder
from structinit_core.recipes.solve_plan import Plan, plan_of_counts, plan_of_text
from structinit_core.recipes.tokenizing import counted_spans, keep_tokens

SCORING = "scoring the checkpoint"
"""The stage that proves the checkpoint; making it has ended by then."""
_SCORED_TOKENS = 1 << 17
_SCORING_FLOATS = 3 * 10**12


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
    if job.source is not None and job.counts is None:
        _refuse_large(plan_of_text(job, job.source, bound_counting), job)
    resolve_device(job.device, 0)  # refuses one that is not there
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
            tokens, text = temporary / "tokens", None
            if job.source is not None and job.counts is None:
                count_corpus(
                    job.source,
                    directory,
                    tokens=tokens,
                    memory_bytes=job.memory_bytes,
                    progress=record,
                )
            counts = open_counts(directory)
            if job.source is not None:
                text = text_contexts(keep_tokens(job.source, tokens, record)[1], counts)
            stages = compile_counts(job, counts, work, record, hashes, text)
            record.write(work, stages)
    return True


def compile_counts(
    job: ClosedFormJob,
    counts: Counts,
    work: Path,
    progress: Progress,
    hashes: dict[Path, str] | None = None,
    text: TextContexts | None = None,
) -> dict[str, float]:
    """Write the checkpoint of ``job`` from open ``counts`` into ``work``, without publishing it.

    Returns the seconds of each stage of the compilation; the sha256 of the tensor files are
    entered in ``hashes`` if given. ``text``: the counted text, if it is at hand. Errors as in
    :func:`closed_form`.
    """
    from structinit_core.recipes.verdict import compile_report, score

    blueprint = job.blueprint()
    refuse_vocabulary(counts.vocabulary, blueprint)
    if not counts.unigram.any():
        raise IncompatibleError(
            "the counts are those of an empty shard",
            hint="merge them with the other shards: initctl cooc --merge",
        )
    forecast = plan_of_counts(job, counts)
    _refuse_large(forecast, job)
    if forecast.vocabulary - counts.vocabulary > forecast.vocabulary // 10:
        padding = forecast.vocabulary - counts.vocabulary
        progress.warn(
            f"{padding} of {forecast.vocabulary} vocabulary rows have no token and are padding"
        )
    device, _ = resolve_device(job.device, forecast.refit_multiply_adds)
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
        spare_bytes=job.memory_bytes - forecast.solve_bytes,
        seed=job.seed,
        text=text,
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


def text_contexts(stream: TokenStream, counts: Counts) -> TextContexts:
    """The contexts of the tokens of ``stream`` that entered ``counts``.

    Raises:
        IncompatibleError: the counts are of another text.
    """
    spans = counted_spans(stream, counts)
    found, counted = int((spans[:, 1] - spans[:, 0]).sum()), int(counts.unigram.sum())
    if found != counted:
        raise IncompatibleError(
            f"the counts are of {counted} tokens, and of this text {found} would be counted",
            hint="give the text that was counted, cut into documents as then, or none",
        )
    return TextContexts(stream.ids, spans)


def _refuse_large(forecast: Plan, job: ClosedFormJob) -> None:
    """Refuse what has no room for the bigram; of later stages the tables themselves tell more."""
    if forecast.solve_bytes > job.memory_bytes:
        raise LimitError(
            f"the solve needs about {forecast.solve_bytes >> 20} MiB, allowed are "
            f"{job.memory_bytes >> 20}",
            hint="raise --memory, or take a smaller vocabulary or width",
        )


def _scored_tokens(blueprint: Blueprint) -> int:
    """Held-out tokens to score: enough for two decimals, bounded by the model's own cost."""
    return min(_SCORED_TOKENS, max(4096, _SCORING_FLOATS // (2 * blueprint.parameters)))
