"""Llama and its descendants: RMSNorm, rotary positions, gated feed-forward, grouped queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from structinit_core.blueprint.blueprint import Blueprint, Norm
from structinit_core.blueprint.fields import (
    ACTIVATIONS,
    MAX_LAYERS,
    choice,
    flag,
    number,
    size,
)
from structinit_core.blueprint.roles import HeadSplit, Kind, Role, TensorSpec
from structinit_core.errors import IncompatibleError


@dataclass(frozen=True)
class Table:
    """What a family does otherwise than Llama; ``None``: the config says, by default no."""

    architecture: str
    context: int
    kv_heads: int | None = None
    head_width: int | None = None
    qkv_bias: bool | None = None
    out_bias: bool | None = None
    mlp_bias: bool | None = False
    qk_norm: bool = False


TABLES = {
    "llama": Table("LlamaForCausalLM", 2048, mlp_bias=None),
    "mistral": Table("MistralForCausalLM", 131_072, 8, qkv_bias=False, out_bias=False),
    "qwen2": Table("Qwen2ForCausalLM", 32_768, 32, qkv_bias=True, out_bias=False),
    "qwen3": Table("Qwen3ForCausalLM", 32_768, 32, 128, qk_norm=True),
}


def llama_like(config: dict[str, Any]) -> Blueprint:
    """The blueprint of a Llama, Mistral, Qwen2 or Qwen3 config in transformers' names.

    Raises:
        IncompatibleError: a missing, malformed or unsupported field.
    """
    family = str(config["model_type"])
    table = TABLES[family]
    vocabulary, width = size(config, "vocab_size"), size(config, "hidden_size")
    layers = size(config, "num_hidden_layers", limit=MAX_LAYERS)
    heads, inner = size(config, "num_attention_heads"), size(config, "intermediate_size")
    kv_heads = _kv_heads(config, heads, table)
    head_width = _head_width(config, width, heads, table)
    if heads % kv_heads:
        raise IncompatibleError(
            f"config: {heads} heads cannot share {kv_heads} key/value heads evenly"
        )
    biased = flag(config, "attention_bias", False)
    qkv_bias = biased if table.qkv_bias is None else table.qkv_bias
    out_bias = biased if table.out_bias is None else table.out_bias
    mlp_bias = flag(config, "mlp_bias", False) if table.mlp_bias is None else table.mlp_bias
    tied = flag(config, "tie_word_embeddings", False)

    def linear(
        name: str, role: Role, layer: int, shape: tuple[int, int], bias: bool, heads: int = 0
    ) -> Iterator[TensorSpec]:
        split = HeadSplit(heads, head_width) if heads else None
        yield TensorSpec(f"{name}.weight", (role,), Kind.WEIGHT, layer, shape, heads=split)
        if bias:
            yield TensorSpec(f"{name}.bias", (role,), Kind.BIAS, layer, shape[:1], heads=split)

    def norm(name: str, role: Role, layer: int | None, of: int = width) -> TensorSpec:
        return TensorSpec(f"{name}.weight", (role,), Kind.WEIGHT, layer, (of,))

    queries, keys = heads * head_width, kv_heads * head_width
    embedding = "model.embed_tokens.weight"
    tensors = [TensorSpec(embedding, (Role.EMBED,), Kind.WEIGHT, None, (vocabulary, width))]
    for layer in range(layers):
        at = f"model.layers.{layer}"
        attention, mlp = f"{at}.self_attn", f"{at}.mlp"
        tensors.append(norm(f"{at}.input_layernorm", Role.ATTN_NORM, layer))
        for letter, role, rows, count in (
            ("q", Role.ATTN_Q, queries, heads),
            ("k", Role.ATTN_K, keys, kv_heads),
            ("v", Role.ATTN_V, keys, kv_heads),
        ):
            name = f"{attention}.{letter}_proj"
            tensors += linear(name, role, layer, (rows, width), qkv_bias, count)
        name = f"{attention}.o_proj"
        tensors += linear(name, Role.ATTN_OUT, layer, (width, queries), out_bias, heads)
        if table.qk_norm:
            tensors.append(norm(f"{attention}.q_norm", Role.Q_NORM, layer, head_width))
            tensors.append(norm(f"{attention}.k_norm", Role.K_NORM, layer, head_width))
        tensors.append(norm(f"{at}.post_attention_layernorm", Role.MLP_NORM, layer))
        tensors += linear(f"{mlp}.gate_proj", Role.MLP_GATE, layer, (inner, width), mlp_bias)
        tensors += linear(f"{mlp}.up_proj", Role.MLP_UP, layer, (inner, width), mlp_bias)
        tensors += linear(f"{mlp}.down_proj", Role.MLP_DOWN, layer, (width, inner), mlp_bias)
    tensors.append(norm("model.norm", Role.FINAL_NORM, None))
    tie = embedding if tied else None
    head = (vocabulary, width)
    tensors.append(TensorSpec("lm_head.weight", (Role.HEAD,), Kind.WEIGHT, None, head, tied_to=tie))
    return Blueprint(
        family=family,
        architecture=table.architecture,
        vocabulary=vocabulary,
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_width=head_width,
        feed_forward=inner,
        context=size(config, "max_position_embeddings", table.context),
        norm=Norm.RMS,
        norm_epsilon=number(config, "rms_norm_eps", 1e-6),
        activation=choice(config, "hidden_act", ACTIVATIONS, "silu"),
        gated=True,
        learned_positions=False,
        tied=tied,
        tensors=tuple(tensors),
        config=config,
    )


def _kv_heads(config: dict[str, Any], heads: int, table: Table) -> int:
    """As transformers reads it: null means one per head, absent the family's default."""
    if "num_key_value_heads" in config and config["num_key_value_heads"] is None:
        return heads
    return size(config, "num_key_value_heads", table.kv_heads or heads)


def _head_width(config: dict[str, Any], width: int, heads: int, table: Table) -> int:
    if config.get("head_dim") is None and table.head_width is None and width % heads:
        raise IncompatibleError(
            f"config: hidden_size {width} is not a multiple of num_attention_heads {heads}"
        )
    if "head_dim" in config and config["head_dim"] is None:
        return width // heads
    return size(config, "head_dim", table.head_width or width // heads)
