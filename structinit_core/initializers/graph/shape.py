"""The network that a graph is compiled into: its config, and how many keys it can store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from structinit_core.initializers.graph.heads import COPYING_HEADS
from structinit_core.initializers.graph.tokens import FRAME_ID, GraphTokens

FAMILIES = ("gpt2", "llama")
_CONTEXT = 64
_MULTIPLE = 64
_STORED_PARAMETERS = 1 << 27
"""Of the feed-forward in all, unless more are asked for."""
_TABLE_PARAMETERS = 1 << 28
"""Of the token rows and the head together, that the default width stays below."""
_FEW = 1 << 14
_WIDTHS = (512, 384, 256, 192, 128)
_HEADS, _HEAD_WIDTH = 8, 32


@dataclass(frozen=True)
class GraphShape:
    """Sizes of the network. keys: the most that are stored, a unit each."""

    family: str
    width: int
    layers: int
    heads: int
    keys: int

    def config(self, tokens: GraphTokens) -> dict[str, Any]:
        """The Hugging Face config for this vocabulary."""
        units = self.feed_forward(tokens)
        shared = {
            "vocab_size": tokens.vocabulary,
            "tie_word_embeddings": False,
            "bos_token_id": FRAME_ID,
            "eos_token_id": FRAME_ID,
        }
        if self.family == "gpt2":
            return shared | {
                "model_type": "gpt2",
                "n_embd": self.width,
                "n_layer": self.layers,
                "n_head": self.heads,
                "n_inner": units,
                "n_positions": _CONTEXT,
            }
        return shared | {
            "model_type": "llama",
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "intermediate_size": units,
            "max_position_embeddings": _CONTEXT,
            "rms_norm_eps": 1e-5,
        }

    def feed_forward(self, tokens: GraphTokens) -> int:
        """Units of a layer: a share of the keys, and the first has what maps need beside them."""
        spare = max(0, 2 * tokens.relations - (self.heads * self.layers - COPYING_HEADS))
        maps = spare * (self.width // self.heads) * (2 if self.family == "gpt2" else 1)
        units = max(-(-(self.keys + maps) // self.layers), maps)
        return max(4 * self.width, -(-units // _MULTIPLE) * _MULTIPLE)


def suggested_width(tokens: GraphTokens) -> int:
    """The widest of a few widths with which the token rows stay below 2^28 numbers."""
    fitting = [d for d in _WIDTHS if 2 * d * tokens.vocabulary <= _TABLE_PARAMETERS]
    return fitting[0] if fitting else _WIDTHS[-1]


def suggested_heads(width: int) -> int:
    """The most heads up to 8 that divide the width and are 32 wide: so long are identity codes."""
    fitting = [h for h in range(1, _HEADS + 1) if width % h == 0 and width >= h * _HEAD_WIDTH]
    return max(fitting, default=1)


def suggested_keys(width: int, family: str, known: int, tokens: GraphTokens) -> int:
    """Twice the ``known`` keys, all queries where those are few, within 2^27 parameters."""
    matrices = 2 if family == "gpt2" else 3
    queries = 2 * tokens.relations * tokens.particles
    return min(queries, max(2 * known, _FEW), _STORED_PARAMETERS // (matrices * width))
