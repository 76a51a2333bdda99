from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from structinit_core.blueprint import make_blueprint
from structinit_core.corpus import TokenStream, cut_windows
from structinit_core.race.measure import Meter

V = 40
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16},
    "llama": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
    },
    "gpt_neox": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
    },
}


@dataclass
class Text:
    """The parts of a race's text that a meter reads."""

    valid: TokenStream
    windows: np.ndarray
    counted: np.ndarray


def network(family: str) -> tuple[Any, Any]:
    fields = CONFIGS[family] | {"vocab_size": V, "bos_token_id": 0, "eos_token_id": 0}
    fields["tie_word_embeddings"] = False
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **fields)
    blueprint = make_blueprint({"model_type": family} | fields)
    return transformers.AutoModelForCausalLM.from_config(config).eval(), blueprint


def text(seen: np.ndarray | None = None) -> Text:
    ids = np.random.default_rng(0).integers(0, V, 200).astype(np.uint16)
    windows = cut_windows(np.array([[0, 200]]), 16)
    counted = np.arange(V) ** 2 if seen is None else seen
    return Text(TokenStream(ids, np.array([0, 200])), windows, counted)


def test_buckets_add_up_to_the_whole_loss() -> None:
    model, blueprint = network("gpt2")
    meter = Meter(blueprint, text(), 0)  # type: ignore[arg-type]
    buckets = meter.probe(model).buckets
    tokens = sum(bucket.tokens for bucket in buckets)
    mean = sum(bucket.loss * bucket.tokens for bucket in buckets) / tokens
    assert mean == pytest.approx(meter.loss(model), abs=1e-5)
    borders = [(bucket.low, bucket.high) for bucket in buckets]
    assert borders == [(0, 1), (1, 10), (10, 100), (100, 1000), (1000, 10000)]


def test_a_token_seen_at_a_border_belongs_above_it() -> None:
    model, blueprint = network("gpt2")
    counted = np.full(V, 10)
    (bucket,) = Meter(blueprint, text(counted), 0).probe(model).buckets  # type: ignore[arg-type]
    assert (bucket.low, bucket.high) == (10, 100)


def test_a_network_without_memory_repeats_nothing() -> None:
    model, blueprint = network("gpt2")
    with torch.no_grad():
        model.lm_head.weight.zero_()
    probe = Meter(blueprint, text(), 0).probe(model)  # type: ignore[arg-type]
    assert probe.induction is not None
    assert probe.induction.first == pytest.approx(np.log(V), abs=1e-5)
    assert probe.induction.second == pytest.approx(np.log(V), abs=1e-5)


class Copier(torch.nn.Module):
    """Predicts the token that followed the last earlier occurrence of the present one."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def base_model(self, input_ids: torch.Tensor, use_cache: bool) -> Any:
        rows, length = input_ids.shape
        hidden = torch.zeros(rows, length, V)
        for row in range(rows):
            after: dict[int, int] = {}
            for at in range(length):
                token = int(input_ids[row, at])
                if token in after:
                    hidden[row, at, after[token]] = 20.0
                if at + 1 < length:
                    after[token] = int(input_ids[row, at + 1])

        class Output:
            last_hidden_state = hidden

        return Output()

    def get_output_embeddings(self) -> Any:
        return lambda hidden: hidden


def test_a_copying_network_has_a_small_loss_on_the_repetition() -> None:
    _, blueprint = network("gpt2")
    probe = Meter(blueprint, text(np.ones(V)), 0).probe(Copier())  # type: ignore[arg-type]
    assert probe.induction is not None
    assert probe.induction.second < 3.5
    assert probe.induction.first > probe.induction.second + 2


def test_a_context_of_three_tokens_has_no_repetition() -> None:
    blueprint = make_blueprint(
        {"model_type": "gpt2", "vocab_size": V} | CONFIGS["gpt2"] | {"n_positions": 3}
    )
    model, _ = network("gpt2")
    assert Meter(blueprint, text(), 0).probe(model).induction is None  # type: ignore[arg-type]
