"""The checkpoint of ``k0 --init`` as transformers reads it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from structinit_core import K0Job, K0Method, k0

FAMILIES = {
    "gpt2": {"n_positions": 32, "n_embd": 32, "n_layer": 2, "n_head": 2},
    "llama": {"max_position_embeddings": 32, "hidden_size": 32, "intermediate_size": 64}
    | {"num_hidden_layers": 2, "num_attention_heads": 2},
    "gpt_neox": {"max_position_embeddings": 32, "hidden_size": 32, "intermediate_size": 64}
    | {"num_hidden_layers": 2, "num_attention_heads": 2},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", [K0Method.POWER, K0Method.DERIVE])
def test_it_loads_and_its_rows_are_the_embeddings(
    counts_path: Path, tmp_path: Path, caplog, family: str, method: K0Method
) -> None:
    fields = FAMILIES[family] | {"model_type": family, "vocab_size": 512}
    config = tmp_path / "config.json"
    config.write_text(json.dumps(fields | {"tie_word_embeddings": True}))
    k0(K0Job(counts_path, method, init=config), tmp_path / "out")
    transformers.logging.enable_propagation()
    with caplog.at_level(logging.WARNING):
        model, info = AutoModelForCausalLM.from_pretrained(
            tmp_path / "out", output_loading_info=True
        )
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert [record.message for record in caplog.records] == []
    table = model.get_input_embeddings().weight
    assert model.get_output_embeddings().weight.data_ptr() == table.data_ptr()
    embeddings = np.load(tmp_path / "out" / "embeddings.npy")
    used = embeddings.any(axis=1)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    scale = next(c["value"] for c in report["checks"] if c["name"] == "init.scale")
    np.testing.assert_allclose(
        table.detach().numpy()[used], scale * embeddings[used], rtol=1e-5, atol=1e-9
    )
    assert len(AutoTokenizer.from_pretrained(tmp_path / "out")) == 512
