"""A published version as transformers loads it, and what its report says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from structinit_core.errors import LimitError, UsageError
from structinit_core.graph import LinkSource
from structinit_core.initializers.graph.faithful import VERSIONS
from structinit_core.recipes.graph_compile import graph_compile
from structinit_core.recipes.graph_job import GraphCompileJob

GRAPHS = Path(__file__).parents[2] / "fixtures/graphs"
PARTICLE = 33


def job(version: str, file: str = "family.tsv", **more) -> GraphCompileJob:
    return GraphCompileJob(LinkSource([GRAPHS / file]), faithful=version, **more)


def report(directory: Path) -> dict[str, float]:
    checks = json.loads((directory / "report.json").read_text(encoding="utf-8"))["checks"]
    return {check["name"]: check["value"] for check in checks}


@pytest.fixture(scope="module", params=list(VERSIONS))
def published(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The family with two layers."""
    out = tmp_path_factory.mktemp("faithful") / request.param
    assert graph_compile(job(request.param, layers=2), out)
    return out


def test_transformers_loads_it_and_computes_the_formulas(published: Path) -> None:
    model, info = AutoModelForCausalLM.from_pretrained(published, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids = AutoTokenizer.from_pretrained(published)("cora", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, 0].double().numpy()
    tensors = load_file(published / "model.safetensors")
    by_hand = _gpt2 if model.config.model_type == "gpt2" else _llama
    expected = by_hand({name: t.astype(np.float64) for name, t in tensors.items()}, ids[0])
    np.testing.assert_allclose(logits, expected, atol=1e-3 * np.abs(expected).max())
    tied = model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert tied == (model.config.model_type == "llama")


def _llama(tensors: dict[str, np.ndarray], token: int) -> np.ndarray:
    """One token: attention passes its own values; W_2·SiLU(W_1·x), in V4 with a gate."""

    def normed(x: np.ndarray) -> np.ndarray:
        return x / np.sqrt(np.square(x).mean() + 1e-6)

    x = tensors["model.embed_tokens.weight"][token]
    for layer in range(2):
        at = f"model.layers.{layer}"
        value = tensors[f"{at}.self_attn.v_proj.weight"] @ normed(x)
        x = x + tensors[f"{at}.self_attn.o_proj.weight"] @ value
        first = tensors[f"{at}.mlp.gate_proj.weight"] @ normed(x)
        units = first / (1 + np.exp(-first))
        if f"{at}.mlp.up_proj.bias" not in tensors:
            units *= tensors[f"{at}.mlp.up_proj.weight"] @ normed(x)
        x = x + tensors[f"{at}.mlp.down_proj.weight"] @ units
    return tensors["model.embed_tokens.weight"] @ normed(x)


def _gpt2(tensors: dict[str, np.ndarray], token: int) -> np.ndarray:
    def normed(x: np.ndarray) -> np.ndarray:
        return (x - x.mean()) / np.sqrt(x.var() + 1e-5)

    x = tensors["transformer.wte.weight"][token]
    width = len(x)
    for layer in range(2):
        at = f"transformer.h.{layer}"
        value = normed(x) @ tensors[f"{at}.attn.c_attn.weight"][:, 2 * width :]
        x = x + value @ tensors[f"{at}.attn.c_proj.weight"]
        first = torch.from_numpy(normed(x) @ tensors[f"{at}.mlp.c_fc.weight"])
        x = x + torch.nn.functional.gelu(first).numpy() @ tensors[f"{at}.mlp.c_proj.weight"]
    return tensors["lm_head.weight"] @ normed(x)


def test_the_reported_loss_is_that_of_the_written_model(published: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(published)
    tokenizer = AutoTokenizer.from_pretrained(published)
    rows = [line.split("\t") for line in (GRAPHS / "family.tsv").read_text().splitlines()]
    losses = []
    for subject, _, object_ in rows:
        ids = tokenizer(f"{subject}\t{object_}", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([ids[:1]])).logits[0, 0]
        losses.append(-float(torch.log_softmax(logits, 0)[ids[1]]))
    values = report(published)
    assert values["loss.plain"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert values["loss.plain.exact"] < values["loss.plain.unigram"] < values["loss.plain.uniform"]
    assert values["loss.typed.exact"] < values["loss.plain.exact"] < values["loss.plain"]


def test_the_report_names_every_repair(published: Path) -> None:
    text = json.loads((published / "report.json").read_text(encoding="utf-8"))
    version = VERSIONS[report(published)["version"]]
    for said in (*version.repairs, *version.forced):
        assert any(note.endswith(said) for note in text["notes"])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_second_compilation_gives_the_same_bytes(version: str, tmp_path: Path) -> None:
    once, again = tmp_path / "once", tmp_path / "again"
    for out in (once, again):
        assert graph_compile(job(version, layers=2), out)
    for file in ("model.safetensors", "tokenizer.json", "report.json", "manifest.json"):
        assert (once / file).read_bytes() == (again / file).read_bytes()
    assert not graph_compile(job(version, layers=2), once)


def test_a_particle_that_is_no_source_predicts_nothing(tmp_path: Path) -> None:
    # error 1 seen in the written network: four of five particles of a real sample
    out = tmp_path / "out"
    graph_compile(job("v3", "bostrom-cyberlinks.csv", layers=3), out)
    model = AutoModelForCausalLM.from_pretrained(out)
    rows = model.get_input_embeddings().weight[PARTICLE:]
    silent = torch.nonzero(rows.norm(dim=1) == 0)[:, 0]
    assert len(silent) > 0.8 * len(rows)
    with torch.no_grad():
        logits = model(silent[:8, None] + PARTICLE).logits
    assert float(logits.abs().max()) == 0
    values = report(out)
    assert values["loss.plain"] > values["loss.plain.unigram"]
    assert values["error1.zero_rows"] >= values["error1.never_a_source"] > 0.8


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    wide = job("v3", "umls/train.tsv", width=9200)
    with pytest.raises(LimitError, match="parameters as published"):
        graph_compile(replace(wide, memory_bytes=64 << 20), out)
    with pytest.raises(UsageError, match="cannot share"):
        graph_compile(job("v2", width=50), out)
    with pytest.raises(UsageError, match="stores no keys"):
        job("v3", keys=5)
    assert not out.exists()
