"""The main job for every family, tied and untied: the law, the bigram, and transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from structinit_core.diagnose import Report
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.closed_form import STAGES
from structinit_core.recipes.compile_job import ClosedFormJob
from structinit_core.recipes.compiling import closed_form

SIZES = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2"},
    "llama": {"model_type": "llama", "num_key_value_heads": 2},
    "mistral": {"model_type": "mistral", "num_key_value_heads": 2},
    "qwen2": {"model_type": "qwen2", "num_key_value_heads": 2},
    "qwen3": {"model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 16},
    "qwen3, heads wider than the stream": {"model_type": "qwen3", "num_key_value_heads": 2},
    "gpt_neox": {"model_type": "gpt_neox"},
}


def write_config(directory: Path, **fields: Any) -> Path:
    config = SIZES | fields
    if config["model_type"] == "gpt2":
        config["n_inner"] = config.pop("intermediate_size")
    path = directory / "config.json"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("family", FAMILIES)
def test_compiles_and_loads(counts_path: Path, tmp_path: Path, family: str, tied: bool) -> None:
    config = write_config(tmp_path, **FAMILIES[family], tie_word_embeddings=tied)
    output = tmp_path / "out"
    closed_form(ClosedFormJob(config, counts=counts_path, stages=("bigram",)), output)
    report = Report.model_validate_json((output / "report.json").read_text())
    assert report.value("law.offline_minus_model") < 1e-3
    assert report.value("gap.kn2") < 0.20
    assert report.value("gap.unigram") < -0.5
    model, info = AutoModelForCausalLM.from_pretrained(output, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    assert (head.weight is table.weight) == tied
    prompt = AutoTokenizer.from_pretrained(output)("Sherlock Holmes", return_tensors="pt")
    assert model.generate(**prompt, max_new_tokens=5).shape[1] > prompt["input_ids"].shape[1]


OFFSETS = FAMILIES | {
    "gpt_neox": {"model_type": "gpt_neox", "rotary_pct": 0.5},
    "gpt_neox, in sequence, unbiased": {
        "model_type": "gpt_neox",
        "rotary_pct": 0.5,
        "use_parallel_residual": False,
        "attention_bias": False,
    },
}


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("family", OFFSETS)
def test_older_tokens_are_read_and_what_that_costs_is_said(
    counts_path: Path, tmp_path: Path, family: str, tied: bool
) -> None:
    config = write_config(tmp_path, **OFFSETS[family], tie_word_embeddings=tied)
    output = tmp_path / "out"
    stages = ("bigram", "offsets")
    closed_form(ClosedFormJob(config, counts=counts_path, stages=stages), output)
    report = Report.model_validate_json((output / "report.json").read_text())
    assert report.value("law.offline_minus_model") < 1e-4
    assert report.value("worth.offsets") > 0.1
    assert report.value("attention.mean_mass") > report.value("attention.least_mass") > 0.8
    assert report.value("attention.largest_logit") < 40.1
    assert report.value("cost.attention") < 0.02
    assert report.value("cost.norm") < (0.03 if tied else 0.005)
    sample = report.value("cost.attention") + report.value("cost.norm")
    assert report.value("cost.attention_and_norm") == pytest.approx(sample, abs=1e-5)


def test_a_lift_beside_the_only_attention_is_left_out(counts_path: Path, tmp_path: Path) -> None:
    fields = FAMILIES["gpt_neox"] | {"num_hidden_layers": 1, "tie_word_embeddings": True}
    job = ClosedFormJob(write_config(tmp_path, **fields), counts=counts_path, stages=STAGES)
    closed_form(job, tmp_path / "out")
    report = Report.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert any("runs beside the attention" in note for note in report.notes)
    assert report.value("law.offline_minus_model") < 1e-3


def test_a_tied_head_costs_rank_and_says_so(counts_path: Path, tmp_path: Path) -> None:
    ranks = []
    for tied in (False, True):
        config = write_config(tmp_path, **FAMILIES["llama"], tie_word_embeddings=tied)
        output = tmp_path / f"out-{tied}"
        closed_form(ClosedFormJob(config, counts=counts_path), output)
        report = Report.model_validate_json((output / "report.json").read_text())
        ranks.append(report.value("svd.rank"))
        assert any("tied head" in note for note in report.notes) == tied
    assert ranks[1] < ranks[0]


def test_a_tied_head_without_room_is_refused(counts_path: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, model_type="llama", tie_word_embeddings=True)
    narrow = json.loads(config.read_text()) | {"intermediate_size": 20}
    config.write_text(json.dumps(narrow))
    with pytest.raises(IncompatibleError, match="feed-forward units"):
        closed_form(ClosedFormJob(config, counts=counts_path), tmp_path / "out")


def test_shards_load_as_one(counts_path: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, **FAMILIES["llama"])
    for name, size in (("one", 1 << 30), ("many", 100_000)):
        job = ClosedFormJob(config, counts=counts_path, shard_bytes=size)
        closed_form(job, tmp_path / name)
    assert len(list((tmp_path / "many").glob("model-*.safetensors"))) > 2
    one, many = (AutoModelForCausalLM.from_pretrained(tmp_path / n) for n in ("one", "many"))
    for (name, ours), theirs in zip(one.named_parameters(), many.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
