"""``initctl graph-compile`` as a shell sees it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

GRAPHS = Path(__file__).parents[2] / "fixtures/graphs"
SMALL = ("--width", 192, "--heads", 4, "--layers", 2)


@pytest.fixture(scope="module")
def compiled(initctl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("graph") / "out"
    run = initctl(
        *("graph-compile", GRAPHS / "family.tsv", "--labels", GRAPHS / "family-labels.tsv"),
        *(*SMALL, "--onnx", "-o", out),
    )
    assert (run.returncode, run.stdout.decode(), run.stderr) == (0, f"{out}\n", b"")
    return out


def _top(directory: Path, text: str, count: int) -> set[str]:
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory).eval()
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(ids).logits[0, -1]
    return set(tokenizer.convert_ids_to_tokens(torch.topk(logits, count).indices.tolist()))


def test_the_checkpoint_answers_by_label(compiled: Path) -> None:
    assert _top(compiled, "Ada Hill\tmother_of", 2) == {"Cora Marsh", "Dan Hill"}
    assert "Ada Hill" in _top(compiled, "Dan Hill\tmother_of⁻¹", 1)


def test_onnx_says_the_same(compiled: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(compiled / "model.onnx")
    ids = np.array([[0, 33, 1]], np.int64)
    fed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    fed["position_ids"] = np.arange(3)[None]
    for entry in session.get_inputs():
        if entry.name.startswith("past"):
            fed[entry.name] = np.zeros((1, 4, 0, 48), np.float32)
    theirs = session.run(["logits"], fed)[0]
    with torch.no_grad():
        ours = AutoModelForCausalLM.from_pretrained(compiled)(torch.from_numpy(ids)).logits
    np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-3)


def test_a_second_run_is_up_to_date_and_a_third_elsewhere_the_same(
    initctl, compiled: Path, tmp_path: Path
) -> None:
    links = ("graph-compile", GRAPHS / "family.tsv", "--labels", GRAPHS / "family-labels.tsv")
    before = (compiled / "run.json").read_bytes()
    again = initctl(*links, *SMALL, "--onnx", "-o", compiled, "--json")
    assert json.loads(again.stdout)["up_to_date"]
    assert (compiled / "run.json").read_bytes() == before
    other = tmp_path / "other"
    assert initctl(*links, *SMALL, "--onnx", "-o", other).returncode == 0
    for file in ("model.safetensors", "model.onnx", "tokenizer.json", "manifest.json"):
        assert (other / file).read_bytes() == (compiled / file).read_bytes()


@pytest.mark.parametrize(
    ("text", "options", "code", "says"),
    [
        ("a\tr\tb\n", ["--column", "from"], 2, "is not COLUMN=NAME"),
        ("a\tr\tb\n", ["--holdout", "1.5"], 2, "is no share"),
        ("a\tr\tb\n", ["--width", "32"], 4, "too small for a graph"),
        ("a\tb\n", [], 3, "links.tsv"),
        ("", [], 3, "links"),
        ("a\tr\tb\nc\n", [], 3, "links.tsv:2"),
    ],
)
def test_bad_input(initctl, tmp_path: Path, text: str, options, code: int, says: str) -> None:
    (tmp_path / "links.tsv").write_text(text, encoding="utf-8")
    run = initctl("graph-compile", "links.tsv", *options, "-o", tmp_path / "out", cwd=tmp_path)
    assert run.returncode == code, run.stderr
    assert says in " ".join(run.stderr.decode().split())
    assert not (tmp_path / "out").exists()


def test_the_plan_holds_statistics_and_writes_nothing(initctl, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = initctl("graph-compile", GRAPHS / "bostrom-cyberlinks.csv", "--plan", "-o", out)
    assert (run.returncode, run.stderr) == (0, b"")
    plan = json.loads(run.stdout)
    found = {each["name"]: each for each in plan["statistics"]}
    assert plan["fits"]
    assert (plan["particles"], plan["links"]) == (1304, 1275)
    assert found["diameter"]["value"] == 18
    assert "exp" in found["d*"]["formula"]
    assert found["d*"]["conditions"]
    assert any("effective rank" in sentence for sentence in plan["suggested"])
    assert list(tmp_path.iterdir()) == []
