"""The MLP variant: solved layers, relu, standardisation."""

from __future__ import annotations

import pytest
import torch

from structinit_core.errors import NumericalError
from structinit_core.initializers.paired_views import features, fit_mlp, solve_views

Pair = tuple[torch.Tensor, torch.Tensor]


def test_every_layer_is_the_solve_on_what_the_layers_before_leave(views: Pair) -> None:
    base = (views[0] + views[1]) / 2
    layers = fit_mlp(lambda: [(base, *views)], depth=3, width=5)
    assert [tuple(layer.matrix.shape) for layer in layers] == [(7, 5), (5, 5), (5, 5)]
    for depth, layer in enumerate(layers):
        pair = tuple(features(layers[:depth], view)[-1] for view in views)
        solved = solve_views([pair], width=5).matrix.float()
        torch.testing.assert_close(layer.matrix, solved)


def test_features_are_standardised_over_base_and_views(views: Pair) -> None:
    base = (views[0] + views[1]) / 2
    layers = fit_mlp(lambda: [(base, *views)], depth=2)
    pooled = torch.cat([features(layers, part)[-1] for part in (base, *views)])
    varying = layers[-1].scale > 1e-3
    assert varying.any()
    torch.testing.assert_close(pooled.mean(0), torch.zeros(7), atol=1e-4, rtol=0)
    deviation = pooled[:, varying].std(0, correction=0)
    torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=1e-3, rtol=0)


def test_streaming_is_one_shot(views: Pair) -> None:
    rows = (views[0], *views)
    whole = fit_mlp(lambda: [rows], depth=2)
    pieces = list(zip(*(part.split(37) for part in rows), strict=True))
    for one, other in zip(fit_mlp(lambda: pieces, depth=2), whole, strict=True):
        torch.testing.assert_close(one.matrix, other.matrix, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.scale, other.scale, rtol=1e-4, atol=1e-5)


def test_a_stream_that_can_be_read_once_only_is_refused(views: Pair) -> None:
    once = iter([(views[0], *views)])
    with pytest.raises(NumericalError, match="second reading"):
        fit_mlp(lambda: once, depth=1)
