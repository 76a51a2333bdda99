"""The n-gram method: from counts to codes to the tensors of a whole model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec
from structinit_core.cooc import KneserNey
from structinit_core.corpus import TokenStream, spread
from structinit_core.errors import LimitError
from structinit_core.initializers.closed_form.bigram import StageResult, compile_bigram
from structinit_core.initializers.closed_form.codes import loss, scored_pairs
from structinit_core.initializers.closed_form.contexts import TextContexts
from structinit_core.initializers.closed_form.copying import place_copy
from structinit_core.initializers.closed_form.layout import Stream, divide
from structinit_core.initializers.closed_form.lift import refuse_narrow
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.offset_heads import place_offsets
from structinit_core.initializers.closed_form.parts import Weights, write_heads, write_units
from structinit_core.initializers.closed_form.readouts import place_readouts
from structinit_core.initializers.closed_form.stages import (
    BIGRAM,
    COPY,
    OFFSETS,
    READOUTS,
    SAMPLED_TOKENS,
    STAGES,
    TableSizes,
    obstacles,
    stage_bytes,
)
from structinit_core.initializers.closed_form.tied import place_codes, tied_reads
from structinit_core.initializers.stream import Compiled, compiled_stream
from structinit_core.model import induction_score, read_wiring, repeated_sequences
from structinit_core.progress import Progress

_HEADS_TO_SPARE, _WORTH_A_HEAD = 3, 0.05
"""Sets of keys and values that a layer has, and nats of copying, to leave one to it."""
_CPU = torch.device("cpu")

Windows = NDArray[np.int64]


@dataclass(frozen=True)
class CompiledNgram:
    """The placed codes with what each stage was worth and facts of the solve.

    samples: what was drawn in place of the whole table and its error, empty where nothing
    was. spectrum: the singular values of the log-ratio that were kept, descending. left_out:
    stages that were asked for and not tried, with the reason. induction: the score of
    :func:`~structinit_core.model.induction_score` with and without the copy heads, empty where
    they were not tried. drawn_from: where the contexts of the offsets' fit came from, empty
    where they were not tried.
    """

    network: Network
    stages: list[StageResult]
    facts: dict[str, float]
    samples: dict[str, float]
    spectrum: tuple[float, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    induction: dict[str, float] = field(default_factory=dict)
    drawn_from: str = ""

    @property
    def stream(self) -> Stream:
        """The tensors that carry the codes, and what is written into the layers."""
        return self.network.stream

    def offline_loss(self, stream: TokenStream, windows: Windows, device: torch.device) -> float:
        """Loss in nats of what the model was compiled from, without running it.

        With heads that of :class:`Network`; a bigram needs no network.
        """
        if self.stream.heads:
            return self.network.to(device).loss(stream, windows)
        predictor = self.stream.predictor.to(device)
        return loss(predictor, scored_pairs(stream, windows, len(predictor.bias)))

    def tensors(self, blueprint: Blueprint, seed: int) -> Iterator[tuple[TensorSpec, Tensor]]:
        """Every stored tensor of the model in blueprint order."""
        carried = {
            (Role.EMBED, Kind.WEIGHT): self.stream.embed,
            (Role.POSITION, Kind.WEIGHT): self.stream.position,
            (Role.HEAD, Kind.WEIGHT): self.stream.head,
            (Role.FINAL_NORM, Kind.BIAS): self.stream.final_bias,
        }
        weights = Weights(blueprint, seed)
        write_heads(self.stream.heads, weights)
        write_units(self.stream.units, weights)
        outer: Compiled = {(*at, None): part for at, part in carried.items() if part is not None}
        return compiled_stream(blueprint, weights.parts | outer, seed)


def refuse_unsupported(blueprint: Blueprint) -> None:
    """Refuse models this method cannot compile, with the reason.

    Raises:
        IncompatibleError: too small a width, or too narrow a feed-forward for a tied head.
    """
    divide(blueprint)
    if blueprint.tied:
        refuse_narrow(blueprint, tied_reads(blueprint))


def compile_ngram(
    model: KneserNey,
    windows: Windows,
    blueprint: Blueprint,
    *,
    stages: Sequence[str] = STAGES,
    spare_bytes: int,
    seed: int,
    text: TextContexts | None = None,
    device: torch.device,
    progress: Progress,
) -> CompiledNgram:
    """``model`` compiled for ``blueprint``: the KN bigram, then what reads older tokens.

    The bigram (module ``bigram``) comes first. Every later stage is built on what stands
    (:class:`~structinit_core.initializers.closed_form.network.Network`) and kept if the loss
    on the held-out ``windows`` falls with attention and norms as the model will have them.
    What a model has no place for is left out with the reason. ``spare_bytes`` bounds what
    later stages take beyond the bigram. ``text``: where the contexts of the offsets' fit come
    from; the trigram counts, where it is ``None``.

    Raises:
        LimitError: they would take more.
        IncompatibleError: a model this method cannot compile yet.
        NumericalError: NaN or infinity in a factorisation or fit.
    """
    refuse_unsupported(blueprint)
    sizes = TableSizes.of(model.counts)
    left_out = obstacles(stages, blueprint, sizes, judged=len(windows) > 0)
    tried = [name for name in stages if name != BIGRAM and name not in left_out]
    for name, needed in stage_bytes(tried, blueprint, sizes).items():
        if needed > spare_bytes:
            raise LimitError(
                f"the {name} need about {needed >> 20} MiB beside the bigram's solve",
                hint=f"raise --memory, or compile --without {name}",
            )
    bigram = compile_bigram(model, windows, blueprint, seed=seed, device=device, progress=progress)
    results, best = bigram.stages, min(stage.loss for stage in bigram.stages)
    progress.stage("norm accounting")
    wiring = read_wiring(blueprint)
    stream = place_codes(bigram.codes.to(_CPU), blueprint, wiring, seed)
    network = Network(stream, blueprint, wiring).to(device)
    held_out = model.counts.held_out

    def attempt(name: str, change: Callable[[Network], Network]) -> None:
        nonlocal network, best
        began = time.perf_counter()
        candidate = change(network)
        after = candidate.loss(held_out, windows)
        spent = time.perf_counter() - began
        results.append(StageResult(name, after, best - after, after < best, spent))
        if after < best:
            network, best = candidate, after

    repeated = repeated_sequences(model.counts.unigram, blueprint.context, 0, sequences=8)

    def copying(built: Network) -> float:
        return induction_score(built.loss, repeated) if repeated is not None else 0.0

    def with_copying(built: Network) -> Network:
        return place_copy(built, held_out, windows, model.counts.unigram)

    induction: dict[str, float] = {}
    if OFFSETS in tried:
        spare = COPY in tried and blueprint.kv_heads >= _HEADS_TO_SPARE
        if spare:
            # Copying needs a head that the offsets would take: the bigram tells if it repays it.
            progress.stage("copy heads on the bigram")
            spare = with_copying(network).loss(held_out, windows) < best - _WORTH_A_HEAD
        attempt(
            OFFSETS,
            lambda built: place_offsets(
                built,
                bigram.codes,
                model,
                windows,
                progress,
                bigram.samples,
                text=text,
                spare=spare,
            ),
        )
    if COPY in tried:
        progress.stage("copy heads")
        induction["induction.without_copy"] = copying(network)
        attempt(COPY, with_copying)
        induction["induction.score"] = copying(network)
    if READOUTS in tried and network.stream.heads:
        attempt(
            READOUTS, lambda built: add_readouts(built, model, windows, progress, bigram.samples)
        )
    elif READOUTS in tried:
        left_out[READOUTS] = "no head tells them what stood before"
    return CompiledNgram(
        network.to(_CPU),
        results,
        bigram.spectrum.facts(),
        bigram.samples,
        bigram.spectrum.values,
        left_out,
        induction,
        ("the text" if text else "trigram counts") if OFFSETS in tried else "",
    )


def add_readouts(
    network: Network,
    model: KneserNey,
    windows: Windows,
    progress: Progress,
    samples: dict[str, float],
) -> Network:
    """``network`` with readouts in its free feed-forward units, their steps judged held out."""
    far = {(head.layer, head.index) for head in network.stream.heads if head.lag not in (0, 1)}
    sample = spread(windows, SAMPLED_TOKENS)

    def judge(candidate: Network) -> float:
        return candidate.loss(model.counts.held_out, sample)

    return place_readouts(network, far, model, judge, progress, samples)
