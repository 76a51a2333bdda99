"""GPT-NeoX (Pythia): LayerNorm with bias, rotary positions, q/k/v fused head by head."""

from __future__ import annotations

from collections.abc import Iterator
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


def gpt_neox(config: dict[str, Any]) -> Blueprint:
    """The blueprint of a ``gpt_neox`` config in transformers' names.

    Raises:
        IncompatibleError: a missing, malformed or unsupported field.
    """
    vocabulary, width = size(config, "vocab_size"), size(config, "hidden_size")
    layers = size(config, "num_hidden_layers", limit=MAX_LAYERS)
    heads, inner = size(config, "num_attention_heads"), size(config, "intermediate_size")
    if width % heads:
        raise IncompatibleError(
            f"config: hidden_size {width} is not a multiple of num_attention_heads {heads}"
        )
    biased = flag(config, "attention_bias", True)
    tied = flag(config, "tie_word_embeddings", False)
    split = HeadSplit(heads, width // heads)

    def linear(
        name: str, roles: tuple[Role, ...], layer: int, rows: int, columns: int, bias: bool = True
    ) -> Iterator[TensorSpec]:
        fused = len(roles) > 1
        more: dict[str, Any] = {"per_head": fused, "heads": split if fused else None}
        yield TensorSpec(f"{name}.weight", roles, Kind.WEIGHT, layer, (rows, columns), **more)
        if bias:
            yield TensorSpec(f"{name}.bias", roles, Kind.BIAS, layer, (rows,), **more)

    def norm(name: str, role: Role, layer: int | None) -> Iterator[TensorSpec]:
        yield TensorSpec(f"{name}.weight", (role,), Kind.WEIGHT, layer, (width,))
        yield TensorSpec(f"{name}.bias", (role,), Kind.BIAS, layer, (width,))

    qkv = (Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V)
    embedding = "gpt_neox.embed_in.weight"
    tensors = [TensorSpec(embedding, (Role.EMBED,), Kind.WEIGHT, None, (vocabulary, width))]
    for layer in range(layers):
        at = f"gpt_neox.layers.{layer}"
        attention, mlp = f"{at}.attention", f"{at}.mlp"
        tensors += norm(f"{at}.input_layernorm", Role.ATTN_NORM, layer)
        tensors += norm(f"{at}.post_attention_layernorm", Role.MLP_NORM, layer)
        tensors += linear(f"{attention}.query_key_value", qkv, layer, 3 * width, width, biased)
        tensors += linear(f"{attention}.dense", (Role.ATTN_OUT,), layer, width, width, biased)
        tensors += linear(f"{mlp}.dense_h_to_4h", (Role.MLP_UP,), layer, inner, width)
        tensors += linear(f"{mlp}.dense_4h_to_h", (Role.MLP_DOWN,), layer, width, inner)
    tensors += norm("gpt_neox.final_layer_norm", Role.FINAL_NORM, None)
    tie = embedding if tied else None
    head = (vocabulary, width)
    name = "embed_out.weight"
    tensors.append(TensorSpec(name, (Role.HEAD,), Kind.WEIGHT, None, head, tied_to=tie))
    return Blueprint(
        family="gpt_neox",
        architecture="GPTNeoXForCausalLM",
        vocabulary=vocabulary,
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        feed_forward=inner,
        context=size(config, "max_position_embeddings", 2048),
        norm=Norm.LAYER,
        norm_epsilon=number(config, "layer_norm_eps", 1e-5),
        activation=choice(config, "hidden_act", ACTIVATIONS, "gelu"),
        gated=False,
        learned_positions=False,
        tied=tied,
        tensors=tuple(tensors),
        config=config,
    )
