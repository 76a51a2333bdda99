"""``closed-form``: from text or counts to a published checkpoint with its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from structinit_core.artifact import (
    Input,
    Recipe,
    file_digest,
    is_up_to_date,
    locked,
    pretty_json,
    read_manifest,
    refuse_foreign,
    scratch,
    staged,
)
from structinit_core.blueprint import Blueprint, make_blueprint, read_config
from structinit_core.checkpoint import write_directory, write_safetensors
from structinit_core.cooc import Counts, KneserNey, open_counts, reference_losses
from structinit_core.corpus import cut_windows, find_frame, load_tokenizer, spread
from structinit_core.diagnose import Check, Report, loss_checks
from structinit_core.errors import IncompatibleError, LimitError, UsageError
from structinit_core.initializers.closed_form import (
    REFIT_STEPS,
    CompiledBigram,
    compile_bigram,
    refuse_unsupported,
    scored_pairs,
)
from structinit_core.linalg import resolve_device
from structinit_core.model import forward_loss, load_model
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.counting import CountSource, count_corpus
from structinit_core.recipes.forecast import Plan, plan_closed_form
from structinit_core.recipes.record import Recorder

CHECKPOINT_KIND = "checkpoint"
CHECKPOINT_VERSION = 1
LAW_TOLERANCE = 1e-3
"""Nats by which the written network may differ from the predictor it was compiled from."""
_SCORED_TOKENS = 1 << 17
_SCORING_FLOATS = 3 * 10**12


@dataclass(frozen=True)
class ClosedFormJob:
    """One compilation: a config, and either text to count or a counts artifact."""

    config: Path
    source: CountSource | None = None
    counts: Path | None = None
    seed: int = 0
    device: str = "cpu"
    memory_bytes: int = 4 << 30

    def __post_init__(self) -> None:
        if (self.source is None) == (self.counts is None):
            raise UsageError("give either text with a tokenizer, or counts")

    def recipe(self) -> Recipe:
        """What decides the checkpoint's bytes."""
        inputs = [Input(name=self.config.name, sha256=file_digest(self.config))]
        params: dict[str, object] = {"method": "ngram", "seed": self.seed}
        if self.source is not None:
            inputs += self.source.inputs()
            params["counts"] = self.source.params()
        if self.counts is not None:
            manifest = read_manifest(self.counts)
            if manifest is None:
                raise IncompatibleError("is not a counts artifact", where=str(self.counts))
            inputs.append(Input(name="counts", sha256=manifest.key))
        return Recipe(
            kind=CHECKPOINT_KIND, version=CHECKPOINT_VERSION, params=params, inputs=tuple(inputs)
        )


def plan(job: ClosedFormJob) -> Plan:
    """The forecast of ``job``; reads the config only and writes nothing.

    Raises:
        IncompatibleError, LimitError: as :func:`closed_form` would, before any work.
    """
    blueprint = make_blueprint(read_config(job.config))
    refuse_unsupported(blueprint)
    counting = job.source.memory_bytes if job.source else 0
    forecast = plan_closed_form(blueprint, counting, REFIT_STEPS)
    if forecast.solve_bytes > job.memory_bytes:
        raise LimitError(
            f"the solve needs about {forecast.solve_bytes >> 20} MiB, "
            f"allowed are {job.memory_bytes >> 20}",
            hint="raise --memory, or take a smaller vocabulary or width",
        )
    return forecast


def closed_form(
    job: ClosedFormJob, output: Path, *, force: bool = False, progress: Progress | None = None
) -> bool:
    """Publish the compiled checkpoint of ``job``; ``False`` if it was up to date already.

    ``output`` holds ``config.json``, ``generation_config.json``, ``tokenizer.json``,
    ``tokenizer_config.json``, ``model.safetensors`` (float32), ``report.json``,
    ``manifest.json`` and ``run.json``; transformers loads it. Same job, same bytes of all but
    ``run.json``, on one machine class with a fixed number of threads.

    Raises:
        any :class:`~structinit_core.errors.StructinitError`; nothing is then published.
    """
    record = Recorder(progress or Silent())
    plan(job)
    refuse_foreign(output, force)
    with locked(output):
        record.stage("hashing inputs")
        recipe = job.recipe()
        if is_up_to_date(output, recipe):
            return False
        with staged(output, recipe) as work, scratch(output) as temporary:
            counts_path = job.counts
            if job.source is not None:
                counts_path = temporary / "counts"
                count_corpus(job.source, counts_path, progress=record)
            assert counts_path is not None
            _compile_into(job, open_counts(counts_path), work, record)
    return True


def _compile_into(job: ClosedFormJob, counts: Counts, work: Path, record: Recorder) -> None:
    blueprint = make_blueprint(read_config(job.config))
    _check_vocabulary(blueprint, counts, record)
    record.stage("smoothing")
    model = KneserNey(counts)
    windows = cut_windows(counts.held_out_spans, blueprint.context)
    windows = spread(windows, _scored_tokens(blueprint))
    if len(windows) == 0:
        record.warn("no held-out text: stages are kept unseen and no loss is reported")
    held_out = scored_pairs(counts.held_out, windows, counts.vocabulary)
    v, layers = blueprint.vocabulary, blueprint.width
    device, _ = resolve_device(job.device, REFIT_STEPS * 3 * v * v * layers)
    compiled = compile_bigram(
        model, held_out, blueprint, seed=job.seed, device=device, progress=record
    )
    record.stage("writing", len(blueprint.tensors))
    write_safetensors(
        work / "model.safetensors",
        blueprint.tensors,
        compiled.tensors(blueprint, job.seed),
        record,
    )
    (work / "tokenizer.json").write_text(counts.tokenizer_json, encoding="utf-8")
    frame = find_frame(load_tokenizer(work / "tokenizer.json"))
    write_directory(work, blueprint, counts.tokenizer_json, frame)
    checks = _compile_checks(compiled, blueprint, counts)
    if len(windows):
        record.stage("scoring the checkpoint", len(windows))
        network = load_model(work, device)
        forward = forward_loss(network, v, counts.held_out, windows, record)
        references = reference_losses(model, counts.held_out, windows)
        checks = [*loss_checks(forward, v, references), *_law(compiled, forward, record), *checks]
        checks.append(Check(name="scored", value=references.tokens, unit="tokens"))
    report = Report(
        subject="closed-form ngram (bigram)",
        checks=tuple(checks),
        notes=(
            "losses are on the held-out slice, which entered no count",
            "a stage with the verdict ok was kept; others did not lower the held-out loss",
            "the table refit is iterative first-order optimisation on counts, not on text",
        ),
    )
    (work / "report.json").write_text(
        pretty_json(report.model_dump(mode="json", by_alias=True)), encoding="utf-8"
    )
    record.write(work, {stage.name: stage.seconds for stage in compiled.stages})


def _check_vocabulary(blueprint: Blueprint, counts: Counts, record: Recorder) -> None:
    have, rows = counts.vocabulary, blueprint.vocabulary
    if have > rows:
        raise IncompatibleError(
            f"the tokenizer has {have} tokens, the config only vocab_size {rows}",
            hint=f'set "vocab_size": {have} in the config, or train a smaller tokenizer',
        )
    if rows - have > rows // 10:
        record.warn(f"{rows - have} of {rows} vocabulary rows have no token and are padding")


def _scored_tokens(blueprint: Blueprint) -> int:
    """Held-out tokens to score: enough for two decimals, bounded by the model's own cost."""
    return min(_SCORED_TOKENS, max(4096, _SCORING_FLOATS // (2 * blueprint.parameters)))


def _law(compiled: CompiledBigram, forward: float, record: Recorder) -> list[Check]:
    """Offline loss of the predictor against the forward loss of the written network."""
    assert compiled.offline_loss is not None
    gap = abs(forward - compiled.offline_loss)
    if gap > LAW_TOLERANCE:
        record.warn(f"the written network is {gap:.2g} nats away from its predictor")
    return [
        Check(name="loss.offline", value=compiled.offline_loss, unit="nats"),
        Check(
            name="law.offline_minus_model",
            value=gap,
            unit="nats",
            threshold=LAW_TOLERANCE,
            verdict="ok" if gap <= LAW_TOLERANCE else "fail",
        ),
    ]


def _compile_checks(compiled: CompiledBigram, blueprint: Blueprint, counts: Counts) -> list[Check]:
    stages = [
        Check(
            name=f"stage.{stage.name}",
            value=stage.loss,
            unit="nats",
            verdict="ok" if stage.accepted else "info",
        )
        for stage in compiled.stages
    ]
    facts = [Check(name=f"svd.{name}", value=value) for name, value in compiled.facts.items()]
    sizes = {
        "parameters": blueprint.parameters,
        "vocabulary": counts.vocabulary,
        "padding_rows": blueprint.vocabulary - counts.vocabulary,
        "clipped_rows": compiled.stream.clipped_rows,
        "counted_tokens": int(counts.unigram.sum()),
    }
    return [*stages, *facts, *(Check(name=name, value=value) for name, value in sizes.items())]
