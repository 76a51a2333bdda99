"""The bigram's codes: stages that are each kept only if held-out text is predicted better."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint
from structinit_core.cooc import KneserNey
from structinit_core.initializers.closed_form.codes import (
    LogBilinear,
    Spectrum,
    factorise,
    loss,
    scored_pairs,
)
from structinit_core.initializers.closed_form.layout import divide
from structinit_core.initializers.closed_form.recalibrate import fit_gain, scaled
from structinit_core.initializers.closed_form.refit import REFIT_STEPS
from structinit_core.initializers.closed_form.solver import TableSolver
from structinit_core.progress import Progress


@dataclass(frozen=True)
class StageResult:
    """One stage: the loss in nats that judged it, and whether it was kept.

    ``worth`` is by how much that loss is below the best before it; 0 for the first.
    """

    name: str
    loss: float
    worth: float
    accepted: bool
    seconds: float


@dataclass(frozen=True)
class FittedBigram:
    """The codes of the KN bigram, how they came about, and the start's spectrum."""

    codes: LogBilinear
    stages: list[StageResult]
    samples: dict[str, float]
    spectrum: Spectrum


def compile_bigram(
    model: KneserNey,
    windows: NDArray[np.int64],
    blueprint: Blueprint,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> FittedBigram:
    """The codes of the KN bigram on ``device``: log-ratio SVD, table refit, gain and bias.

    Stages after the first are kept only if the loss on the held-out windows falls; without
    held-out text the loss on the count table judges and the gain stays 1. Above 16,384 tokens
    the table is sampled. Cost: dominated by the refit, 32 steps of 3·V·n·r multiply-adds for n
    columns, all or 2,048 of them. Source: ours (closed-form note 3.1-3.3, prototype sections
    1-2).
    """
    held_out = scored_pairs(model.counts.held_out, windows, model.vocabulary)
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
    stages.append(StageResult("svd", best, 0.0, True, time.perf_counter() - began))

    def attempt(name: str, change: Callable[[LogBilinear], LogBilinear]) -> None:
        nonlocal codes, best
        began = time.perf_counter()
        candidate = change(codes)
        after = judge(candidate)
        spent = time.perf_counter() - began
        stages.append(StageResult(name, after, best - after, after < best, spent))
        if after < best:
            codes, best = candidate, after

    def rescale(codes: LogBilinear) -> LogBilinear:
        return scaled(codes, fit_gain(codes, held_out))

    progress.stage("refit on the count table", REFIT_STEPS)
    attempt("table_refit_first_order", lambda codes: table.refitted(codes, progress))
    progress.stage("gain and bias")
    if held_out.total:
        attempt("gain", rescale)
    attempt("bias", table.rebalanced)
    return FittedBigram(codes, stages, table.samples, spectrum)
