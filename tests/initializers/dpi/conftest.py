from __future__ import annotations

from typing import Any

import pytest
import torch

from structinit_core.blueprint import Blueprint, make_blueprint
from structinit_core.cooc import Counts
from structinit_core.corpus import cut_windows
from structinit_core.initializers.dpi import (
    DpiSettings,
    LayerSequence,
    Lexical,
    Sources,
    choose,
    draw_sample,
    make_lexical,
    make_probes,
)
from structinit_core.progress import Silent

CPU = torch.device("cpu")
SIZES = {
    "vocab_size": 512,
    "hidden_size": 32,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "tie_word_embeddings": False,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2", "n_inner": 128},
    "llama": {"model_type": "llama", "num_key_value_heads": 2, "intermediate_size": 80},
}


def tiny(family: str, **changes: Any) -> Blueprint:
    return make_blueprint(SIZES | FAMILIES[family] | changes)


class Made:
    """A whole start in memory: its tensors by name, and facts of its layers."""

    def __init__(self, settings: DpiSettings, blueprint: Blueprint, counts: Counts, seed: int):
        self.blueprint, self.settings = blueprint, settings
        self.lexical: Lexical = make_lexical(settings, blueprint, counts, seed, CPU)
        self.sequence = LayerSequence(
            settings,
            blueprint,
            self.lexical,
            dtype=torch.float32,
            seed=seed,
            device=CPU,
            progress=Silent(),
        )
        spans = counts.held_out_spans
        context = blueprint.context
        sample = draw_sample(counts.held_out, spans, 512, context, seed, "sample")
        clustered = draw_sample(counts.held_out, spans, 512, context, seed, "clusters")
        self.probes = make_probes(counts.held_out, cut_windows(spans, context)[:16])
        sources = Sources(sample, None if settings.bands else clustered, self.probes)
        self.sequence.begin(sources)
        self.first = self.sequence.progression
        self.tensors = {spec.name: tensor for spec, tensor in self.sequence.tensors()}
        self.facts = self.sequence.progression.facts

    def parts(self, layer: int) -> dict[str, torch.Tensor]:
        """Logical matrices of a GPT-2 layer, output × input."""
        at = f"transformer.h.{layer}"
        fused = self.tensors[f"{at}.attn.c_attn.weight"].T
        q, k, v = fused.split(self.blueprint.width)
        names = {"o": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}
        others = {key: self.tensors[f"{at}.{name}.weight"].T for key, name in names.items()}
        return {"q": q, "k": k, "v": v, **others}


@pytest.fixture
def blueprint() -> Blueprint:
    """A tiny GPT-2: V 512, d 32, 6 layers, context 32."""
    return tiny("gpt2")


@pytest.fixture
def make(counts: Counts):
    """A start of ``variant`` with ``changes``, for a tiny network of ``family``."""

    def run(
        variant: str,
        family: str = "gpt2",
        seed: int = 0,
        network: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Made:
        blueprint = tiny(family, **(network or {}))
        return Made(choose(variant, **changes), blueprint, counts, seed)

    return run
