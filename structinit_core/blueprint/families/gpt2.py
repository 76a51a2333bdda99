"""GPT-2: learned positions, LayerNorm with bias, fused q/k/v, Conv1D storage."""

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
    without_aliases,
)
from structinit_core.blueprint.roles import HeadSplit, Kind, Orientation, Role, TensorSpec
from structinit_core.errors import IncompatibleError

_ALIASES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}


def gpt2(config: dict[str, Any]) -> Blueprint:
    """The blueprint of a ``gpt2`` config in transformers' names and order.

    Raises:
        IncompatibleError: a missing, malformed or unsupported field.
    """
    config = without_aliases(config, _ALIASES)
    vocabulary, width = size(config, "vocab_size"), size(config, "n_embd")
    layers, heads = size(config, "n_layer", limit=MAX_LAYERS), size(config, "n_head")
    context = size(config, "n_positions", 1024)
    inner = size(config, "n_inner", 4 * width)
    if width % heads:
        raise IncompatibleError(f"config: n_embd {width} is not a multiple of n_head {heads}")
    if flag(config, "add_cross_attention", False):
        raise IncompatibleError("config: cross attention is not supported")
    tied = flag(config, "tie_word_embeddings", True)
    split = HeadSplit(heads, width // heads)

    def tensor(
        name: str,
        roles: tuple[Role, ...],
        shape: tuple[int, ...],
        layer: int | None = None,
        kind: Kind = Kind.WEIGHT,
        **more: Any,
    ) -> TensorSpec:
        return TensorSpec(name, roles, kind, layer, shape, **more)

    def conv(
        name: str, roles: tuple[Role, ...], layer: int, *shape: int, **more: Any
    ) -> Iterator[TensorSpec]:
        yield tensor(f"{name}.weight", roles, shape, layer, orientation=Orientation.IN_OUT, **more)
        yield tensor(f"{name}.bias", roles, shape[1:], layer, Kind.BIAS)

    def norm(name: str, role: Role, layer: int | None = None) -> Iterator[TensorSpec]:
        yield tensor(f"{name}.weight", (role,), (width,), layer)
        yield tensor(f"{name}.bias", (role,), (width,), layer, Kind.BIAS)

    qkv = (Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V)
    tensors: list[TensorSpec] = [
        tensor("transformer.wte.weight", (Role.EMBED,), (vocabulary, width)),
        tensor("transformer.wpe.weight", (Role.POSITION,), (context, width)),
    ]
    for layer in range(layers):
        at = f"transformer.h.{layer}"
        tensors += norm(f"{at}.ln_1", Role.ATTN_NORM, layer)
        tensors += conv(f"{at}.attn.c_attn", qkv, layer, width, 3 * width, heads=split)
        tensors += conv(f"{at}.attn.c_proj", (Role.ATTN_OUT,), layer, width, width, heads=split)
        tensors += norm(f"{at}.ln_2", Role.MLP_NORM, layer)
        tensors += conv(f"{at}.mlp.c_fc", (Role.MLP_UP,), layer, width, inner)
        tensors += conv(f"{at}.mlp.c_proj", (Role.MLP_DOWN,), layer, inner, width)
    tensors += norm("transformer.ln_f", Role.FINAL_NORM)
    tensors.append(
        tensor(
            "lm_head.weight",
            (Role.HEAD,),
            (vocabulary, width),
            tied_to="transformer.wte.weight" if tied else None,
        )
    )
    return Blueprint(
        family="gpt2",
        architecture="GPT2LMHeadModel",
        vocabulary=vocabulary,
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        feed_forward=inner,
        context=context,
        norm=Norm.LAYER,
        activation=choice(config, "activation_function", ACTIVATIONS, "gelu_new"),
        gated=False,
        learned_positions=True,
        norm_epsilon=number(config, "layer_norm_epsilon", 1e-5),
        tied=tied,
        tensors=tuple(tensors),
        config=config,
    )
