"""Checkpoints run at step 0: every family, with and without text, refusals, the same bytes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from structinit_core.diagnose import METRICS, Report
from structinit_core.errors import IncompatibleError, UsageError
from structinit_core.recipes.diagnose_job import DiagnoseJob
from structinit_core.recipes.diagnosing import diagnose_checkpoint

SIZES = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def start(directory: Path, family: str, counts_path: Path) -> Path:
    """A random model of the family with the counts' tokenizer."""
    fields = dict(SIZES)
    if family not in ("gpt2", "gpt_neox"):
        fields["num_key_value_heads"] = 2
    torch.manual_seed(0)
    settings = transformers.AutoConfig.for_model(family, **fields)
    transformers.AutoModelForCausalLM.from_config(settings).save_pretrained(directory / family)
    shutil.copy(counts_path / "tokenizer.json", directory / family)
    return directory / family


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, counts_path: Path) -> Path:
    return start(tmp_path_factory.mktemp("llama"), "llama", counts_path)


def test_a_random_start_is_what_one_expects(llama: Path, counts_path: Path) -> None:
    report = diagnose_checkpoint(DiagnoseJob(llama, counts=counts_path))
    whole = {c.name: c.value for c in report.checks if c.tensor is None}
    # Logits are almost 0, so every loss is almost that of the uniform guess.
    for name in ("loss.model", "loss.batch", "induction.first", "induction.second"):
        assert whole[name] == pytest.approx(whole["loss.uniform"], abs=0.1), name
    assert whole["induction.score"] == pytest.approx(0, abs=0.05)
    assert {c.verdict for c in report.checks if c.name in METRICS and "loss" not in c.name} == {
        "ok",
        "info",
    }
    buckets = [c for c in report.checks if c.name == "loss.bucket"]
    tokens = {c.tensor: c.value for c in report.checks if c.name == "scored" and c.tensor}
    total = sum(float(c.value or 0) * float(tokens[c.tensor] or 0) for c in buckets)
    assert total / float(whole["scored"] or 0) == pytest.approx(whole["loss.model"], rel=1e-4)
    assert any("normal before training" in note for note in report.notes)
    assert not any("under-trained" in note for note in report.notes)


@pytest.mark.parametrize("family", ["gpt2", "mistral", "qwen2", "qwen3", "gpt_neox"])
def test_every_family_runs_without_a_text(tmp_path: Path, counts_path: Path, family: str) -> None:
    report = diagnose_checkpoint(DiagnoseJob(start(tmp_path, family, counts_path)))
    names = {check.name for check in report.checks}
    assert {"activation_variance", "attention_entropy", "logit_rms", "gradient_norm"} <= names
    assert names <= METRICS.keys()
    assert "loss.model" not in names
    parts = {part.name for part in report.parts}
    parted = {c.tensor for c in report.checks if c.name == "gradient_norm"} & parts
    weights = {part.name for part in report.parts if part.role}
    fused = {name.partition("[")[0] for name in weights if "[" in name}
    assert weights - fused <= parted
    assert "activations and gradients are of tokens drawn uniformly" in report.notes


def test_twice_the_same_bytes_and_the_seed_decides(llama: Path) -> None:
    job = DiagnoseJob(llama)
    one, two, other = map(diagnose_checkpoint, (job, job, replace(job, seed=1)))
    assert one.model_dump_json() == two.model_dump_json()
    assert one.value("loss.batch") != other.value("loss.batch")


def test_memory_takes_gradients_then_the_run(llama: Path, monkeypatch) -> None:
    from structinit_core.recipes import dynamic

    fits = {True: 0, False: 3}
    monkeypatch.setattr(dynamic, "signal_rows", lambda *_, gradients: fits[gradients])
    report = diagnose_checkpoint(DiagnoseJob(llama))
    assert any(note.startswith("no gradients: ") for note in report.notes)
    assert {c.name for c in report.checks} >= {"activation_variance", "stable_rank"}
    assert not any(c.name == "gradient_norm" for c in report.checks)
    fits[False] = 0
    report = diagnose_checkpoint(DiagnoseJob(llama))
    assert any(note.startswith("not run: ") for note in report.notes)
    assert "stable_rank" in {c.name for c in report.checks}
    assert "logit_rms" not in {c.name for c in report.checks}


def test_static_runs_nothing(llama: Path, book: Path) -> None:
    report = diagnose_checkpoint(DiagnoseJob(llama, dynamic=False))
    assert "logit_rms" not in {check.name for check in report.checks}
    with pytest.raises(UsageError, match="running the model"):
        diagnose_checkpoint(DiagnoseJob(llama, dynamic=False, texts=[book]))


def test_two_checkpoints_are_both_run(llama: Path, tmp_path: Path, counts_path: Path) -> None:
    other = start(tmp_path, "gpt2", counts_path)
    report = diagnose_checkpoint(DiagnoseJob(llama, against=other, counts=counts_path))
    found = {(c.name, c.tensor): c for c in report.checks}
    for key in (("loss.model", None), ("attention_entropy", "layer 0"), ("gradient_norm", "embed")):
        assert found[key].against not in (None, found[key].value)
    names = {series.name for series in report.series_against}
    assert {"activation_variance", "gradient_norm"} <= names
    assert Report.model_validate_json(report.model_dump_json(by_alias=True)) == report


def test_an_incomplete_model_is_looked_at_and_refused_to_be_scored(
    llama: Path, tmp_path: Path, counts_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(llama, broken)
    tensors = load_file(broken / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    report = diagnose_checkpoint(DiagnoseJob(broken))
    assert report.value("missing") == 1
    assert any("up_proj" in note and note.startswith("not run: ") for note in report.notes)
    with pytest.raises(IncompatibleError, match="up_proj"):
        diagnose_checkpoint(DiagnoseJob(broken, counts=counts_path))
    compared = diagnose_checkpoint(DiagnoseJob(llama, against=broken, counts=counts_path))
    assert compared.value("loss.model") is not None


def test_a_model_that_overflows_fails_and_is_still_described(llama: Path, tmp_path: Path) -> None:
    hot = tmp_path / "hot"
    shutil.copytree(llama, hot)
    tensors = load_file(hot / "model.safetensors")
    tensors["model.layers.0.mlp.down_proj.weight"] *= 1e38
    tensors["model.layers.0.mlp.up_proj.weight"] *= 1e20
    save_file(tensors, hot / "model.safetensors", {"format": "pt"})
    report = diagnose_checkpoint(DiagnoseJob(hot))
    (failed,) = [check for check in report.checks if check.verdict == "fail"]
    assert failed.name == "loss.batch"
    assert "NaN" not in report.model_dump_json()


def test_a_context_of_two_tokens(tmp_path: Path, counts_path: Path) -> None:
    directory = start(tmp_path, "qwen2", counts_path)
    config = json.loads((directory / "config.json").read_text()) | {"max_position_embeddings": 2}
    (directory / "config.json").write_text(json.dumps(config))
    report = diagnose_checkpoint(DiagnoseJob(directory))
    assert report.value("loss.batch") is not None
    assert "induction.score" not in {check.name for check in report.checks}
