"""Gradients by the blueprint's tensors and layers."""

from __future__ import annotations

import pytest
import torch

from structinit_core.model import gradient_norms, tensor_gradients

FAMILIES = ("gpt2", "llama", "mistral", "qwen2", "qwen3", "gpt_neox")


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_all_layers_add_up_to_the_whole(network, family: str, tied: bool) -> None:
    model, blueprint = network(family, tie_word_embeddings=tied)
    ids = torch.arange(16)[None]
    logits = model(input_ids=ids, use_cache=False).logits
    torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).backward()
    norms = gradient_norms(model, blueprint)
    assert list(norms) == ["embed", "layer 0", "layer 1", "head"]
    assert all(norm > 0 for norm in norms.values())
    stored = {spec.name for spec in blueprint.tensors if spec.tied_to is None}
    found = {spec.name for spec, _ in tensor_gradients(model, blueprint)}
    assert found == stored
    whole = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert sum(norm**2 for norm in norms.values()) ** 0.5 == pytest.approx(float(whole), rel=1e-5)
