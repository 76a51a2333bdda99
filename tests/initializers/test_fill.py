from __future__ import annotations

import pytest
import torch

from structinit_core.blueprint import Blueprint, Kind, Role, make_blueprint, read_config
from structinit_core.errors import NumericalError
from structinit_core.initializers import compiled_stream
from structinit_core.initializers.fill import fill
from structinit_core.initializers.stream import stored


@pytest.fixture
def blueprint(tiny_config) -> Blueprint:
    return make_blueprint(read_config(tiny_config))


def part(blueprint: Blueprint, role: Role, layer: int = 0, seed: int = 0) -> torch.Tensor:
    spec = next(
        s
        for s in blueprint.tensors
        if role in s.roles and s.kind is Kind.WEIGHT and s.layer == layer
    )
    return fill(spec, role, blueprint, seed)


def test_norm_gains_are_one_and_biases_zero(blueprint: Blueprint) -> None:
    for spec, tensor in compiled_stream(blueprint, {}, seed=0):
        if spec.kind is Kind.BIAS:
            assert not tensor.any(), spec.name
        elif tensor.ndim == 1:
            assert bool((tensor == 1).all()), spec.name


def test_all_branches_together_stay_next_to_zero(blueprint: Blueprint) -> None:
    stream = torch.nn.functional.layer_norm(torch.randn(256, blueprint.width), (blueprint.width,))
    total = torch.zeros_like(stream)
    for layer in range(blueprint.layers):
        values = stream @ part(blueprint, Role.ATTN_V, layer).T
        total += values @ part(blueprint, Role.ATTN_OUT, layer).T
        hidden = torch.nn.functional.gelu(stream @ part(blueprint, Role.MLP_UP, layer).T)
        total += hidden @ part(blueprint, Role.MLP_DOWN, layer).T
    assert 0 < float(total.square().mean().sqrt()) < 0.1 / blueprint.width**0.5


def test_inputs_give_unit_variance(blueprint: Blueprint) -> None:
    stream = torch.nn.functional.layer_norm(torch.randn(512, blueprint.width), (blueprint.width,))
    for role in (Role.ATTN_V, Role.MLP_UP):
        assert float((stream @ part(blueprint, role).T).std()) == pytest.approx(1, abs=0.1)


def test_a_token_attends_more_to_its_like(blueprint: Blueprint) -> None:
    stream = torch.nn.functional.layer_norm(torch.randn(64, blueprint.width), (blueprint.width,))
    queries, keys = (part(blueprint, role) for role in (Role.ATTN_Q, Role.ATTN_K))
    width = blueprint.head_width
    for head in range(blueprint.heads):
        rows = slice(head * width, (head + 1) * width)
        scores = (stream @ queries[rows].T) @ (stream @ keys[rows].T).T / width**0.5
        itself, others = scores.diagonal().mean(), scores.mean()
        assert 0.2 < float(itself - others) < 3


def test_draws_depend_on_tensor_and_seed_only(blueprint: Blueprint) -> None:
    once = {s.name: t for s, t in compiled_stream(blueprint, {}, seed=0)}
    again = {s.name: t for s, t in compiled_stream(blueprint, {}, seed=0)}
    other = {s.name: t for s, t in compiled_stream(blueprint, {}, seed=1)}
    name = "transformer.h.1.mlp.c_fc.weight"
    assert all(torch.equal(once[key], again[key]) for key in once)
    assert not torch.equal(once[name], other[name])
    assert not torch.equal(once[name], once["transformer.h.0.mlp.c_fc.weight"])


def test_fused_conv1d_holds_q_k_v_as_gpt2_splits_them(blueprint: Blueprint) -> None:
    spec = next(s for s in blueprint.tensors if len(s.roles) == 3 and s.kind is Kind.WEIGHT)
    parts = [torch.randn(spec.logical_shape) for _ in spec.roles]
    stream = torch.randn(5, blueprint.width)
    fused = stream @ stored(spec, parts)  # Conv1D multiplies from the right
    for ours, logical in zip(fused.split(blueprint.width, dim=1), parts, strict=True):
        torch.testing.assert_close(ours, stream @ logical.T)


def test_wrong_shapes_and_nan_are_refused(blueprint: Blueprint) -> None:
    spec = blueprint.tensors[0]
    with pytest.raises(ValueError, match=spec.name):
        stored(spec, [torch.zeros(2, 2)])
    broken = {(Role.EMBED, Kind.WEIGHT, None): torch.full(spec.shape, torch.nan)}
    with pytest.raises(NumericalError, match=spec.name):
        list(compiled_stream(blueprint, broken, seed=0))
