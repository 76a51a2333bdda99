"""Every family's graph in onnxruntime gives the logits of transformers, whole and by steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

from structinit_core.blueprint.families import FAMILIES
from structinit_core.errors import IncompatibleError
from structinit_core.recipes.exporting import ExportFormat, ExportJob, export_checkpoint

GROUPED = {"num_key_value_heads": 2}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {}),
    "gpt2, untied": ("gpt2", {"tie_word_embeddings": False}),
    "gpt2, exact gelu": ("gpt2", {"activation_function": "gelu"}),
    "gpt2, quick gelu": ("gpt2", {"activation_function": "quick_gelu"}),
    "gpt2, relu": ("gpt2", {"activation_function": "relu"}),
    "gpt2, scaled by layer": ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
    "gpt2, unscaled": ("gpt2", {"scale_attn_weights": False}),
    "llama": ("llama", {}),
    "llama, grouped and tied": ("llama", GROUPED | {"tie_word_embeddings": True}),
    "llama, every bias": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama, rotary of llama3": ("llama", {"rope_parameters": LLAMA3}),
    "llama, rotary of yarn": ("llama", {"rope_parameters": YARN}),
    "llama, older spelling": ("llama", {"rope_theta": 500.0}),
    "mistral": ("mistral", GROUPED | {"sliding_window": None}),
    "mistral, window": ("mistral", GROUPED | {"sliding_window": 5}),
    "qwen2": ("qwen2", GROUPED),
    "qwen2, tied": ("qwen2", GROUPED | {"tie_word_embeddings": True}),
    "qwen2, window in one layer": (
        "qwen2",
        GROUPED | {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    ),
    "qwen3": ("qwen3", GROUPED | {"head_dim": 16}),
    "qwen3, tied": ("qwen3", GROUPED | {"head_dim": 8, "tie_word_embeddings": True}),
    "gpt_neox": ("gpt_neox", {}),
    "gpt_neox, tied": ("gpt_neox", {"tie_word_embeddings": True}),
    "gpt_neox, sequential": ("gpt_neox", {"use_parallel_residual": False}),
    "gpt_neox, no bias, full rotary": ("gpt_neox", {"attention_bias": False, "rotary_pct": 1.0}),
}
ONE_EACH = ["gpt2", "llama, grouped and tied", "mistral, window", "qwen2", "qwen3", "gpt_neox"]


def export(path: Path, output: Path, **fields: Any) -> dict[str, Any]:
    """Export, verified; the checks of the report by name."""
    job = ExportJob(path, ExportFormat.ONNX, verify=True, **fields)
    export_checkpoint(job, output)
    report = json.loads((output / "report.json").read_text())
    return {check["name"]: check for check in report["checks"]}


def test_every_family_is_exported() -> None:
    assert {family for family, _ in VARIANTS.values()} == set(FAMILIES)
    assert {VARIANTS[name][0] for name in ONE_EACH} == set(FAMILIES)


@pytest.mark.parametrize("name", VARIANTS)
def test_plain_operators(save, tmp_path: Path, name: str) -> None:
    family, fields = VARIANTS[name]
    checks = export(save(family, **fields), tmp_path / "out")
    off = {key: check for key, check in checks.items() if key.startswith("logits_off.")}
    assert max(check["value"] for check in off.values()) <= 1e-4
    kinds = {"random.40.steps", "random.40.steps_to_whole", "padded", "padded.steps"}
    assert {f"logits_off.{kind}" for kind in kinds} <= off.keys()


@pytest.mark.parametrize("opset", [20, 23])
@pytest.mark.parametrize("name", ONE_EACH)
def test_newer_operators(save, tmp_path: Path, name: str, opset: int) -> None:
    family, fields = VARIANTS[name]
    checks = export(save(family, **fields), tmp_path / "out", opset=opset)
    off = [check["value"] for key, check in checks.items() if key.startswith("logits_off.")]
    assert max(off) <= 1e-4
    model = onnx.load(tmp_path / "out" / "model.onnx")
    assert [(given.domain, given.version) for given in model.opset_import] == [("", opset)]
    assert ("Attention" in {node.op_type for node in model.graph.node}) == (opset == 23)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ONE_EACH)
def test_half_precision(save, tmp_path: Path, name: str, dtype: str) -> None:
    family, fields = VARIANTS[name]
    export(save(family, **fields), tmp_path / "out", dtype=dtype)
    model = onnx.load(tmp_path / "out" / "model.onnx")
    element = {"float16": onnx.TensorProto.FLOAT16, "bfloat16": onnx.TensorProto.BFLOAT16}[dtype]
    weights = [tensor for tensor in model.graph.initializer if tensor.name.endswith(".weight")]
    assert {tensor.data_type for tensor in weights} == {element}


@pytest.mark.parametrize("past", [True, False])
def test_names_and_axes(save, tmp_path: Path, past: bool) -> None:
    export(save("llama", **GROUPED), tmp_path / "out", past=past)
    session = onnxruntime.InferenceSession(
        tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    given = {node.name: node.shape for node in session.get_inputs()}
    made = {node.name: node.shape for node in session.get_outputs()}
    kept = [f"{layer}.{part}" for layer in (0, 1) for part in ("key", "value")] if past else []
    ids = {"input_ids", "attention_mask", "position_ids"}
    assert given.keys() == ids | {f"past_key_values.{name}" for name in kept}
    assert list(made) == ["logits", *(f"present.{name}" for name in kept)]
    assert made["logits"] == ["batch_size", "sequence_length", 101]
    for name in kept:
        assert given[f"past_key_values.{name}"] == ["batch_size", 2, "past_sequence_length", 8]


def test_a_tied_head_is_stored_once(save, tmp_path: Path) -> None:
    export(save("gpt2"), tmp_path / "out")
    model = onnx.load(tmp_path / "out" / "model.onnx")
    shapes = [tuple(tensor.dims) for tensor in model.graph.initializer]
    assert shapes.count((101, 32)) == 1


def test_a_model_saved_without_its_head_is_exported(save, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = save("gpt2")
    whole = load_file(model / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in whole.items()}
    save_file(bare, model / "model.safetensors", metadata={"format": "pt"})
    assert export(model, tmp_path / "out")["logits_off.padded"]["value"] <= 1e-4


def test_frequencies_that_depend_on_the_length_are_refused(save, tmp_path: Path) -> None:
    dynamic = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}
    with pytest.raises(IncompatibleError, match="'dynamic' are not supported"):
        export(save("llama", rope_parameters=dynamic), tmp_path / "out")
    assert not (tmp_path / "out").exists()
