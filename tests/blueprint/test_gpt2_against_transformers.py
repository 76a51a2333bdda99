"""The GPT-2 table names what the real model stores: every name, shape and tie, in order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from structinit_core.blueprint import Kind, Role, make_blueprint
from structinit_core.errors import IncompatibleError

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "untied": {"tie_word_embeddings": False},
    "feed-forward of four widths": {"n_inner": None},
    "one head": {"n_head": 1},
    "heads of one": {"n_head": 12},
    "one layer": {"n_layer": 1},
    "many layers": {"n_layer": 12},
    "width of one": {"n_embd": 1, "n_head": 1},
    "vocabulary of one": {"vocab_size": 1},
}
FIELDS_WITH_DEFAULTS = ("n_positions", "n_inner", "tie_word_embeddings")


def real_model(config: dict[str, Any]) -> GPT2LMHeadModel:
    """The model of transformers, without memory for its weights."""
    with torch.device("meta"):
        return GPT2LMHeadModel(GPT2Config(**config))


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_names_shapes_and_order(config: dict[str, Any], variant: dict[str, Any]) -> None:
    blueprint = make_blueprint(config | variant)
    model = real_model(config | variant)
    stored = [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
    assert [(spec.name, spec.shape) for spec in blueprint.tensors] == stored
    assert blueprint.parameters == sum(weights.numel() for weights in model.parameters())


@pytest.mark.parametrize("missing", FIELDS_WITH_DEFAULTS)
def test_defaults_are_those_of_transformers(config: dict[str, Any], missing: str) -> None:
    del config[missing]
    blueprint, model = make_blueprint(config), real_model(config)
    stored = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert {spec.name: spec.shape for spec in blueprint.tensors} == stored
    assert blueprint.parameters == sum(weights.numel() for weights in model.parameters())
    assert blueprint.norm_epsilon == model.config.layer_norm_epsilon


@pytest.mark.parametrize("tied", [True, False])
def test_ties_are_those_of_the_model(config: dict[str, Any], tied: bool) -> None:
    config["tie_word_embeddings"] = tied
    blueprint, model = make_blueprint(config), real_model(config)
    ties = {spec.name: spec.tied_to for spec in blueprint.tensors if spec.tied_to}
    assert blueprint.tied == tied
    assert ties == ({"lm_head.weight": "transformer.wte.weight"} if tied else {})
    assert (model.lm_head.weight is model.transformer.wte.weight) == tied


def test_sizes_are_read_under_their_names(config: dict[str, Any]) -> None:
    blueprint = make_blueprint(config)
    assert (blueprint.vocabulary, blueprint.width, blueprint.layers) == (37, 12, 2)
    assert (blueprint.heads, blueprint.head_width) == (3, 4)
    assert (blueprint.feed_forward, blueprint.context) == (23, 19)


@pytest.mark.parametrize(
    ("alias", "value"),
    [("hidden_size", 24), ("num_attention_heads", 6), ("max_position_embeddings", 40)],
)
def test_aliases_are_not_overlooked(config: dict[str, Any], alias: str, value: int) -> None:
    # transformers lets the alias win over GPT-2's own name, so a blueprint that reads only
    # the latter describes another model; refusing the config would do as well
    config[alias] = value
    real = GPT2Config(**config)
    try:
        blueprint = make_blueprint(config)
    except IncompatibleError:
        return
    found = (blueprint.width, blueprint.heads, blueprint.context)
    assert found == (real.n_embd, real.n_head, real.n_positions)


def test_every_role_has_its_tensor_in_every_layer(config: dict[str, Any]) -> None:
    blueprint = make_blueprint(config)
    of_the_model = {Role.EMBED, Role.POSITION, Role.FINAL_NORM, Role.HEAD}
    of_others = {Role.MLP_GATE, Role.Q_NORM, Role.K_NORM}
    for kind in Kind:
        for layer in range(blueprint.layers):
            found = [
                role
                for spec in blueprint.tensors
                if spec.layer == layer and spec.kind is kind
                for role in spec.roles
            ]
            assert sorted(found) == sorted(set(Role) - of_the_model - of_others)
    outside = [spec.roles[0] for spec in blueprint.tensors if spec.layer is None]
    assert set(outside) == of_the_model
