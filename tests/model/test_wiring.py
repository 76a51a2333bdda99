"""What joins a model's parts, read from configs as transformers reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from structinit_core.blueprint import make_blueprint
from structinit_core.errors import IncompatibleError
from structinit_core.model import Wiring, read_wiring, rotary_frequencies

SIZES: dict[str, Any] = {
    "vocab_size": 37,
    "hidden_size": 64,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}


def wiring(family: str, **fields: Any) -> Wiring:
    return read_wiring(make_blueprint(SIZES | {"model_type": family} | fields))


def test_gpt2_scales_by_layer_where_the_config_says_so() -> None:
    assert wiring("gpt2").scales == (0.25, 0.25)
    assert wiring("gpt2", scale_attn_by_inverse_layer_idx=True).scales == (0.25, 0.125)
    assert wiring("gpt2", scale_attn_weights=False).scales == (1.0, 1.0)
    assert len(wiring("gpt2").frequencies) == 0


def test_both_spellings_of_the_rotary_base_are_one() -> None:
    new = {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}
    old = wiring("llama", rope_theta=500.0).frequencies
    assert (wiring("llama", **new).frequencies == old).all()
    np.testing.assert_allclose(old, 500.0 ** -(np.arange(0, 16, 2) / 16), rtol=1e-6)
    assert not (wiring("llama").frequencies == old).all()


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3", "gpt_neox"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rope_theta": 500.0},
        {"rotary_emb_base": 500, "rotary_pct": 0.5},
        {"head_dim": 8},
        {"rope_scaling": None},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
        {"rope_parameters": {"rope_theta": 1e5}, "rope_theta": 500.0},
        {"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 500.0},
    ],
    ids=str,
)
def test_frequencies_are_those_of_transformers(family: str, fields: dict[str, Any]) -> None:
    if family == "gpt_neox":
        fields = {name: value for name, value in fields.items() if name != "head_dim"}
    config = SIZES | {"model_type": family} | fields
    ours = read_wiring(make_blueprint(config))
    theirs, scale = rotary_frequencies(config)
    assert torch.equal(ours.frequencies, theirs)
    assert ours.rotary_scale == scale


def test_part_of_a_head_is_rotated() -> None:
    assert len(wiring("gpt_neox", rotary_pct=0.5).frequencies) == 4
    assert wiring("gpt_neox").parallel
    assert not wiring("gpt_neox", use_parallel_residual=False).parallel
    assert not wiring("llama").parallel


def test_windows_are_of_the_layers_that_have_them() -> None:
    assert wiring("mistral").windows == (4096, 4096)
    assert wiring("mistral", sliding_window=None).windows == (None, None)
    assert wiring("qwen2").windows == (None, None)
    part = {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}
    assert wiring("qwen3", **part).windows == (None, 7)
    assert wiring("qwen2", **part, layer_types=["sliding_attention"] * 2).windows == (7, 7)
    assert wiring("llama").windows == (None, None)


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("mistral", {"sliding_window": "wide"}),
        ("mistral", {"sliding_window": 0}),
        ("qwen2", {"use_sliding_window": True, "layer_types": ["chunked_attention"] * 2}),
        ("qwen2", {"use_sliding_window": 1}),
        ("llama", {"rope_theta": "big"}),
        ("gpt_neox", {"rotary_pct": -1}),
    ],
)
def test_fields_of_the_wrong_type_are_refused(family: str, fields: dict[str, Any]) -> None:
    with pytest.raises(IncompatibleError, match="config: "):
        wiring(family, **fields)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_frequencies_that_change_with_the_length_are_refused(kind: str) -> None:
    factors = {"short_factor": [1.0] * 8, "long_factor": [1.0] * 8}
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 2.0}
    rope |= factors if kind == "longrope" else {}
    with pytest.raises(IncompatibleError, match=kind):
        wiring("llama", rope_parameters=rope)
