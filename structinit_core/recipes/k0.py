"""``k0``: from counts to a kernel, embeddings and, with a config, a checkpoint to race."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from structinit_core.artifact import (
    is_up_to_date,
    locked,
    refuse_foreign,
    refuse_overlap,
    save_array,
    staged,
)
from structinit_core.blueprint import Blueprint, make_blueprint, read_config
from structinit_core.checkpoint import write_checkpoint, write_directory
from structinit_core.cooc import Counts, Distance, open_counts, window_view
from structinit_core.corpus import find_frame, load_tokenizer
from structinit_core.errors import IncompatibleError, LimitError
from structinit_core.initializers.baselines import baseline_stream
from structinit_core.initializers.kernel import (
    Placed,
    place_embeddings,
    refuse_large,
    refuse_untied,
)
from structinit_core.linalg import Device, resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.compile_job import refuse_vocabulary
from structinit_core.recipes.k0_job import K0_KIND, K0Job, K0Method
from structinit_core.recipes.k0_plan import K0Plan, plan_dense, plan_power
from structinit_core.recipes.k0_solve import Solved, k0_report, solve_dense, solve_power
from structinit_core.recipes.record import Recorder
from structinit_core.recipes.solve_plan import LIBRARIES_BYTES

DEFAULT_DIM = 256


def plan_k0(job: K0Job) -> K0Plan:
    """The forecast of ``job`` from the sizes of its counts; writes nothing.

    Raises:
        LimitError: a dense method on V > 8,192. IncompatibleError: a window of more offsets than
        were counted, or a config that does not fit.
    """
    counts = open_counts(job.counts)
    return _plan(job, counts, _network(job, counts))


def k0(job: K0Job, output: Path, *, force: bool = False, progress: Progress | None = None) -> bool:
    """Publish the kernel and embeddings of ``job``; ``False`` if they were up to date already.

    ``output`` holds ``embeddings.npy`` (float32 (V, d), at the method's own scale), of ``derive``
    and ``fft`` ``k0.npy`` (float64 (V,)), ``report.json``, ``manifest.json`` and ``run.json``; with
    ``init`` also a Hugging Face directory whose tied embedding is scale·E (``init.scale`` in the
    report) at the rms of the family's own start, which all other tensors are. Same job, same
    bytes of all but ``run.json``, on one machine class with a fixed number of threads.

    Raises:
        any :class:`~structinit_core.errors.StructinitError`; nothing is then published.
    """
    record = Recorder(progress or Silent())
    refuse_overlap(output, job.paths())
    counts = open_counts(job.counts)
    blueprint = _network(job, counts)
    forecast = _plan(job, counts, blueprint)
    if not forecast.fits:
        raise LimitError(
            f"the solve needs about {forecast.solve_bytes >> 20} MiB, allowed are "
            f"{job.memory_bytes >> 20}",
            hint="raise --memory, or take fewer dimensions or a smaller vocabulary",
        )
    device, _ = resolve_device(job.device, forecast.multiply_adds)
    with locked(output):
        refuse_foreign(output, K0_KIND, force)
        record.stage("hashing inputs")
        recipe = job.recipe(forecast.dimensions)
        if is_up_to_date(output, recipe):
            return False
        hashes: dict[Path, str] = {}
        with staged(output, recipe, hashes) as work:
            record.stage("adding offsets")
            view = window_view(counts.offsets, job.window, Distance.FLAT)
            if not view.nnz:
                raise IncompatibleError("the counts hold no pair", where=str(job.counts))
            solved = _solve(job, view, forecast.dimensions, device, record)
            placed = None
            if blueprint is not None:
                placed = _write_start(job, blueprint, counts, solved, work, record, hashes)
            save_array(work / "embeddings.npy", solved.embeddings)
            if solved.k0 is not None:
                save_array(work / "k0.npy", solved.k0)
            report = k0_report(solved, counts, view, job.window, placed)
            report.write(work)
            record.write(work)
    return True


def _solve(job: K0Job, view: Any, dim: int, device: Device, progress: Progress) -> Solved:
    if job.method is K0Method.POWER:
        power = job.spectral_power
        return solve_power(view, dim, power, seed=job.seed, device=device, progress=progress)
    fft, epsilon = job.method is K0Method.FFT, job.epsilon
    return solve_dense(view, dim, epsilon, fft=fft, seed=job.seed, device=device, progress=progress)


def _network(job: K0Job, counts: Counts) -> Blueprint | None:
    """The network of ``init``, which has room for every token and is as wide as asked for."""
    if job.init is None:
        return None
    blueprint = make_blueprint(read_config(job.init))
    refuse_untied(blueprint)
    refuse_vocabulary(counts.vocabulary, blueprint)
    if job.dim not in (None, blueprint.width):
        raise IncompatibleError(
            f"the config is {blueprint.width} wide, and {job.dim} dimensions were asked for",
            hint="leave --dim out",
        )
    return blueprint


def _plan(job: K0Job, counts: Counts, blueprint: Blueprint | None) -> K0Plan:
    if job.window > len(counts.offsets):
        raise IncompatibleError(
            f"a window of {job.window} needs as many offsets, and {len(counts.offsets)} were "
            "counted",
            where=str(job.counts),
            hint=f"count again with --offsets {job.window}, or take a smaller --window",
        )
    v = counts.vocabulary
    dim = blueprint.width if blueprint else job.dim or DEFAULT_DIM
    pairs = sum(int(table.nnz) for table in counts.offsets[: job.window])
    if job.method is K0Method.POWER:
        solve, work = plan_power(v, dim, pairs)
    else:
        refuse_large(v)
        solve, work = plan_dense(v)
    parameters = blueprint.parameters if blueprint else 0
    # The family's own model and what is written of it, once the solve has ended.
    solve = max(solve, 2 * 4 * parameters)
    return K0Plan(
        method=job.method.value,
        vocabulary=v,
        dimensions=dim,
        window=job.window,
        counted_pairs=pairs,
        parameters=parameters,
        solve_bytes=solve,
        memory_bytes=LIBRARIES_BYTES + solve,
        disk_bytes=4 * (v * dim + parameters) + 8 * v,
        multiply_adds=work,
        fits=solve <= job.memory_bytes,
    )


def _write_start(
    job: K0Job,
    blueprint: Blueprint,
    counts: Counts,
    solved: Solved,
    work: Path,
    progress: Progress,
    hashes: dict[Path, str],
) -> Placed:
    """The checkpoint of ``init`` in ``work``."""
    progress.stage("drawing the start")
    # transformers takes seconds to import: a run without a config does not pay them.
    from structinit_core.model import default_tensors

    default = default_tensors(blueprint.config, job.seed)
    placed = place_embeddings(blueprint, default, solved.embeddings)
    stream = baseline_stream("default", blueprint, job.seed, default=placed.tensors)
    progress.stage("writing", len(blueprint.tensors))
    write_checkpoint(work, blueprint.tensors, stream, progress, hashes=hashes)
    (work / "tokenizer.json").write_text(counts.tokenizer_json, encoding="utf-8")
    frame = find_frame(load_tokenizer(work / "tokenizer.json"))
    write_directory(work, blueprint, counts.tokenizer_json, frame)
    return placed
