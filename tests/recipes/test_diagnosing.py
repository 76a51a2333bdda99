"""``diagnose`` from paths to a report: what it opens, what it refuses and with which code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from structinit_core.diagnose import parse_rule
from structinit_core.errors import (
    IncompatibleError,
    InputError,
    LimitError,
    StructinitError,
    UsageError,
)
from structinit_core.recipes.compile_job import ClosedFormJob
from structinit_core.recipes.compiling import closed_form
from structinit_core.recipes.diagnose_job import DiagnoseJob
from structinit_core.recipes.diagnosing import diagnose_checkpoint

SHARD = "model-00001-of-00001.safetensors"
INDEX = "model.safetensors.index.json"
WHOLE = save({"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2)})


def packed(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(*shape: int, span: tuple[int, int]) -> dict[str, Any]:
    return {"dtype": "F32", "shape": list(shape), "data_offsets": list(span)}


def index(**weight_map: object) -> bytes:
    return json.dumps({"weight_map": weight_map}).encode()


HOSTILE = {
    "empty": ({"model.safetensors": b""}, 3),
    "header bomb": ({"model.safetensors": (2**62).to_bytes(8, "little") + b"{}"}, 3),
    "long header": ({"model.safetensors": (90_000_000).to_bytes(8, "little") + b"{" * 99}, 3),
    "truncated": ({"model.safetensors": WHOLE[:-1]}, 3),
    "overlap": (
        {
            "model.safetensors": packed(
                {"a": entry(2, span=(0, 8)), "b": entry(2, span=(4, 12))}, bytes(12)
            )
        },
        3,
    ),
    "beyond the end": ({"model.safetensors": packed({"a": entry(2, span=(0, 800))}, bytes(8))}, 3),
    "huge shape": ({"model.safetensors": packed({"a": entry(2**40, 2**22, span=(0, 8))})}, 3),
    "traversal": ({INDEX: index(a="../outside.safetensors")}, 4),
    "absolute": ({INDEX: index(a="/etc/passwd")}, 4),
    "missing shard": ({INDEX: index(a=SHARD)}, 3),
    "tensor not in its shard": ({INDEX: index(other=SHARD), SHARD: WHOLE}, 4),
    "index of nothing": ({INDEX: b"[]"}, 3),
    "deep index": ({INDEX: b'{"weight_map":' + b"[" * 100_000}, 3),
    "pickle": ({"pytorch_model.bin": b"\x80\x04."}, 3),
    "no weights": ({"config.json": b"{}"}, 3),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_directories_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    files, code = HOSTILE[kind]
    directory = tmp_path / "checkpoint"
    directory.mkdir()
    (tmp_path / "outside.safetensors").write_bytes(WHOLE)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    for job in (DiagnoseJob(directory), DiagnoseJob(tmp_path, against=directory)):
        with pytest.raises(StructinitError) as caught:
            diagnose_checkpoint(job)
        assert caught.value.exit_code == code
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["none", "none.safetensors"])
def test_what_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="not there"):
        diagnose_checkpoint(DiagnoseJob(tmp_path / name))


def test_nothing_but_nan_is_a_report_that_fails(tmp_path: Path) -> None:
    save_file({"w": torch.full((60, 60), torch.nan)}, tmp_path / "w.safetensors")
    report = diagnose_checkpoint(DiagnoseJob(tmp_path / "w.safetensors"))
    assert report.failed
    assert report.value("nan", "w") == 3600
    assert "NaN" not in report.model_dump_json()


@pytest.mark.parametrize(
    "config",
    [
        b"{",
        b"[]",
        b'{"model_type": "bert"}',
        b'{"model_type": "gpt2", "n_layer": 1e400}',
        b'{"model_type": "gpt2", "vocab_size": 9, "n_embd": 1, "n_layer": 4096, "n_head": 9}',
        b'{"model_type": "llama", "auto_map": {}}',
        b" " * (2 << 20),
    ],
)
def test_a_config_of_no_use_leaves_the_names(tmp_path: Path, config: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(WHOLE)
    (tmp_path / "config.json").write_bytes(config)
    report = diagnose_checkpoint(DiagnoseJob(tmp_path))
    assert report.value("stable_rank", "a") is not None
    assert report.notes[0].startswith("looked at by name: ")


def test_shards_and_one_file_are_the_same_checkpoint(tmp_path: Path) -> None:
    tensors = {name: torch.randn(9, 7) for name in "abc"}
    one, many = tmp_path / "one", tmp_path / "many"
    for directory in (one, many):
        directory.mkdir()
    save_file(tensors, one / "weights.safetensors")
    for name, tensor in tensors.items():
        save_file({name: tensor}, many / f"{name}.safetensors")
    (many / INDEX).write_bytes(index(**{name: f"{name}.safetensors" for name in tensors}))
    first, second = (diagnose_checkpoint(DiagnoseJob(path)) for path in (one, many))
    assert first.checks[1:] == second.checks[1:]
    assert first.series == second.series
    compared = diagnose_checkpoint(DiagnoseJob(one, against=many))
    assert (compared.value("equal"), compared.value("changed")) == (3, 0)
    assert all(c.against == c.value for c in compared.checks if c.name == "stable_rank")


def test_twice_the_same_bytes(tmp_path: Path) -> None:
    save_file({"a": torch.randn(80, 60), "b": torch.randn(3, 9)}, tmp_path / "w.safetensors")
    job = DiagnoseJob(tmp_path / "w.safetensors", rules=[parse_rule("norm>0")])
    assert len({diagnose_checkpoint(job).model_dump_json() for _ in range(3)}) == 1


def test_memory_refuses_and_never_changes(tmp_path: Path) -> None:
    save_file({"wide": torch.randn(900, 2000)}, tmp_path / "w.safetensors")
    job = DiagnoseJob(tmp_path / "w.safetensors", memory_bytes=1 << 30)
    diagnose_checkpoint(job)
    with pytest.raises(LimitError, match="wide") as caught:
        diagnose_checkpoint(DiagnoseJob(job.path, memory_bytes=200 << 20))
    assert "--memory" in (caught.value.hint or "")


def test_a_file_cannot_be_scored(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(WHOLE)
    with pytest.raises(UsageError):
        diagnose_checkpoint(DiagnoseJob(tmp_path / "w.safetensors", texts=[tmp_path / "t.txt"]))


def test_peak_memory_is_that_of_one_tensor(tmp_path: Path) -> None:
    # 24 tensors of 32 MiB, which float64 would double; the process itself is taken off
    save_file({f"w{i}": torch.randn(16384, 512) for i in range(24)}, tmp_path / "w.safetensors")
    code = f"""
import resource
from pathlib import Path
from structinit_core.checkpoint import reader
from structinit_core.recipes.compile_job import ClosedFormJob
from structinit_core.recipes.compiling import closed_form
from structinit_core.recipes.diagnose_job import DiagnoseJob
from structinit_core.recipes.diagnosing import diagnose_checkpoint
import numpy, torch, scipy.linalg
reader._REOPEN_BYTES = 64 << 20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
diagnose_checkpoint(DiagnoseJob(Path({str(tmp_path)!r}, "w.safetensors")))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) * 1024 < 400 << 20


def test_a_file_and_its_config_are_the_directory(counts_path: Path, tiny_config: Path, tmp_path):
    directory, apart = tmp_path / "out", tmp_path / "apart"
    closed_form(ClosedFormJob(tiny_config, counts=counts_path, stages=("bigram",)), directory)
    apart.mkdir()
    shutil.copy(directory / "model.safetensors", apart / "some.safetensors")
    whole = diagnose_checkpoint(DiagnoseJob(directory, counts=counts_path))
    job = DiagnoseJob(
        apart / "some.safetensors", config=directory / "config.json", counts=counts_path
    )
    assert diagnose_checkpoint(job).checks == whole.checks
    assert diagnose_checkpoint(replace(job, path=apart)).checks == whole.checks
    wrong = tmp_path / "wrong.json"
    wrong.write_text(tiny_config.read_text().replace('"n_layer": 2', '"n_layer": 3'))
    with pytest.raises(IncompatibleError):
        diagnose_checkpoint(replace(job, config=wrong, counts=None))
    with pytest.raises(InputError, match=r"nowhere\.json"):
        diagnose_checkpoint(replace(job, config=tmp_path / "nowhere.json"))


def test_a_model_too_wide_to_compare_its_heads_says_so(tmp_path: Path) -> None:
    wide = {"hidden_size": 4160, "num_attention_heads": 65, "num_hidden_layers": 1}
    wide |= {"model_type": "llama", "vocab_size": 16, "intermediate_size": 16}
    (tmp_path / "config.json").write_text(json.dumps(wide))
    save_file({"a": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    report = diagnose_checkpoint(DiagnoseJob(tmp_path, dynamic=False))
    assert "heads are held against each other up to 4,096 wide, not 4,160" in report.notes
