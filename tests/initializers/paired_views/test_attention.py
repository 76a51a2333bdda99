"""The spectral attention block: where its heads, output map and blend come from."""

from __future__ import annotations

import math

import pytest
import torch

from structinit_core.initializers.paired_views import ViewMoments
from structinit_core.initializers.paired_views.attention import (
    OutputMoments,
    attention_weights,
    spectral_heads,
)

Pair = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture
def moments(views: Pair) -> ViewMoments:
    gathered = ViewMoments()
    gathered.add(*views)
    return gathered


def test_heads_take_the_shared_directions_in_turn(moments: ViewMoments) -> None:
    """In whitened coordinates the heads' columns are orthonormal, their shares descending."""
    whitening, projections = spectral_heads(moments, 2, 3, 1e-4)
    assert projections.shape == (2, 7, 3)
    own, shared = moments.covariances()
    columns = torch.cat(list(projections), dim=1)
    torch.testing.assert_close(columns.T @ columns, torch.eye(6, dtype=torch.float64))
    white = whitening @ shared @ whitening
    shares = torch.diagonal(columns.T @ white @ columns)
    expected = torch.linalg.eigvalsh(white).flip(0)[:6]
    torch.testing.assert_close(shares, expected)
    torch.testing.assert_close(whitening @ own @ whitening, torch.eye(7, dtype=torch.float64))


def test_weights_can_hardly_differ() -> None:
    draw = torch.Generator().manual_seed(0)
    states = 100 * torch.randn(3, 10, 16, generator=draw)
    projections = torch.randn(2, 16, 8, generator=draw)
    weights = attention_weights(states, torch.eye(16), projections)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 10))
    spread = weights.amax(-1) / weights.amin(-1)
    assert spread.max() <= math.exp(2 / math.sqrt(8)) * (1 + 1e-5)
    assert torch.equal(weights.argmax(-1), torch.arange(10).expand(3, 2, 10))


@pytest.mark.parametrize("ridge", [1.0, 50.0])
def test_the_output_map_and_the_blend_are_least(ridge: float) -> None:
    draw = torch.Generator().manual_seed(1)
    towards, blocks = OutputMoments(), []
    for _ in range(4):
        mean = torch.randn(50, 5, generator=draw)
        states = mean + 0.5 * torch.randn(50, 5, generator=draw)
        context = torch.cat((mean, states), 1) @ torch.randn(10, 6, generator=draw)
        blocks.append((context, states, mean))
        towards.add(*blocks[-1])
    output, blend = towards.solve(ridge)
    context, states, mean = (torch.cat(parts).double() for parts in zip(*blocks, strict=True))
    root = math.sqrt(ridge) * torch.eye(6, dtype=torch.float64)
    stacked = torch.cat((context, root))
    padded = torch.cat((mean, torch.zeros(6, 5, dtype=torch.float64)))
    torch.testing.assert_close(output, torch.linalg.lstsq(stacked, padded).solution)

    def apart(alpha: float) -> float:
        return float((alpha * states + (1 - alpha) * context @ output - mean).square().sum())

    assert 0 < float(blend) < 1
    least = apart(float(blend))
    assert all(least <= apart(step / 50) for step in range(51))


def test_the_blend_is_clipped() -> None:
    """Where the target lies beyond the states the best α in [0, 1] is 1; behind, 0."""
    draw = torch.Generator().manual_seed(2)
    context, states = torch.randn(80, 4, generator=draw), torch.randn(80, 3, generator=draw)
    for factor, expected in ((3.0, 1.0), (-1.0, 0.0)):
        towards = OutputMoments()
        towards.add(context, states, factor * states)
        assert float(towards.solve(1.0)[1]) == expected
