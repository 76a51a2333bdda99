from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from structinit_core.blueprint import make_blueprint
from structinit_core.blueprint.families import FAMILIES
from structinit_core.errors import IncompatibleError
from structinit_core.model import default_tensors

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16,
    "bos_token_id": None,
    "eos_token_id": None,
}
GPT2 = {"model_type": "gpt2", "vocab_size": 60, "n_embd": 32, "n_layer": 2, "n_head": 4}


def config_of(family: str, **changes: Any) -> dict[str, Any]:
    return (GPT2 if family == "gpt2" else SIZES | {"model_type": family}) | changes


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_names_and_shapes_are_the_blueprints(family: str, tied: bool) -> None:
    config = config_of(family, tie_word_embeddings=tied, dtype="bfloat16")
    tensors = default_tensors(config, seed=0)
    blueprint = make_blueprint(config)
    shapes = {spec.name: spec.shape for spec in blueprint.tensors}
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == shapes
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    embedding = tensors[blueprint.tensors[0].name]
    assert float(embedding.std()) == pytest.approx(0.02, rel=0.1)
    # float32 drawn as such: bfloat16 would leave the low bits empty
    assert not torch.equal(embedding, embedding.bfloat16().float())


def test_seed_decides_and_global_random_state_stays() -> None:
    torch.manual_seed(5)
    before, numpy_before = torch.get_rng_state(), _numpy_state()
    one = default_tensors(GPT2, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(_numpy_state(), numpy_before)
    torch.rand(3)
    again, other = default_tensors(GPT2, seed=1), default_tensors(GPT2, seed=2)
    name = "transformer.h.0.attn.c_attn.weight"
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one[name], other[name])


def _numpy_state() -> np.ndarray:
    return np.array(np.random.get_state(legacy=False)["state"]["key"])  # noqa: NPY002


def test_it_is_the_start_of_the_family_itself() -> None:
    """GPT-2 divides what writes into the stream by √(2L); Llama does not."""
    deep = {"gpt2": config_of("gpt2", n_layer=8), "llama": config_of("llama", num_hidden_layers=8)}
    gpt2, llama = (default_tensors(deep[family], seed=0) for family in deep)
    out = gpt2["transformer.h.3.attn.c_proj.weight"]
    assert float(out.std()) == pytest.approx(0.02 / 4, rel=0.1)
    assert float(llama["model.layers.3.self_attn.o_proj.weight"].std()) == pytest.approx(
        0.02, rel=0.1
    )


def test_the_config_is_heeded_and_not_changed() -> None:
    config = config_of("llama", initializer_range=0.5)
    copy = dict(config)
    tensors = default_tensors(config, seed=0)
    assert float(tensors["lm_head.weight"].std()) == pytest.approx(0.5, rel=0.1)
    assert config == copy


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model_type": "evil"}, "not supported"),
        ({"n_embd": 33}, "multiple"),
        ({"initializer_range": "wide"}, "transformers refuses it"),
    ],
)
def test_what_cannot_be_built_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(IncompatibleError, match=complaint):
        default_tensors(GPT2 | change, seed=0)


def test_nothing_is_written_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    verbosity = transformers.logging.get_verbosity()
    default_tensors(config_of("llama", rope_theta=-1.0, unheard_of=3), seed=0)
    assert capfd.readouterr() == ("", "")
    assert transformers.logging.get_verbosity() == verbosity
