"""Verification finds what is wrong, and says what it lacks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from structinit_core.corpus import serialise, train_tokenizer
from structinit_core.errors import InputError, MissingError, NumericalError, UsageError
from structinit_core.export import read_source
from structinit_core.export.onnx_export import export_onnx
from structinit_core.export.verify import verify_onnx
from structinit_core.graph import LinkSource
from structinit_core.progress import Silent
from structinit_core.recipes.exporting import ExportFormat, ExportJob, export_checkpoint
from structinit_core.recipes.graph_compile import graph_compile
from structinit_core.recipes.graph_job import GraphCompileJob


def written(model: Path, output: Path) -> Path:
    output.mkdir()
    export_onnx(read_source(model), output, "float32", Silent())
    return output


@pytest.mark.parametrize("name", ["transformer.h.1.attn.c_attn.bias", "transformer.wpe.weight"])
def test_a_wrong_weight_is_found(save, tmp_path: Path, name: str) -> None:
    model = save("gpt2")
    out = written(model, tmp_path / "out")
    graph = onnx.load(out / "model.onnx")
    tensor = next(tensor for tensor in graph.graph.initializer if tensor.name == name)
    values = numpy_helper.to_array(tensor) + np.float32(0.01)
    values.flat[0] += 1
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    onnx.save(graph, out / "model.onnx")
    with pytest.raises(NumericalError, match="logits are off"):
        verify_onnx(read_source(model), out, "float32", Silent())


def test_a_mask_that_is_ignored_is_found(save, tmp_path: Path) -> None:
    model = save("gpt2")
    out = written(model, tmp_path / "out")
    graph = onnx.load(out / "model.onnx")
    least = next(t for t in graph.graph.initializer if t.name.startswith("float32(-"))
    least.CopyFrom(numpy_helper.from_array(np.float32(0), least.name))
    onnx.save(graph, out / "model.onnx")
    with pytest.raises(NumericalError):
        verify_onnx(read_source(model), out, "float32", Silent())


def test_real_prompts_are_compared_where_there_is_a_tokenizer(save, tmp_path: Path) -> None:
    model = save("gpt2", vocab_size=300)
    tokenizer = train_tokenizer(["one two three four"] * 9, 300)
    (model / "tokenizer.json").write_text(serialise(tokenizer), encoding="utf-8")
    export_checkpoint(ExportJob(model, ExportFormat.ONNX, verify=True), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    names = {check["name"] for check in report["checks"]}
    assert {"logits_off.prompt.0", "logits_off.prompt.1.steps"} <= names
    assert (tmp_path / "out" / "tokenizer.json").is_file()


@pytest.mark.parametrize("location", ["../weights", "/etc/hostname", "link"])
def test_data_outside_the_directory_are_never_opened(save, tmp_path: Path, location: str) -> None:
    model = save("gpt2")
    out = written(model, tmp_path / "out")
    graph = onnx.load(out / "model.onnx")
    weight = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    (tmp_path / "weights").write_bytes(weight.raw_data)
    (out / "link").symlink_to(tmp_path / "weights")
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    (out / "model.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(InputError, match="refused by onnx's checker"):
        verify_onnx(read_source(model), out, "float32", Silent())


def test_an_onnx_graph_is_not_read_as_a_checkpoint(save, tmp_path: Path) -> None:
    out = written(save("gpt2"), tmp_path / "out")
    for path in (out, out / "model.onnx"):
        with pytest.raises(UsageError, match="is an ONNX graph"):
            read_source(path)


def test_without_onnxruntime_nothing_begins(save, tmp_path: Path, monkeypatch) -> None:
    model = save("gpt2")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    job = ExportJob(model, ExportFormat.ONNX, verify=True)
    with pytest.raises(MissingError) as caught:
        export_checkpoint(job, tmp_path / "out")
    assert caught.value.exit_code == 8
    assert "pip install" in str(caught.value.hint)
    assert not (tmp_path / "out").exists()
    assert export_checkpoint(ExportJob(model, ExportFormat.ONNX), tmp_path / "out")


def test_only_a_graph_is_verified(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ONNX"):
        ExportJob(tmp_path, ExportFormat.HF, verify=True)


def test_a_bare_file_is_verified_too(save, tmp_path: Path) -> None:
    model = save("qwen3", num_key_value_heads=2)
    weights, config = model / "model.safetensors", model / "config.json"
    job = ExportJob(weights, ExportFormat.ONNX, config=config, verify=True)
    assert export_checkpoint(job, tmp_path / "out")


def test_shards_are_verified_too(save, tmp_path: Path) -> None:
    model = save("qwen3", num_key_value_heads=2, max_shard_size="30KB")
    assert len(list(model.glob("*.safetensors"))) > 1
    assert export_checkpoint(ExportJob(model, ExportFormat.ONNX, verify=True), tmp_path / "out")


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_compiled_graph_says_the_same(family: str, tmp_path: Path) -> None:
    links = Path(__file__).parents[2] / "fixtures" / "graphs" / "family.tsv"
    job = GraphCompileJob(LinkSource([links]), family=family, width=128)
    graph_compile(job, tmp_path / "compiled")
    export_checkpoint(
        ExportJob(tmp_path / "compiled", ExportFormat.ONNX, verify=True), tmp_path / "onnx"
    )
    report = json.loads((tmp_path / "onnx" / "report.json").read_text())
    compared = [check for check in report["checks"] if check["name"].startswith("logits_off.")]
    assert {"logits_off.random.7.steps", "logits_off.padded"} <= {
        check["name"] for check in compared
    }
    assert all(check["value"] < check["threshold"] for check in compared)
