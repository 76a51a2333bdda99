"""The n-gram method: from counts to codes to the tensors of a whole model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec
from structinit_core.cooc import KneserNey
from structinit_core.initializers.closed_form.codes import LogBilinear, Pairs, factorise, loss
from structinit_core.initializers.closed_form.layout import Stream, divide, place
from structinit_core.initializers.closed_form.lift import lift_tensors, refuse_narrow
from structinit_core.initializers.closed_form.recalibrate import fit_gain, scaled
from structinit_core.initializers.closed_form.refit import REFIT_STEPS
from structinit_core.initializers.closed_form.solver import TableSolver
from structinit_core.initializers.closed_form.tied import place_tied, tied_reads
from structinit_core.initializers.stream import Compiled, compiled_stream
from structinit_core.progress import Progress


@dataclass(frozen=True)
class StageResult:
    """One stage: the loss in nats that judged it, and whether it was kept."""

    name: str
    loss: float
    accepted: bool
    seconds: float


@dataclass(frozen=True)
class CompiledBigram:
    """The placed codes with what each stage was worth and facts of the solve.

    samples: what was drawn in place of the whole table and its error, empty where nothing
    was. spectrum: the singular values of the log-ratio that were kept, descending.
    """

    stream: Stream
    stages: list[StageResult]
    facts: dict[str, float]
    samples: dict[str, float]
    spectrum: tuple[float, ...]

    def tensors(self, blueprint: Blueprint, seed: int) -> Iterator[tuple[TensorSpec, Tensor]]:
        """Every stored tensor of the model in blueprint order."""
        carried = {
            (Role.EMBED, Kind.WEIGHT): self.stream.embed,
            (Role.POSITION, Kind.WEIGHT): self.stream.position,
            (Role.HEAD, Kind.WEIGHT): self.stream.head,
            (Role.FINAL_NORM, Kind.BIAS): self.stream.final_bias,
        }
        compiled: Compiled = {(*at, None): part for at, part in carried.items() if part is not None}
        if self.stream.lift is not None:
            compiled |= lift_tensors(self.stream.lift, blueprint, seed)
        return compiled_stream(blueprint, compiled, seed)


def refuse_unsupported(blueprint: Blueprint) -> None:
    """Refuse models this method cannot compile, with the reason.

    Raises:
        IncompatibleError: too small a width, or too narrow a feed-forward for a tied head.
    """
    divide(blueprint)
    if blueprint.tied:
        refuse_narrow(blueprint, tied_reads(blueprint))


def compile_bigram(
    model: KneserNey,
    held_out: Pairs,
    blueprint: Blueprint,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> CompiledBigram:
    """The KN bigram compiled for ``blueprint``: log-ratio SVD, table refit, norm accounting.

    Stages after the first are kept only if the held-out pairs' loss falls; without held-out
    text the loss on the count table judges and the gain stays 1. Above 16,384 tokens the
    table is sampled. Cost: dominated by the refit, 32 steps of 3·V·n·r multiply-adds for n
    columns, all or 2,048 of them. Source: ours (closed-form note 3.1-3.3, prototype sections
    1-2).

    Raises:
        IncompatibleError: a model this method cannot compile yet.
        NumericalError: NaN or infinity in a factorisation or fit.
    """
    refuse_unsupported(blueprint)
    rank = min(divide(blueprint).prediction, model.vocabulary - 1)
    stages: list[StageResult] = []
    progress.stage("log-ratio SVD")
    began = time.perf_counter()
    codes, spectrum = factorise(model, rank, seed, device)
    table = TableSolver(model, seed, device)
    codes = codes.to(device)

    def judge(candidate: LogBilinear) -> float:
        return loss(candidate, held_out) if held_out.total else table.loss(candidate)

    best = judge(codes)
    stages.append(StageResult("svd", best, True, time.perf_counter() - began))

    def attempt(name: str, change: Callable[[LogBilinear], LogBilinear]) -> None:
        nonlocal codes, best
        began = time.perf_counter()
        candidate = change(codes)
        after = judge(candidate)
        accepted = after < best
        if accepted:
            codes, best = candidate, after
        stages.append(StageResult(name, after, accepted, time.perf_counter() - began))

    def rescale(codes: LogBilinear) -> LogBilinear:
        return scaled(codes, fit_gain(codes, held_out))

    progress.stage("refit on the count table", REFIT_STEPS)
    attempt("table_refit_first_order", lambda codes: table.refitted(codes, progress))
    progress.stage("gain and bias")
    if held_out.total:
        attempt("gain", rescale)
    attempt("bias", table.rebalanced)
    progress.stage("norm accounting")
    write = place_tied if blueprint.tied else place
    stream = write(codes.to(torch.device("cpu")), blueprint, seed)
    return CompiledBigram(stream, stages, spectrum.facts(), table.samples, spectrum.values)
