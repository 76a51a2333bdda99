"""The n-gram method: from counts to codes to the tensors of a whole model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec
from structinit_core.cooc import KneserNey
from structinit_core.corpus import TokenStream, spread
from structinit_core.errors import LimitError
from structinit_core.initializers.closed_form.bigram import StageResult, compile_bigram
from structinit_core.initializers.closed_form.codes import LogBilinear, loss, scored_pairs
from structinit_core.initializers.closed_form.layout import (
    FILLER_DIMENSIONS,
    Stream,
    divide,
    place,
)
from structinit_core.initializers.closed_form.lift import lift_tensors, refuse_narrow
from structinit_core.initializers.closed_form.offsets import OFFSET_STEPS, fit_offsets
from structinit_core.initializers.closed_form.predictor import OffsetPredictor
from structinit_core.initializers.closed_form.recalibrate import scaled
from structinit_core.initializers.closed_form.stages import (
    OFFSETS,
    STAGES,
    head_lags,
    offsets_bytes,
    offsets_obstacle,
)
from structinit_core.initializers.closed_form.tied import place_tied, tied_reads
from structinit_core.initializers.stream import Compiled, compiled_stream
from structinit_core.progress import Progress

_GAIN_TOKENS = 1 << 14
_CPU = torch.device("cpu")

Windows = NDArray[np.int64]


@dataclass(frozen=True)
class CompiledNgram:
    """The placed codes with what each stage was worth and facts of the solve.

    samples: what was drawn in place of the whole table and its error, empty where nothing
    was. spectrum: the singular values of the log-ratio that were kept, descending. left_out:
    stages that were asked for and not tried, with the reason.
    """

    stream: Stream
    stages: list[StageResult]
    facts: dict[str, float]
    samples: dict[str, float]
    spectrum: tuple[float, ...]
    left_out: dict[str, str] = field(default_factory=dict)

    def offline_loss(self, stream: TokenStream, windows: Windows, device: torch.device) -> float:
        """Loss in nats of what the model was compiled from, without running it."""
        return predicted_loss(self.stream.predictor.to(device), stream, windows)

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
        if self.stream.heads is not None:
            compiled |= self.stream.heads.tensors(blueprint, seed)
        return compiled_stream(blueprint, compiled, seed)


def refuse_unsupported(blueprint: Blueprint) -> None:
    """Refuse models this method cannot compile, with the reason.

    Raises:
        IncompatibleError: too small a width, or too narrow a feed-forward for a tied head.
    """
    divide(blueprint)
    if blueprint.tied:
        refuse_narrow(blueprint, tied_reads(blueprint))


def predicted_loss(
    predictor: LogBilinear | OffsetPredictor, stream: TokenStream, windows: Windows
) -> float:
    """Loss in nats of a predictor on the scored tokens of the windows."""
    if isinstance(predictor, OffsetPredictor):
        return predictor.loss(stream, windows)
    return loss(predictor, scored_pairs(stream, windows, len(predictor.bias)))


def compile_ngram(
    model: KneserNey,
    windows: Windows,
    blueprint: Blueprint,
    *,
    stages: Sequence[str] = STAGES,
    spare_bytes: int,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> CompiledNgram:
    """``model`` compiled for ``blueprint``: the KN bigram, then heads that read older tokens.

    The bigram (module ``bigram``) comes first. The offsets are fitted from there (module
    ``offsets``), written into the first layer's heads, and kept if the loss on the held-out
    ``windows`` falls with attention and norms as the network will have them. What a model has
    no place for is left out with the reason. ``spare_bytes`` bounds what the offsets take
    beyond the bigram.

    Raises:
        LimitError: they would take more.
        IncompatibleError: a model this method cannot compile yet.
        NumericalError: NaN or infinity in a factorisation or fit.
    """
    refuse_unsupported(blueprint)
    reason = None
    if OFFSETS in stages:
        reason = offsets_obstacle(blueprint, model.counts)
        if reason is None and len(windows) == 0:
            reason = "there is no held-out text to judge them"
    tried = OFFSETS in stages and reason is None
    if tried and (needed := offsets_bytes(blueprint, model.counts)) > spare_bytes:
        raise LimitError(
            f"the offsets need about {needed >> 20} MiB beside the bigram's solve",
            hint="raise --memory, or compile --without offsets",
        )
    bigram = compile_bigram(model, windows, blueprint, seed=seed, device=device, progress=progress)
    results, best = bigram.stages, min(stage.loss for stage in bigram.stages)
    progress.stage("norm accounting")
    write = place_tied if blueprint.tied else place
    stream = write(bigram.codes.to(_CPU), blueprint, seed)
    if tried:
        began = time.perf_counter()
        candidate = place_offsets(
            bigram.codes, model, windows, blueprint, seed=seed, progress=progress
        )
        after = predicted_loss(candidate.predictor.to(device), model.counts.held_out, windows)
        spent = time.perf_counter() - began
        results.append(StageResult(OFFSETS, after, best - after, after < best, spent))
        if after < best:
            stream = candidate
    left_out = {OFFSETS: reason} if reason is not None else {}
    return CompiledNgram(
        stream, results, bigram.spectrum.facts(), bigram.samples, bigram.spectrum.values, left_out
    )


def place_offsets(
    codes: LogBilinear,
    model: KneserNey,
    windows: Windows,
    blueprint: Blueprint,
    *,
    seed: int,
    progress: Progress,
) -> Stream:
    """The offsets fitted from the bigram's ``codes`` and placed, with a held-out gain."""
    progress.stage("offsets on the count tables", OFFSET_STEPS)
    fitted = fit_offsets(
        codes,
        model,
        head_lags(blueprint, model.counts),
        divide(blueprint).identity - FILLER_DIMENSIONS,
        blueprint.head_width,
        seed=seed,
        progress=progress,
    )
    progress.stage("offset heads")
    held_out, sample = model.counts.held_out, spread(windows, _GAIN_TOKENS)
    predictor = cast("OffsetPredictor", place(fitted.to(_CPU), blueprint, seed).predictor)
    gain = predictor.to(codes.left.device).gain(held_out, sample)
    fitted = replace(fitted, codes=scaled(fitted.codes, gain))
    return place(fitted.to(_CPU), blueprint, seed)
