"""Configs that are refused by name, before anything of their size is allocated."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from structinit_core.blueprint import make_blueprint
from structinit_core.errors import IncompatibleError, LimitError

SIZES = ("vocab_size", "n_embd", "n_layer", "n_head", "n_positions", "n_inner")
REQUIRED = ("vocab_size", "n_embd", "n_layer", "n_head")


@pytest.mark.parametrize("family", ["bloom", "gpt_neo", "GPT2", "gpt2 ", "", None, 2, ["gpt2"]])
def test_unknown_model_types_are_named(config: dict[str, Any], family: Any) -> None:
    config["model_type"] = family
    with pytest.raises(IncompatibleError) as caught:
        make_blueprint(config)
    assert repr(family) in caught.value.message
    assert "gpt2" in (caught.value.hint or "")


def test_an_empty_config() -> None:
    with pytest.raises(IncompatibleError, match="model_type"):
        make_blueprint({})


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("how", ["absent", "null"])
def test_missing_sizes_are_named(config: dict[str, Any], name: str, how: str) -> None:
    config[name] = None
    if how == "absent":
        del config[name]
    with pytest.raises(IncompatibleError, match=name) as caught:
        make_blueprint(config)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", [0, -1, True, 12.0, float("nan"), "12", [12], {}])
def test_what_is_no_positive_integer(config: dict[str, Any], name: str, value: Any) -> None:
    config[name] = value
    with pytest.raises(IncompatibleError, match=name):
        make_blueprint(config)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", [(1 << 24) + 1, 1 << 40, 1 << 70])
def test_absurd_sizes(config: dict[str, Any], name: str, value: int) -> None:
    config |= {"n_head": 1, name: value}
    tracemalloc.start()
    try:
        with pytest.raises(LimitError) as caught:
            make_blueprint(config)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.exit_code == 6
    assert name in caught.value.message
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "sizes",
    [
        {"vocab_size": 1 << 24, "n_embd": 1 << 24},
        {"n_inner": 1 << 24, "n_embd": 1 << 20},
        {"n_layer": 1 << 12, "n_embd": 1 << 15},
        {"n_layer": (1 << 12) + 1},
    ],
)
def test_sizes_that_are_absurd_together(config: dict[str, Any], sizes: dict[str, int]) -> None:
    with pytest.raises(LimitError):
        make_blueprint(config | {"n_head": 1} | sizes)


def test_a_large_model_is_described_without_its_memory(config: dict[str, Any]) -> None:
    config |= {"vocab_size": 256_000, "n_embd": 16_384, "n_layer": 100, "n_head": 128}
    tracemalloc.start()
    try:
        blueprint = make_blueprint(config | {"n_inner": None})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert blueprint.parameters > 3e11
    assert peak < 1 << 23


@pytest.mark.parametrize("heads", [5, 24])
def test_heads_that_do_not_divide_the_width(config: dict[str, Any], heads: int) -> None:
    config["n_head"] = heads
    with pytest.raises(IncompatibleError, match=f"12.*{heads}"):
        make_blueprint(config)


@pytest.mark.parametrize("value", [{"AutoModelForCausalLM": "modeling.Evil"}, {}, None])
def test_code_to_run_is_refused(config: dict[str, Any], value: Any) -> None:
    config["auto_map"] = value
    with pytest.raises(IncompatibleError, match="auto_map"):
        make_blueprint(config)


def test_cross_attention_is_refused(config: dict[str, Any]) -> None:
    config["add_cross_attention"] = True
    with pytest.raises(IncompatibleError, match="cross attention"):
        make_blueprint(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tie_word_embeddings", "false"),
        ("tie_word_embeddings", 1),
        ("add_cross_attention", None),
        ("activation_function", "gelu_newest"),
        ("activation_function", ["gelu"]),
        ("layer_norm_epsilon", "1e-5"),
        ("layer_norm_epsilon", -1e-5),
        ("layer_norm_epsilon", True),
        ("layer_norm_epsilon", float("nan")),
        ("layer_norm_epsilon", float("inf")),
        ("layer_norm_epsilon", 10**400),
    ],
)
def test_fields_of_another_type_or_value(config: dict[str, Any], name: str, value: Any) -> None:
    config[name] = value
    with pytest.raises(IncompatibleError, match=name):
        make_blueprint(config)


def test_fields_of_no_consequence_are_kept(config: dict[str, Any]) -> None:
    config |= {"transformers_version": "5.0", "summary_type": "cls_index", "unheard_of": [1]}
    assert make_blueprint(config).config == config
