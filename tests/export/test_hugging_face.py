"""Re-sharding, casting and the way back: every value stays what it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from structinit_core.checkpoint import read_tensors
from structinit_core.errors import IncompatibleError, NumericalError, UsageError
from structinit_core.recipes.exporting import ExportFormat, ExportJob, export_checkpoint


class Warnings:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, name: str, total: int | None = None) -> None: ...

    def advance(self, steps: int = 1) -> None: ...

    def warn(self, message: str) -> None:
        self.lines.append(message)


def export(path: Path, output: Path, **fields) -> Path:
    export_checkpoint(ExportJob(path, ExportFormat.HF, **fields), output)
    return output


def same(one: Path, other: Path) -> None:
    ours, theirs = dict(read_tensors(one)), dict(read_tensors(other))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype
        assert torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral", "qwen2", "qwen3", "gpt_neox"])
def test_there_and_back_again(save, tmp_path: Path, family: str, dtype) -> None:
    model = save(family, dtype=dtype, num_key_value_heads=2, max_shard_size="30KB")
    shards = export(model, tmp_path / "shards", shard_bytes=20_000)
    assert len(list(shards.glob("*.safetensors"))) > 2
    back = export(shards, tmp_path / "back")
    assert (back / "model.safetensors").is_file()
    same(model, shards)
    same(model, back)
    loaded, info = AutoModelForCausalLM.from_pretrained(back, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert loaded.dtype == dtype


def test_a_bare_file_and_its_config(save, tmp_path: Path) -> None:
    model = save("llama")
    (tmp_path / "apart").mkdir()
    (model / "config.json").rename(tmp_path / "apart" / "any.json")
    weights = model / "model.safetensors"
    with pytest.raises(UsageError, match="config"):
        export(weights, tmp_path / "out")
    same(export(weights, tmp_path / "out", config=tmp_path / "apart" / "any.json"), model)


def test_a_cast_rounds_and_says_so(save, tmp_path: Path) -> None:
    model = save("gpt2")
    out = export(model, tmp_path / "out", dtype="bfloat16")
    for name, tensor in read_tensors(out):
        original = load_file(model / "model.safetensors")[name]
        assert torch.equal(tensor, original.to(torch.bfloat16))
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"


def test_unknown_config_keys_stay(save, tmp_path: Path) -> None:
    model = save("gpt2")
    config = json.loads((model / "config.json").read_text()) | {"mine": {"ä": [1, None]}}
    (model / "config.json").write_text(json.dumps(config))
    assert json.loads((export(model, tmp_path / "out") / "config.json").read_text()) == config


def test_a_model_saved_without_its_head_gets_full_names(save, tmp_path: Path) -> None:
    model = save("gpt2")
    whole = load_file(model / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in whole.items()}
    bare["h.0.attn.bias"] = torch.ones(1, 1, 4, 4)
    bare["lm_head.weight"] = bare["wte.weight"].clone()
    save_file(bare, model / "model.safetensors")
    out = export(model, tmp_path / "out")
    assert load_file(out / "model.safetensors").keys() == whole.keys()
    bare["lm_head.weight"][0, 0] += 1
    save_file(bare, model / "model.safetensors")
    with pytest.raises(IncompatibleError, match=r"lm_head\.weight: differs"):
        export(model, tmp_path / "out")


def test_tokenizer_files_come_along_or_are_missed(save, tmp_path: Path) -> None:
    model, seen = save("gpt2"), Warnings()
    export_checkpoint(ExportJob(model, ExportFormat.HF), tmp_path / "out", progress=seen)
    assert any("tokenizer" in line for line in seen.lines)
    (model / "tokenizer.json").write_text("{}")
    (model / "secret.txt").write_text("not asked for")
    seen = Warnings()
    export_checkpoint(ExportJob(model, ExportFormat.HF), tmp_path / "out", progress=seen)
    assert seen.lines == []
    assert (tmp_path / "out" / "tokenizer.json").read_text() == "{}"
    assert not (tmp_path / "out" / "secret.txt").exists()


def test_a_second_run_finds_its_work_done(save, tmp_path: Path) -> None:
    job = ExportJob(save("gpt2"), ExportFormat.HF)
    assert export_checkpoint(job, tmp_path / "out")
    assert not export_checkpoint(job, tmp_path / "out")
    first = (tmp_path / "out" / "manifest.json").read_bytes()
    assert export_checkpoint(job, tmp_path / "other")
    assert (tmp_path / "other" / "manifest.json").read_bytes() == first


def damage(model: Path, change) -> None:
    tensors = load_file(model / "model.safetensors")
    change(tensors)
    save_file(tensors, model / "model.safetensors")


NORM = "transformer.ln_f.weight"


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda t: t.pop(NORM), NORM),
        (lambda t: t.update({NORM: torch.ones(3)}), NORM),
        (lambda t: t.update({NORM: torch.ones(32, dtype=torch.int64)}), NORM),
        (lambda t: t.update({"transformer.h.0.lora": torch.ones(3)}), "transformer.h.0.lora"),
        (lambda t: t.update({NORM: torch.ones(32, dtype=torch.float16)}), "several dtypes"),
    ],
)
def test_tensors_that_are_not_the_configs(save, tmp_path: Path, change, names: str) -> None:
    model = save("gpt2")
    damage(model, change)
    with pytest.raises(IncompatibleError, match=names):
        export(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_float16_refuses_what_it_cannot_hold(save, tmp_path: Path) -> None:
    model = save("gpt2")
    damage(model, lambda t: t.update({NORM: torch.full((32,), -1e5)}))
    with pytest.raises(NumericalError, match=NORM):
        export(model, tmp_path / "out", dtype="float16")
    assert not (tmp_path / "out").exists()
    export(model, tmp_path / "out", dtype="bfloat16")


def test_mixed_dtypes_take_the_one_that_is_asked_for(save, tmp_path: Path) -> None:
    model = save("gpt2")
    damage(model, lambda t: t.update({NORM: t[NORM].double()}))
    out = export(model, tmp_path / "out", dtype="float32")
    assert {tensor.dtype for _, tensor in read_tensors(out)} == {torch.float32}


def test_float64_is_narrowed_only_where_it_fits(save, tmp_path: Path) -> None:
    model = save("gpt2")
    damage(model, lambda t: t.update({NORM: torch.full((32,), 1e300, dtype=torch.float64)}))
    with pytest.raises(NumericalError, match=NORM):
        export(model, tmp_path / "out", dtype="float32")


def test_a_tied_head_of_another_dtype_is_another_head(save, tmp_path: Path) -> None:
    model = save("gpt2")
    damage(model, lambda t: t.update({"lm_head.weight": t["transformer.wte.weight"].half()}))
    with pytest.raises(IncompatibleError, match=r"lm_head\.weight: differs"):
        export(model, tmp_path / "out")
