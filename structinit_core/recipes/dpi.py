"""``dpi-init``: from text to a published checkpoint made layer by layer, with its report."""

from __future__ import annotations

import shutil
from pathlib import Path

from structinit_core.artifact import (
    Resumable,
    is_up_to_date,
    locked,
    refuse_foreign,
    refuse_overlap,
    resumable,
)
from structinit_core.blueprint import Blueprint, make_blueprint, named_config
from structinit_core.checkpoint import (
    CHECKPOINT_KIND,
    DTYPES,
    plan_shards,
    write_checkpoint,
    write_directory,
)
from structinit_core.cooc import Counts, open_counts
from structinit_core.corpus import (
    TokenStream,
    cut_windows,
    find_frame,
    load_tokenizer,
    spread,
)
from structinit_core.errors import IncompatibleError, LimitError
from structinit_core.initializers.dpi import (
    Forecast,
    LayerSequence,
    Sources,
    Tokens,
    draw_sample,
    forecast,
    load_lexical,
    load_progression,
    make_lexical,
    make_probes,
    save_lexical,
)
from structinit_core.linalg import Device, resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.compile_job import promised_vocabulary, refuse_vocabulary
from structinit_core.recipes.counting import count_corpus
from structinit_core.recipes.dpi_job import DpiJob
from structinit_core.recipes.record import Recorder
from structinit_core.recipes.tokenizing import counted_spans, keep_tokens


def dpi_init(
    job: DpiJob, output: Path, *, force: bool = False, progress: Progress | None = None
) -> bool:
    """Publish the checkpoint of ``job``; ``False`` if it was up to date already.

    ``output`` holds what :func:`structinit_core.closed_form` writes, in ``dtype``. Layers are
    made and written one at a time, each from real activations of those before it: memory is
    that of one layer, the activation sample, the embedding and the head. A killed run leaves
    ``.NAME.part`` beside the output, and the same job goes on after its last finished shard.
    Same job, same bytes of all but ``run.json``, on one machine class with a fixed number of
    threads, whatever random state the process is in. Source: seed 001 (methods note 3).

    Raises:
        any :class:`~structinit_core.errors.StructinitError`; nothing is then published.
    """
    record = Recorder(progress or Silent())
    blueprint = make_blueprint(named_config(job.config))
    if job.counts is None:
        refuse_vocabulary(promised_vocabulary(job.source), blueprint)
    expected = forecast(job.settings, blueprint)
    if expected.memory_bytes > job.memory_bytes:
        raise LimitError(
            f"a layer, its activations and the embedding need about "
            f"{expected.memory_bytes >> 20} MiB, allowed are {job.memory_bytes >> 20}",
            hint="raise --memory",
        )
    device, _ = resolve_device(job.device, expected.total)
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

        check_config(named_config(job.config))
        hashes: dict[Path, str] = {}
        with resumable(output, recipe, hashes) as run:
            counts = _counts(job, run, record)
            refuse_vocabulary(counts.vocabulary, blueprint)
            _make(job, blueprint, counts, expected, run, hashes, device, record)
            record.write(run.work)
    return True


def _make(
    job: DpiJob,
    blueprint: Blueprint,
    counts: Counts,
    expected: Forecast,
    run: Resumable,
    hashes: dict[Path, str],
    device: Device,
    record: Recorder,
) -> None:
    from structinit_core.recipes.dpi_report import Found, dpi_report

    dtype, progress = DTYPES[job.dtype], record
    windows = spread(cut_windows(counts.held_out_spans, blueprint.context), expected.scored_tokens)
    probes = make_probes(counts.held_out, windows)
    progress.stage("lexical seeding")
    lexical = load_lexical(run.kept / "lexical")
    if lexical is None:
        lexical = make_lexical(job.settings, blueprint, counts, job.seed, device)
        save_lexical(lexical, run.kept / "lexical")
    sequence = LayerSequence(
        job.settings,
        blueprint,
        lexical,
        dtype=dtype,
        seed=job.seed,
        device=device,
        progress=progress,
    )
    planned = [spec for spec in blueprint.tensors if not spec.tied_to]
    shards = plan_shards(planned, dtype, job.shard_bytes)
    done = run.entries
    hashes |= {run.work / entry["file"]: entry["sha256"] for entry in done}
    _, stream = keep_tokens(job.source, run.kept / "tokens", record)
    sample, clustered = draw_samples(stream, counts, blueprint, expected, job.seed)
    sources = Sources(sample, clustered, probes)
    if done:
        sequence.progression = load_progression(run.kept / done[-1]["state"], device)
    else:
        progress.stage("embedding the sample")
        sequence.begin(sources)

    def finished(name: str, sha256: str | None) -> None:
        if len(shards) == 1:
            return
        state = f"state{len(done)}"
        sequence.progression.save(run.kept / state)
        run.note({"file": name, "sha256": sha256, "state": state})
        shutil.rmtree(run.kept / f"state{len(done) - 2}", ignore_errors=True)

    write_checkpoint(
        run.work,
        blueprint.tensors,
        sequence.tensors(sum(len(shard) for shard in shards[: len(done)])),
        progress,
        dtype=dtype,
        shard_bytes=job.shard_bytes,
        hashes=hashes,
        skip=len(done),
        finished=finished,
    )
    (run.work / "tokenizer.json").write_text(counts.tokenizer_json, encoding="utf-8")
    frame = find_frame(load_tokenizer(run.work / "tokenizer.json"))
    write_directory(run.work, blueprint, counts.tokenizer_json, frame, job.dtype)
    report = dpi_report(
        job.settings,
        blueprint,
        counts,
        Found(lexical.facts, sequence.progression.facts, sequence.losses(probes)),
        windows,
        run.work,
        sample,
        memory_bytes=job.memory_bytes,
        device=device,
        progress=progress,
    )
    report.write(run.work)


def draw_samples(
    stream: TokenStream, counts: Counts, blueprint: Blueprint, expected: Forecast, seed: int
) -> tuple[Tokens, Tokens | None]:
    """Token blocks of counted documents: those the layers run on, and those clustered, if any.

    ``stream``: the tokens of the text that ``counts`` are of. Deterministic for the seed.

    Raises:
        InputError: no token was counted.
    """
    spans = counted_spans(stream, counts)
    context, positions = blueprint.context, expected.stream_positions
    sample = draw_sample(stream, spans, positions, context, seed, "sample")
    clustered = expected.cluster_positions
    if not clustered:
        return sample, None
    return sample, draw_sample(stream, spans, clustered, context, seed, "clusters")


def _counts(job: DpiJob, run: Resumable, record: Recorder) -> Counts:
    directory = job.counts or run.kept / "counts"
    if job.counts is None:
        count_corpus(
            job.source,
            directory,
            tokens=run.kept / "tokens",
            memory_bytes=job.memory_bytes,
            progress=record,
        )
    counts = open_counts(directory)
    if not counts.unigram.any():
        raise IncompatibleError(
            "the counts are those of an empty shard",
            hint="merge them with the other shards: initctl cooc --merge",
        )
    return counts
