"""``initctl export`` as a shell sees it: what it publishes, what it refuses."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from safetensors.torch import load_file


@pytest.fixture(scope="module")
def checkpoint(initctl, counts_path: Path, tiny_config: Path, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("export") / "ckpt"
    arguments = ("closed-form", "--config", tiny_config, "--counts", counts_path, "-o", output)
    assert initctl(*arguments).returncode == 0
    return output


def test_a_graph_is_published_verified_and_then_up_to_date(
    initctl, checkpoint: Path, tmp_path: Path
) -> None:
    arguments = ("export", checkpoint, "--format", "onnx", "--verify", "-o", tmp_path / "out")
    made, again = (initctl(*arguments, "--json") for _ in range(2))
    assert (made.returncode, made.stderr) == (0, b"")
    made, again = json.loads(made.stdout), json.loads(again.stdout)
    assert (made["up_to_date"], again["up_to_date"]) == (False, True)
    off = {c["name"]: c["value"] for c in made["report"]["checks"] if c["threshold"]}
    assert "logits_off.prompt.0.steps" in off
    assert max(off.values()) < 1e-4
    onnx.checker.check_model(str(tmp_path / "out" / "model.onnx"), full_check=True)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"tokenizer.json", "config.json", "manifest.json"} <= files


def test_a_cast_is_published_and_diagnosed(initctl, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = initctl("export", checkpoint, "--format", "hf", "--dtype", "bfloat16", "-o", out)
    assert (run.returncode, run.stdout.decode(), run.stderr) == (0, f"{out}\n", b"")
    size = (checkpoint / "model.safetensors").stat().st_size
    assert (out / "model.safetensors").stat().st_size < 0.6 * size
    assert initctl("diagnose", out, "--json").returncode == 0


def test_the_plan_is_what_is_written(initctl, checkpoint: Path, tmp_path: Path) -> None:
    arguments = ("export", checkpoint, "--format", "hf", "-o", tmp_path / "out")
    plan = json.loads(initctl(*arguments, "--plan").stdout)
    assert not (tmp_path / "out").exists()
    assert initctl(*arguments).returncode == 0
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert plan["disk_bytes"] == sum(tensor.nbytes for tensor in stored.values())
    assert plan["parameters"] == sum(tensor.numel() for tensor in stored.values())


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--format", "onnx", "--max-shard-size", "4M"], 2, "is not of --format onnx"),
        (["--format", "hf", "--opset", "17"], 2, "is not of --format hf"),
        (["--format", "hf", "--no-past"], 2, "is not of --format hf"),
        (["--format", "hf", "--verify"], 2, "is not of --format hf"),
        (["--format", "onnx", "--opset", "16"], 2, "choose one from 17 to 23"),
        (["--format", "gguf"], 2, "--format"),
        (["--format", "hf", "--dtype", "int8"], 2, "--dtype"),
        (["--format", "hf", "--config", "nowhere.json"], 3, "nowhere.json: cannot be read"),
    ],
)
def test_bad_options(initctl, checkpoint: Path, tmp_path: Path, options, code: int, says) -> None:
    run = initctl("export", checkpoint, *options, "-o", tmp_path / "out", cwd=tmp_path)
    assert run.returncode == code, run.stderr
    assert says in " ".join(run.stderr.decode().split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("config", "code", "says"),
    [
        ({"model_type": "mamba"}, 4, "'mamba' is not supported"),
        ({"n_layer": 3}, 4, "transformer.h.2.ln_1.weight: the config needs it"),
        ({"n_layer": 1}, 4, "is no tensor of this gpt2 config"),
        ({"vocab_size": 600}, 4, "has shape [512, 64], the config needs [600, 64]"),
        ({"quantization_config": {}}, 4, "quantised"),
        ({"auto_map": {}}, 4, "auto_map"),
    ],
)
@pytest.mark.parametrize("form", ["hf", "onnx"])
def test_a_config_that_is_not_the_weights(
    initctl, checkpoint: Path, tmp_path: Path, form: str, config, code: int, says: str
) -> None:
    fields = json.loads((checkpoint / "config.json").read_text()) | config
    (tmp_path / "config.json").write_text(json.dumps(fields))
    arguments = ("--config", tmp_path / "config.json", "-o", tmp_path / "out")
    run = initctl("export", checkpoint, "--format", form, *arguments)
    assert (run.returncode, says in run.stderr.decode()) == (code, True), run.stderr
    assert run.stderr.count(b"\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["hf", "onnx"])
def test_a_full_disk_leaves_nothing(checkpoint: Path, tmp_path: Path, form: str) -> None:
    command = [sys.executable, "-m", "initctl", "export", str(checkpoint), "--format", form]
    run = subprocess.run(
        [*command, "-o", str(tmp_path / "out")],
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        check=False,
    )
    assert (run.returncode, b"the disk is full" in run.stderr) == (6, True), run.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]


def test_an_output_over_the_input_is_refused(initctl, checkpoint: Path) -> None:
    run = initctl("export", checkpoint, "--format", "hf", "-o", checkpoint)
    assert (run.returncode, b"overlap" in run.stderr) == (2, True)
    assert (checkpoint / "report.json").is_file()
