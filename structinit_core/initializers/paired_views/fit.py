"""The greedy fit: block after block, each from two views as the blocks before leave them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from structinit_core.errors import NumericalError
from structinit_core.initializers.paired_views.attention import (
    OutputMoments,
    attended,
    contexts,
    spectral_heads,
)
from structinit_core.initializers.paired_views.config import PairedViewsConfig
from structinit_core.initializers.paired_views.encoder import Block, Encoder, empty_encoder
from structinit_core.initializers.paired_views.moments import ViewMoments
from structinit_core.initializers.paired_views.solve import solve_moments
from structinit_core.initializers.paired_views.windows import TextWindows, masked_views
from structinit_core.linalg import Device
from structinit_core.progress import Progress


def fit_encoder(
    config: PairedViewsConfig,
    windows: TextWindows,
    *,
    seed: int,
    device: Device,
    progress: Progress,
    mask_seed: int | None = None,
) -> Encoder:
    """The encoder of seed 002 for text windows, without gradients and **without any label**.

    Two views of a window have each token masked to the pad with probability ``mask_share``. A
    block is fitted on all positions of all windows: heads from the covariances of the views,
    the output map and blend towards the mean of both views, then the feed-forward by the layer
    solve. No solve sees the token that follows a window. ``seed`` draws token vectors, and
    masks unless ``mask_seed`` is given. The windows are read three times a block and their
    states made again, so memory is one block of them and O((Hd)²), however long the text.
    Time: about ten times the multiply-adds of :meth:`Compute.initialisation` with three blocks.
    Deterministic on one machine with a fixed number of threads. Source: seed 002,
    "spectral-self" and ``fit_encoder_init_transformer_state``.

    Raises:
        NumericalError: a solve failed.
    """
    encoder = empty_encoder(config, seed, device)
    draws = seed if mask_seed is None else mask_seed
    for layer in range(config.num_hidden_layers):
        progress.stage(
            f"fitting block {layer + 1} of {config.num_hidden_layers}", 3 * windows.count
        )
        encoder = encoder.with_block(_fit_block(encoder, windows, draws, device, progress))
    return encoder


@torch.no_grad()
def _fit_block(
    encoder: Encoder, windows: TextWindows, seed: int, device: Device, progress: Progress
) -> Block:
    config = encoder.config

    def states() -> Iterator[tuple[Tensor, Tensor]]:
        for first, second in masked_views(windows, config, seed, device):
            yield encoder.states(first), encoder.states(second)
            progress.advance()

    moments = ViewMoments()
    for first, second in states():
        moments.add(first.flatten(0, 1), second.flatten(0, 1))
    heads, landmarks = config.num_attention_heads, config.landmarks
    whitening, projections = (
        part.float() for part in spectral_heads(moments, heads, landmarks, config.eigenvalue_floor)
    )
    towards = OutputMoments()
    for pair in states():
        middle = ((pair[0] + pair[1]) / 2).flatten(0, 1)
        for view in pair:
            mixed = contexts(view, whitening, projections)
            towards.add(mixed.flatten(0, 1), view.flatten(0, 1), middle)
    output, blend = (part.float() for part in towards.solve(config.ridge))
    epsilon, moments = config.layer_norm_epsilon, ViewMoments()
    for pair in states():
        one, two = (attended(view, whitening, projections, output, blend, epsilon) for view in pair)
        moments.add(one.flatten(0, 1), two.flatten(0, 1))
    solved = solve_moments(moments, ridge=config.ridge, floor=config.eigenvalue_floor)
    block = Block(whitening, projections, output, blend, solved.matrix.float())
    if not all(bool(torch.isfinite(part).all()) for part in (output, blend, block.shrinkage)):
        raise NumericalError("a block of the encoder is not finite")
    return block
