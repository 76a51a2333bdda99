"""The network of compiled parts is the model transformers runs, whatever the parts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from structinit_core.blueprint import Blueprint, Kind, Role, make_blueprint
from structinit_core.initializers import fill as fill_module
from structinit_core.initializers.closed_form import CompiledNgram
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.layout import place
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.parts import Head, Units, holds
from structinit_core.initializers.closed_form.tied import place_tied
from structinit_core.model import read_wiring

SIZES = {"vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
ROTARY = SIZES | {"intermediate_size": 256, "max_position_embeddings": 64}
LLAMA = ROTARY | {"model_type": "llama", "num_key_value_heads": 4}
GPT2 = SIZES | {"model_type": "gpt2", "n_inner": 256, "n_positions": 64}
NEOX = ROTARY | {"model_type": "gpt_neox", "rotary_pct": 0.5}
TIED = {"tie_word_embeddings": True}
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": GPT2 | {"tie_word_embeddings": False},
    "gpt2, tied, scaled by layer": GPT2 | TIED | {"scale_attn_by_inverse_layer_idx": True},
    "gpt2, scores not scaled": GPT2 | {"tie_word_embeddings": False, "scale_attn_weights": False},
    "llama": LLAMA,
    "llama, tied": LLAMA | TIED,
    "llama, grouped, biased, interpolated": LLAMA
    | {"num_key_value_heads": 2, "attention_bias": True, "mlp_bias": True}
    | {"rope_scaling": {"type": "linear", "factor": 4.0}},
    "mistral, sliding": LLAMA | {"model_type": "mistral", "sliding_window": 5},
    "qwen2, one layer sliding": LLAMA
    | {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 5}
    | {"max_window_layers": 2},
    "qwen3, grouped": LLAMA | {"model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 32},
    "gpt_neox": NEOX,
    "gpt_neox, tied": NEOX | TIED,
    "gpt_neox, in sequence, unbiased": NEOX
    | {"use_parallel_residual": False, "attention_bias": False},
}
TOKENS = 24


def random_parts(blueprint: Blueprint, seed: int) -> tuple[tuple[Head, ...], tuple[Units, ...]]:
    """Two heads and ten units in every layer."""
    draw = torch.Generator().manual_seed(seed)
    size, width = blueprint.head_width, blueprint.width
    group = blueprint.heads // blueprint.kv_heads

    def normal(*shape: int, scale: float = 0.1) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=draw)

    heads, units = [], []
    for layer in range(blueprint.layers):
        shared: dict[str, Any] = {"key": normal(size, width), "value": normal(size, width)}
        gains = {}
        if holds(blueprint, Role.ATTN_K, Kind.BIAS):
            shared["key_bias"] = normal(size)
        if holds(blueprint, Role.Q_NORM, Kind.WEIGHT):
            gains = {"query_gain": 1 + normal(size), "key_gain": 1 + normal(size)}
        for index in (0, 1):
            if index % group == 0 and index:
                shared = shared | {"key": normal(size, width), "value": normal(size, width)}
            own = {"query": normal(size, width), "output": normal(width, size)}
            bias = normal(size) if "key_bias" in shared else None
            heads.append(Head(layer, index, **own, **shared, **gains, query_bias=bias))
        gate = normal(10, width) if blueprint.gated else None
        bias = normal(10) if holds(blueprint, Role.MLP_UP, Kind.BIAS) else None
        units.append(Units(layer, normal(10, width), normal(width, 10), gate, bias))
    return tuple(heads), tuple(units)


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_those_of_transformers(
    codes: LogBilinear, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill_module, "_LOGIT_NOISE", 0.0)
    blueprint = make_blueprint(CONFIGS[name])
    codes = LogBilinear(codes.left[:, :16], codes.right[:, :16], codes.bias)
    stream = (place_tied if blueprint.tied else place)(codes, blueprint, 0)
    heads, units = random_parts(blueprint, seed=1)
    stream = dataclasses.replace(stream, heads=heads, units=(*stream.units, *units))
    network = Network(stream, blueprint, read_wiring(blueprint))
    ids = torch.randint(512, (2, TOKENS), generator=torch.Generator().manual_seed(2))

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**CONFIGS[name])).eval()
    compiled = CompiledNgram(network, [], {}, {}, ())
    tensors = {spec.name: tensor for spec, tensor in compiled.tensors(blueprint, 0)}
    if "embed_out.weight" in tensors:  # as loading a checkpoint renames it
        tensors["lm_head.weight"] = tensors.pop("embed_out.weight")
    assert not model.load_state_dict(tensors, strict=False).unexpected_keys
    with torch.no_grad():
        expected = model(ids).logits
    hidden = network.normalised(network.residual(ids))
    bias = 0.0 if stream.final_bias is None else stream.final_bias
    found = (hidden + bias) @ stream.unembed.T
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    silent = dataclasses.replace(stream, heads=(), units=stream.units[: -len(units)])
    alone = Network(silent, blueprint, network.wiring)
    plain = (alone.normalised(alone.residual(ids)) + bias) @ stream.unembed.T
    assert float((plain - expected).abs().max()) > 0.1  # the parts do say something
