"""The stage of the offsets: fitted on the count tables, then written as heads of a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from structinit_core.cooc import KneserNey
from structinit_core.corpus import spread
from structinit_core.initializers.closed_form.attention import lag_heads
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.contexts import TextContexts
from structinit_core.initializers.closed_form.layout import FILLER_DIMENSIONS, divide
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.offset_fit import OFFSET_STEPS, fit_offsets
from structinit_core.initializers.closed_form.recalibrate import scaled
from structinit_core.initializers.closed_form.stages import SAMPLED_TOKENS, head_lags
from structinit_core.initializers.closed_form.tied import place_codes, steadied
from structinit_core.progress import Progress

_CPU = torch.device("cpu")

Windows = NDArray[np.int64]


def place_offsets(
    network: Network,
    codes: LogBilinear,
    model: KneserNey,
    windows: Windows,
    progress: Progress,
    samples: dict[str, float],
    *,
    text: TextContexts | None,
    spare: bool,
) -> Network:
    """The offsets fitted from the bigram's ``codes`` and placed, with a held-out gain.

    ``spare`` leaves keys and values of the first layer to another stage.
    """
    blueprint, seed = network.blueprint, network.stream.seed
    progress.stage("offsets on the count tables", OFFSET_STEPS)
    lags, groups = head_lags(blueprint, len(model.counts.offsets), spare)
    fitted = fit_offsets(
        codes,
        model,
        lags,
        divide(blueprint).identity - FILLER_DIMENSIONS,
        blueprint.head_width,
        windows=windows,
        text=text,
        groups=groups,
        seed=seed,
        progress=progress,
        samples=samples,
    )
    progress.stage("offset heads")
    held_out, sample = model.counts.held_out, spread(windows, SAMPLED_TOKENS)

    def placed(codes: LogBilinear) -> Network:
        model = replace(fitted, codes=codes).to(_CPU)
        stream = place_codes(model.codes, blueprint, network.wiring, seed, model.identity)
        heads = lag_heads(model, stream, blueprint, network.wiring)
        stream = replace(stream, heads=heads, offsets=fitted.to(_CPU))
        built = replace(network, stream=stream).to(codes.left.device)
        if not blueprint.tied:
            return built
        return steadied(built, held_out, sample, stream.coordinates.shrink)

    gain = placed(fitted.codes).gain(held_out, sample)
    return placed(scaled(fitted.codes, gain))
