"""Transformers' own layers, one at a time: activations of a model that never exists whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role
from structinit_core.errors import IncompatibleError
from structinit_core.model.load import check_config, first_line, quiet

_HIDDEN_ELEMENTS = 1 << 25
"""Entries of the widest activation of one pass: windows are run a few at a time."""


class Blocks:
    """The layers of a config without weights; each call brings those of one layer.

    The family's module in transformers is built on the meta device and its base model run with
    one layer, so masks, rotary positions and windows are transformers' own. Evaluation mode:
    no dropout.
    """

    def __init__(self, blueprint: Blueprint, device: torch.device) -> None:
        """Raises IncompatibleError where transformers cannot build the config."""
        self._blueprint, self._device = blueprint, device
        with quiet(), torch.device("meta"):
            try:
                whole: Any = transformers.AutoModelForCausalLM.from_config(
                    check_config(blueprint.config), trust_remote_code=False, dtype=torch.float32
                )
            except IncompatibleError:
                raise
            except Exception as error:  # each validator of transformers raises a class of its own
                raise IncompatibleError(
                    f"config: transformers cannot build it ({first_line(error)})"
                ) from error
        self._base = whole.eval().base_model
        self._prefix = f"{whole.base_model_prefix}."
        self._stack = self._name_of_layers()
        self._layers = self._base.get_submodule(self._stack)
        self._norm_name = self._own(self._spec(Role.FINAL_NORM).name).rpartition(".")[0]
        self._norm = self._base.get_submodule(self._norm_name)
        setattr(self._base, self._norm_name, torch.nn.Identity())
        if hasattr(self._base, "rotary_emb"):
            # built again off the meta device: its frequencies are buffers that no file holds
            self._base.rotary_emb = type(self._base.rotary_emb)(self._base.config).to(device)
        self._types = getattr(self._base.config, "layer_types", None)
        self._base.config.num_hidden_layers = 1

    def run(self, layer: int, tensors: Mapping[str, Tensor], stream: Tensor) -> Tensor:
        """The residual stream after ``layer``: float32 (windows, tokens, d), as ``stream``.

        ``tensors``: the layer's stored tensors by their names in the checkpoint. Every window
        begins at position 0; attention is causal, so what follows a window's end changes
        nothing before it. Memory: 2²⁵ entries of the feed-forward, a few times.
        """
        setattr(self._base, self._stack, torch.nn.ModuleList([self._layers[layer]]))
        if self._types is not None:
            self._base.config.layer_types = [self._types[layer]]
        weights = {
            self._own(name).replace(f".{layer}.", ".0.", 1): tensor.to(self._device)
            for name, tensor in tensors.items()
        }
        if self._blueprint.learned_positions:
            position = self._own(self._spec(Role.POSITION).name)
            none = torch.zeros(1, self._blueprint.width, device=self._device)
            weights[position] = none.expand(self._blueprint.context, -1)
        hidden = max(self._blueprint.feed_forward, 4 * self._blueprint.width)
        windows = max(1, _HIDDEN_ELEMENTS // (stream.shape[1] * hidden))
        with torch.inference_mode():
            return torch.cat(
                [
                    torch.func.functional_call(
                        self._base, weights, (), {"inputs_embeds": part, "use_cache": False}
                    ).last_hidden_state
                    for part in torch.split(stream.to(self._device), windows)
                ]
            )

    def final_norm(self, tensors: Mapping[str, Tensor], stream: Tensor) -> Tensor:
        """``stream`` after the norm before the head; ``tensors`` are that norm's, by name."""
        names = {
            self._own(name).removeprefix(f"{self._norm_name}."): t for name, t in tensors.items()
        }
        weights = {name: tensor.to(self._device) for name, tensor in names.items()}
        with torch.inference_mode():
            normed: Tensor = torch.func.functional_call(self._norm, weights, (stream,))
        return normed

    def _own(self, name: str) -> str:
        return name.removeprefix(self._prefix)

    def _spec(self, role: Role) -> Any:
        return next(
            spec
            for spec in self._blueprint.tensors
            if role in spec.roles and spec.kind is Kind.WEIGHT
        )

    def _name_of_layers(self) -> str:
        first = next(spec for spec in self._blueprint.tensors if spec.layer == 0)
        return self._own(first.name).partition(".0.")[0]
