"""The files of a graph: deterministic, checked, weights inside or beside."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from safetensors.torch import load_file

from structinit_core.errors import InputError
from structinit_core.export.onnx_export import export_onnx
from structinit_core.export.source import read_source
from structinit_core.progress import Silent

DATA = "model.onnx_data"


def write(model: Path, output: Path, **fields) -> Path:
    output.mkdir()
    export_onnx(read_source(model), output, "float32", Silent(), **fields)
    return output


def logits(directory: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        directory / "model.onnx", providers=["CPUExecutionProvider"]
    )
    ids = np.arange(6, dtype=np.int64)[None]
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": ids}
    return session.run(["logits"], given)[0]


def test_inside_and_beside_are_one_model(save, tmp_path: Path) -> None:
    model = save("llama")
    inside = write(model, tmp_path / "inside", past=False)
    beside = write(model, tmp_path / "beside", past=False, inline_bytes=0)
    assert not (inside / DATA).exists()
    assert (logits(inside) == logits(beside)).all()
    stored = load_file(model / "model.safetensors")
    for directory in (inside, beside):
        onnx.checker.check_model(str(directory / "model.onnx"), full_check=True)
        graph = onnx.load(directory / "model.onnx").graph
        weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        for name, tensor in stored.items():
            assert (weights[name] == tensor.numpy()).all()


def test_the_same_bytes_twice(save, tmp_path: Path) -> None:
    model = save("gpt2")
    for size in (0, 1 << 30):
        one = write(model, tmp_path / f"one{size}", inline_bytes=size)
        two = write(model, tmp_path / f"two{size}", inline_bytes=size)
        for file in one.iterdir():
            assert file.read_bytes() == (two / file.name).read_bytes()


def test_data_lies_in_pages_of_its_own_under_one_plain_name(save, tmp_path: Path) -> None:
    out = write(save("gpt2"), tmp_path / "out", inline_bytes=0)
    graph = onnx.load(out / "model.onnx", load_external_data=False).graph
    outside = [t for t in graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    entries = [{entry.key: entry.value for entry in tensor.external_data} for tensor in outside]
    assert {entry["location"] for entry in entries} == {DATA}
    spans = sorted((int(entry["offset"]), int(entry["length"])) for entry in entries)
    assert all(offset % 4096 == 0 for offset, _ in spans)
    assert all(low + length <= high for (low, length), (high, _) in pairwise(spans))
    assert (out / "model.onnx").stat().st_size < 100_000


def test_hashes_are_those_of_the_files(save, tmp_path: Path) -> None:
    from structinit_core.artifact import file_digest

    hashes: dict[Path, str] = {}
    out = write(save("gpt2"), tmp_path / "out", inline_bytes=0, hashes=hashes)
    assert hashes == {out / name: file_digest(out / name) for name in ("model.onnx", DATA)}


def test_a_tensor_that_vanishes_is_an_error(save, tmp_path: Path) -> None:
    model = save("gpt2")
    source = read_source(model)
    (model / "model.safetensors").write_bytes(b"")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError):
        export_onnx(source, tmp_path / "out", "float32", Silent())
