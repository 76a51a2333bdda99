"""``dpi-init`` from text to a published checkpoint: bytes, the law, little text, resumption."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from structinit_core.artifact import file_digest, read_manifest
from structinit_core.checkpoint import read_tensors
from structinit_core.corpus import Border
from structinit_core.diagnose import Report
from structinit_core.errors import IncompatibleError, LimitError, UsageError
from structinit_core.initializers.dpi import VARIANTS, choose
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus
from structinit_core.recipes.dpi import dpi_init
from structinit_core.recipes.dpi_job import DpiJob
from structinit_core.recipes.dpi_plan import plan_dpi

SIZES = {
    "vocab_size": 512,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2", "n_inner": 160},
    "llama": {"model_type": "llama", "num_key_value_heads": 2, "intermediate_size": 96},
    "qwen3": {"model_type": "qwen3", "num_key_value_heads": 2, "intermediate_size": 96},
    "gpt_neox": {"model_type": "gpt_neox", "intermediate_size": 160},
}
RUN = """
import os, signal, sys
from pathlib import Path
from structinit_core.artifact.resumable import Resumable
from structinit_core.initializers.dpi import choose
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.dpi import dpi_init
from structinit_core.recipes.dpi_job import DpiJob

counts, text, config, output, after = map(Path, sys.argv[1:6])
note = Resumable.note

def die(self, entry):
    note(self, entry)
    if len(self.entries) == int(str(after)):
        os.kill(os.getpid(), signal.SIGKILL)

Resumable.note = die
source = CountSource([text], tokenizer=counts / "tokenizer.json")
settings = choose(sys.argv[6], **({"morph_alpha": 0.3}))
dpi_init(DpiJob(config, settings, source, counts, shard_bytes=40_000), output)
"""


@pytest.fixture(scope="module")
def pages(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "pages.txt"
    path.write_bytes(gzip.decompress(book.read_bytes())[:60_000])
    return path


@pytest.fixture
def job(counts_path: Path, pages: Path, tmp_path: Path):
    def make(
        variant: str = "best",
        family: str = "gpt2",
        changes: dict[str, Any] | None = None,
        network: dict[str, Any] | None = None,
        **fields: Any,
    ) -> DpiJob:
        config = tmp_path / "config.json"
        untied = {"tie_word_embeddings": False}
        config.write_text(json.dumps(SIZES | untied | FAMILIES[family] | (network or {})))
        source = CountSource([pages], tokenizer=counts_path / "tokenizer.json")
        return DpiJob(config, choose(variant, **(changes or {})), source, counts_path, **fields)

    return make


def read_report(directory: Path) -> Report:
    return Report.model_validate_json((directory / "report.json").read_text())


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize(
    ("family", "variant"),
    [
        *((family, "best") for family in FAMILIES),
        *(("gpt2", variant) for variant in VARIANTS if variant != "best"),
        pytest.param("llama", "v14.1", marks=pytest.mark.slow),
        pytest.param("llama", "pid8", marks=pytest.mark.slow),
    ],
)
def test_transformers_loads_it_and_scores_what_the_layers_did(
    job, tmp_path: Path, family: str, variant: str, tied: bool
) -> None:
    output = tmp_path / "out"
    assert dpi_init(job(variant, family, network={"tie_word_embeddings": tied}), output)
    report = read_report(output)
    assert report.value("law.layers_minus_model") < 1e-3
    assert 0 < report.value("gradient.norm") < 1e4
    assert report.value("loss.kn2") < report.value("loss.unigram") < report.value("loss.uniform")
    model, info = AutoModelForCausalLM.from_pretrained(output, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    assert (head.weight is table.weight) == tied


def test_ours_starts_below_the_unigram_and_the_published_ones_do_not(job, tmp_path: Path) -> None:
    losses = {}
    for variant in ("best", "v14.1", "v16.2"):
        dpi_init(job(variant), tmp_path / variant)
        report = read_report(tmp_path / variant)
        losses[variant] = report.value("gap.unigram")
    assert losses["best"] < -0.3
    assert min(losses["v14.1"], losses["v16.2"]) > 0


def test_same_job_same_bytes_whatever_the_random_state(job, tmp_path: Path) -> None:
    for state in (1, 2):
        np.random.seed(state)  # noqa: NPY002
        torch.manual_seed(state)
        dpi_init(job("v16.2"), tmp_path / f"out{state}")
    manifests = [read_manifest(tmp_path / f"out{state}") for state in (1, 2)]
    assert manifests[0] == manifests[1]
    for name, entry in manifests[0].files.items():
        assert entry.sha256 == file_digest(tmp_path / "out1" / name)


def test_a_second_run_does_nothing_and_another_seed_replaces(job, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert dpi_init(job("v14.1"), output)
    assert not dpi_init(job("v14.1"), output)
    before = file_digest(output / "model.safetensors")
    assert dpi_init(job("v14.1", seed=1), output)
    assert file_digest(output / "model.safetensors") != before


def test_a_hundred_lines_are_enough(pages: Path, tmp_path: Path, job) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join([line for line in pages.read_text().splitlines() if line][:100]))
    config = job("v14.1").config
    for variant in VARIANTS:
        source = CountSource([lines], train_vocabulary=400, holdout=0.1, border=Border.LINE)
        dpi_init(DpiJob(config, choose(variant), source), tmp_path / variant)
        report = read_report(tmp_path / variant)
        assert report.value("padding_rows") > 100
        assert report.value("law.layers_minus_model") < 1e-3
        for name, tensor in read_tensors(tmp_path / variant):
            assert torch.isfinite(tensor).all(), name
            if name in ("transformer.wte.weight", "lm_head.weight"):
                assert tensor.norm(dim=1).min() > 0


def test_counts_in_advance_and_in_one_go_are_one(pages: Path, tmp_path: Path, job) -> None:
    source = CountSource([pages], train_vocabulary=512, holdout=0.1)
    count_corpus(source, tmp_path / "counts")
    config, settings = job("v14.1").config, choose("v14.1")
    dpi_init(DpiJob(config, settings, source), tmp_path / "one")
    given = CountSource([pages], tokenizer=tmp_path / "counts" / "tokenizer.json")
    dpi_init(DpiJob(config, settings, given, tmp_path / "counts"), tmp_path / "two")
    for name in ("model.safetensors", "report.json", "config.json", "tokenizer.json"):
        one, two = (tmp_path / side / name for side in ("one", "two"))
        assert one.read_bytes() == two.read_bytes(), name


@pytest.mark.parametrize(
    ("variant", "after"),
    [
        pytest.param("v14.1", 1, marks=pytest.mark.slow),
        ("v16.2", 4),
        pytest.param("best", 9, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_goes_on_after_its_last_shard(
    job, counts_path: Path, pages: Path, tmp_path: Path, variant: str, after: int
) -> None:
    whole = job(variant, changes={"morph_alpha": 0.3}, shard_bytes=40_000)
    dpi_init(whole, tmp_path / "whole")
    shards = sorted(path.name for path in (tmp_path / "whole").glob("model-*"))
    assert len(shards) > 10
    arguments = [counts_path, pages, whole.config, tmp_path / "out", after, variant]
    killed = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not (tmp_path / "out").exists()
    kept = {
        path.name: path.stat().st_mtime_ns
        for path in (tmp_path / ".out.part" / "out").glob("model-*")
    }
    assert len(kept) == after
    assert dpi_init(whole, tmp_path / "out")
    assert read_manifest(tmp_path / "out") == read_manifest(tmp_path / "whole")
    for path in (tmp_path / "out").iterdir():
        if path.name in kept:
            assert path.stat().st_mtime_ns == kept[path.name], path.name
    assert not (tmp_path / ".out.part").exists()


def test_bfloat16_is_rounded_before_it_is_measured(job, tmp_path: Path) -> None:
    dpi_init(job("best", "llama", dtype="bfloat16"), tmp_path / "out")
    assert read_report(tmp_path / "out").value("law.layers_minus_model") < 1e-3
    assert all(t.dtype == torch.bfloat16 for _, t in read_tensors(tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_layers_are_reported_one_by_one(job, tmp_path: Path) -> None:
    dpi_init(job("v16.2"), tmp_path / "out")
    report = read_report(tmp_path / "out")
    for layer in range(4):
        at = f"layer {layer}"
        assert report.value("orthogonality_error", at) > 0.1
        before, after = (report.value(f"variance_{x}", at) for x in ("before", "after"))
        assert before != after
        assert report.value("gamma", at) <= 0.25
        assert 1 <= report.value("input_effective_rank", at) <= 32


def test_the_plan_writes_nothing_and_grows_with_the_network(job, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    small = plan_dpi(job("v14.1"))
    assert sorted(tmp_path.rglob("*")) == [*before, tmp_path / "config.json"]
    deep = plan_dpi(job("v14.1", network={"num_hidden_layers": 8}, dtype="bfloat16"))
    assert deep.parameters > 1.3 * small.parameters
    assert deep.checkpoint_bytes == 2 * deep.parameters
    assert deep.working_bytes == small.working_bytes
    assert deep.multiply_adds["eigenvectors"] == 2 * small.multiply_adds["eigenvectors"]
    large = DpiJob(Path("dpi-8b"), choose("v14.1"), job().source, job().counts, dtype="bfloat16")
    forecast = plan_dpi(large)
    assert forecast.working_bytes < 8 << 30
    assert forecast.fits
    assert forecast.shards > 1
    assert not plan_dpi(job("v14.1", memory_bytes=64 << 20)).fits


def test_memory_is_a_bound(job, tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="MiB"):
        dpi_init(job(memory_bytes=64 << 20), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_is_refused(job, pages: Path, counts_path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dtype"):
        job(dtype="int8")
    with pytest.raises(UsageError, match="tokenizer"):
        DpiJob(
            job().config, choose("best"), CountSource([pages], train_vocabulary=400), counts_path
        )
    with pytest.raises(IncompatibleError, match="512 tokens"):
        dpi_init(job(network={"vocab_size": 300}), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / ".out.part").exists()
