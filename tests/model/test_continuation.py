"""The logits after a sequence are the model's own, at its last position."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structinit_core.model import next_logits, rows_at_once


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox"])
def test_they_are_those_of_the_whole_model(network, family: str) -> None:
    model, blueprint = network(family)
    ids = np.random.default_rng(0).integers(0, blueprint.vocabulary, (5, 7))
    with torch.inference_mode():
        expected = model(torch.from_numpy(ids)).logits[:, -1].numpy()
    found = next_logits(model, ids)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_wide_units_and_long_sequences_come_a_few_at_a_time(network) -> None:
    narrow, _ = network("llama")
    wide, _ = network("llama", intermediate_size=4096)
    large, _ = network("llama", vocab_size=100_000)
    assert rows_at_once(narrow, 3) > rows_at_once(wide, 3) > rows_at_once(wide, 12)
    assert rows_at_once(large, 3) == rows_at_once(large, 12) == 2**25 // 100_000
    assert rows_at_once(wide, 1 << 30) == 1
