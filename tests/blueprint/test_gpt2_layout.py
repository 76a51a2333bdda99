"""Orientation and fusion, asked of the real modules: what they compute, not what they store."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec, make_blueprint

MATRICES = (Role.ATTN_OUT, Role.MLP_UP, Role.MLP_DOWN, Role.HEAD)


@pytest.fixture
def model(config: dict[str, Any]) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**config, attn_implementation="eager")).eval()
    for weights in model.parameters():  # biases that are all zero would hide a mistake
        weights.data.normal_()
    return model


def find(blueprint: Blueprint, role: Role, kind: Kind) -> TensorSpec:
    return next(spec for spec in blueprint.tensors if role in spec.roles and spec.kind is kind)


def logical_part(model: GPT2LMHeadModel, spec: TensorSpec, role: Role) -> Tensor:
    """The view of one role in a stored tensor, output axis first, by the spec alone."""
    stored = model.state_dict()[spec.name]
    outputs = stored.T if spec.orientation == "in_out" else stored
    size = spec.logical_shape[0]
    part = spec.roles.index(role)
    return outputs[part * size : (part + 1) * size]


@pytest.mark.parametrize("role", MATRICES)
def test_a_logical_matrix_multiplies_from_the_left(
    config: dict[str, Any], model: GPT2LMHeadModel, role: Role
) -> None:
    spec = find(make_blueprint(config), role, Kind.WEIGHT)
    module = model.get_submodule(spec.name.removesuffix(".weight"))
    matrix = logical_part(model, spec, role)
    assert tuple(matrix.shape) == spec.logical_shape
    inputs = torch.randn(5, matrix.shape[1])
    offset = module(torch.zeros_like(inputs))
    torch.testing.assert_close(module(inputs) - offset, inputs @ matrix.T)


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (Role.EMBED, (37, 12)),
        (Role.POSITION, (19, 12)),
        (Role.ATTN_Q, (12, 12)),
        (Role.ATTN_V, (12, 12)),
        (Role.MLP_UP, (23, 12)),
        (Role.MLP_DOWN, (12, 23)),
        (Role.FINAL_NORM, (12,)),
    ],
)
def test_logical_shapes(config: dict[str, Any], role: Role, expected: tuple[int, ...]) -> None:
    blueprint = make_blueprint(config)
    assert find(blueprint, role, Kind.WEIGHT).logical_shape == expected
    if role not in (Role.EMBED, Role.POSITION):
        assert find(blueprint, role, Kind.BIAS).logical_shape == expected[:1]


def attend(model: GPT2LMHeadModel) -> Tensor:
    """What the first attention block writes for a fixed input."""
    inputs = torch.randn(1, 7, 12, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model.transformer.h[0].attn(inputs)[0]


def test_query_key_and_value_lie_where_the_spec_says(
    config: dict[str, Any], model: GPT2LMHeadModel
) -> None:
    bias = find(make_blueprint(config), Role.ATTN_Q, Kind.BIAS)
    moved = {}
    before = attend(model)
    for role in (Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V):
        part = logical_part(model, bias, role)
        part += 1.5
        moved[role] = attend(model) - before
        part -= 1.5
    # softmax does not see a shift of all keys; a shift of all values arrives the same at
    # every position; a shift of the queries changes every position in its own way
    torch.testing.assert_close(moved[Role.ATTN_K], torch.zeros_like(before), atol=1e-4, rtol=0)
    value = moved[Role.ATTN_V]
    assert value.abs().max() > 0.1
    torch.testing.assert_close(value, value[:, :1].expand_as(value), atol=1e-4, rtol=0)
    query = moved[Role.ATTN_Q]
    assert (query - query[:, :1]).abs().max() > 0.1


def test_heads_are_rows_of_the_value_and_columns_of_the_output(
    config: dict[str, Any], model: GPT2LMHeadModel
) -> None:
    blueprint = make_blueprint(config)
    value = find(blueprint, Role.ATTN_V, Kind.WEIGHT)
    output = find(blueprint, Role.ATTN_OUT, Kind.WEIGHT)
    assert value.heads == output.heads
    heads = value.heads
    assert heads is not None
    assert heads.count * heads.width == value.logical_shape[0] == output.logical_shape[1]
    # without the columns of one head in the output, its rows in the value do nothing
    second = slice(heads.width, 2 * heads.width)
    logical_part(model, output, Role.ATTN_OUT)[:, second] = 0
    before = attend(model)
    logical_part(model, value, Role.ATTN_V)[second] += 1
    torch.testing.assert_close(attend(model), before)
    logical_part(model, value, Role.ATTN_V)[0] += 1
    assert (attend(model) - before).abs().max() > 0.1
