"""Width, heads and layers by the published rules, and what they were taken from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.errors import UsageError
from structinit_core.graph import Graph
from structinit_core.graph.architecture import Depth, depth, stated_rate
from structinit_core.graph.components import components
from structinit_core.graph.diameter import diameter
from structinit_core.graph.focus import DAMPING
from structinit_core.graph.spectrum import spectral_gap
from structinit_core.graph.suggestion import WIDTHS
from structinit_core.initializers.graph.faithful.versions import Version
from structinit_core.initializers.graph.tokens import FRAME_ID, GraphTokens

_NO_GAP = 0.001
"""λ₂ where the eigensolver fails, as published."""
_LEAST_WEIGHT = 1e-3
"""Share of all weight below which a relation has no head in V2."""
_CONTEXT = {"gpt2": 1024, "llama": 8192}


@dataclass(frozen=True)
class Reach:
    """hops: the farthest particle from the hub. gap: λ₂ of the largest component; depth: L*."""

    hops: int
    gap: float
    rate: float
    depth: Depth


@dataclass(frozen=True)
class Sizes:
    """d, h and L of the network; wanted: d* before any rounding or bound."""

    width: int
    heads: int
    layers: int
    wanted: float

    @property
    def head_width(self) -> int:
        """Columns of a head."""
        return self.width // self.heads

    def config(self, version: Version, tokens: GraphTokens) -> dict[str, Any]:
        """The Hugging Face config for this vocabulary."""
        context = _CONTEXT[version.family]
        shared = {
            "model_type": version.family,
            "vocab_size": tokens.vocabulary,
            "tie_word_embeddings": version.family == "llama",
            "bos_token_id": FRAME_ID,
            "eos_token_id": FRAME_ID,
        }
        if version.family == "gpt2":
            return shared | {
                "n_embd": self.width,
                "n_layer": self.layers,
                "n_head": self.heads,
                "n_inner": 4 * self.width,
                "n_positions": context,
                "activation_function": "gelu",
            }
        return shared | {
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "intermediate_size": 4 * self.width,
            "max_position_embeddings": context,
            "rope_theta": 10000.0,
            "rms_norm_eps": 1e-6,
            "mlp_bias": version.feed_forward != "random",
        }


def reach(graph: Graph) -> Reach:
    """Diameter, spectral gap and L* as published, of the largest component.

    Hops are counted from the hub without direction, a lower bound of the diameter.
    """
    both = components(graph).both
    hops = max(diameter(both, searches=1).lower, 1)
    found = spectral_gap(both)
    gap = _NO_GAP if found is None else max(found.value, 0.0)
    rate = stated_rate(DAMPING, gap)
    return Reach(hops, gap, rate, depth(hops, rate))


def sizes(
    version: Version,
    graph: Graph,
    values: NDArray[np.float64],
    far: Reach,
    *,
    width: int | None = None,
    heads: int | None = None,
    layers: int | None = None,
) -> Sizes:
    """The sizes by rule where none is asked for. values: the spectrum that d* is taken of.

    Raises:
        UsageError: the heads cannot share the width.
    """
    number = heads or len(relations_with_heads(version, graph))
    step = number if version.family == "gpt2" else 2 * number
    rank = effective_rank(values)
    wanted = math.ceil(rank) if version.clamped else max(int(rank), 1)
    least, most = WIDTHS if version.clamped else (1, 1 << 24)
    kept = min(max(wanted, least), most)
    own = step * max(math.ceil(least / step), round(kept / step), 1)
    if width and width % step:
        raise UsageError(
            f"{number} heads cannot share a width of {width}",
            hint=f"ask for a multiple of {step}, or for other --heads",
        )
    deep = far.depth.clamped if version.clamped else max(far.depth.layers, 1)
    return Sizes(width or own, number, layers or deep, rank)


def relations_with_heads(version: Version, graph: Graph) -> NDArray[np.int64]:
    """Relations by weight, heaviest first; in V2 those of a thousandth of all weight or more."""
    weight = np.bincount(graph.relation, graph.weight, len(graph.relations))
    order = np.argsort(-weight, kind="stable")
    if version.name == "v2":
        order = order[weight[order] >= _LEAST_WEIGHT * weight.sum()]
    return order


def effective_rank(values: NDArray[np.float64]) -> float:
    """Exp of the entropy of σ/Σσ; 1 of none."""
    positive = values[values > 0]
    if not len(positive):
        return 1.0
    shares = positive / positive.sum()
    return float(np.exp(-(shares @ np.log(shares))))
