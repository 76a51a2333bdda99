"""``closed-form --method paired-views`` from text to a published encoder."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from structinit_core.checkpoint import load_paired_views
from structinit_core.corpus import Border
from structinit_core.diagnose import Report
from structinit_core.errors import IncompatibleError, InputError, LimitError
from structinit_core.progress import Silent
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.paired_views import (
    PairedViewsJob,
    fit_paired_views,
    plan_paired_views,
)

SIZES = {
    "model_type": "paired_views",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "landmarks": 4,
    "max_position_embeddings": 16,
    "windows": 600,
}
FILES = {
    "config.json",
    "tokenizer.json",
    "model.safetensors",
    "report.json",
    "manifest.json",
    "run.json",
}


class Warnings(Silent):
    """Keeps what was warned of."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.json"
    path.write_text(json.dumps(SIZES))
    return path


@pytest.fixture(scope="module")
def source(text: Path, counts_path: Path) -> CountSource:
    tokenizer = counts_path / "tokenizer.json"
    return CountSource([text], tokenizer=tokenizer, holdout=0.2, border=Border.FILE)


@pytest.fixture(scope="module")
def output(source: CountSource, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("paired") / "out"
    assert fit_paired_views(PairedViewsJob(source, config), made)
    return made


def report_of(directory: Path) -> Report:
    return Report.model_validate_json((directory / "report.json").read_text())


def test_the_directory_is_complete_and_loads(output: Path) -> None:
    assert {path.name for path in output.iterdir()} == FILES
    written = json.loads((output / "config.json").read_text())
    assert written == written | SIZES | {"vocab_size": 512}
    model = load_paired_views(output)
    logits = model.logits(torch.randint(0, 512, (3, 16)))
    assert logits.shape == (3, 512)
    assert logits.isfinite().all()
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["recipe"]["params"]["method"] == "paired-views"


def test_the_report_has_the_loss_and_every_flaw(output: Path) -> None:
    report = report_of(output)
    assert report.value("loss.uniform") == pytest.approx(math.log(512))
    assert report.value("loss.kn2") < report.value("loss.unigram")
    discarded = report.value("loss.uniform") - report.value("loss.model")
    assert report.value("flaw.readout_discarded") == pytest.approx(discarded)
    unread = report.value("loss.model") - report.value("loss.last_block_read")
    assert report.value("flaw.last_block_unread") == pytest.approx(unread)
    assert report.value("flaw.labels_in_objective") == 0
    for block in ("blocks.0", "blocks.1"):
        assert 0 < report.value("flaw.positional_share", block) <= 1
        entropy = report.value("flaw.attention_entropy", block)
        assert 0.9 * math.log(16) < entropy <= math.log(16)
        assert 1 <= report.value("contexts.rank", block) <= 32
    said = " ".join(report.notes)
    for flaw in ("without label", "readout discarded", "last block unread", "Hugging Face family"):
        assert flaw in said


def test_the_loss_is_that_of_the_written_model_on_the_references_positions(
    output: Path, source: CountSource
) -> None:
    """Scored again from what is on disk, on the last position of the same windows."""
    from structinit_core.corpus import hold_out, load_tokenizer, read_documents, tokenize
    from structinit_core.initializers.paired_views import draw_windows

    model = load_paired_views(output)
    tokenizer = load_tokenizer(output / "tokenizer.json")
    documents = read_documents(source.texts, border=source.border)
    stream = tokenize(documents, tokenizer, output.parent)
    spans = hold_out(stream, source.holdout, source.seed).held_out
    windows = draw_windows(stream.ids, spans, model.config, 4000, 0, "held-out")
    ids, targets = windows.take(torch.arange(len(windows.starts)).numpy())
    loss = torch.nn.functional.cross_entropy(model.logits(ids), targets)
    assert report_of(output).value("loss.model") == pytest.approx(float(loss), abs=1e-4)
    assert report_of(output).value("scored") == len(targets)


def test_same_inputs_same_bytes_whatever_the_memory_and_nothing_twice(
    output: Path, source: CountSource, config: Path, tmp_path: Path
) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    fit_paired_views(PairedViewsJob(source, config, memory_bytes=1 << 30), again)
    for name in FILES - {"run.json"}:
        assert (again / name).read_bytes() == (output / name).read_bytes(), name
    assert not fit_paired_views(PairedViewsJob(source, config), again)
    fit_paired_views(PairedViewsJob(source, config, seed=1), other)
    one, two = (load_file(path / "model.safetensors") for path in (again, other))
    assert not torch.equal(one["blocks.1.shrinkage"], two["blocks.1.shrinkage"])


def test_the_plan_knows_the_checkpoint(output: Path, source: CountSource, config: Path) -> None:
    plan = plan_paired_views(PairedViewsJob(source, config))
    written = (output / "model.safetensors").stat().st_size
    assert 0 <= written - plan.checkpoint_bytes < 8192
    assert plan.fits
    assert plan_paired_views(PairedViewsJob(source)).windows == 16_000


def test_too_little_memory_is_refused_before_any_work(
    source: CountSource, config: Path, tmp_path: Path
) -> None:
    with pytest.raises(LimitError, match="the fit needs"):
        fit_paired_views(PairedViewsJob(source, config, memory_bytes=1 << 20), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_short_documents_and_other_configs_are_refused(
    text: Path, source: CountSource, tiny_config: Path, config: Path, tmp_path: Path
) -> None:
    lines = CountSource([text], tokenizer=source.tokenizer, border=Border.LINE)
    wide = tmp_path / "wide.json"
    wide.write_text(json.dumps(SIZES | {"max_position_embeddings": 5000}))
    with pytest.raises(InputError, match="more than 5000 tokens"):
        fit_paired_views(PairedViewsJob(lines, wide), tmp_path / "out")
    with pytest.raises(IncompatibleError, match="'gpt2' is not 'paired_views'"):
        fit_paired_views(PairedViewsJob(source, tiny_config), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_held_out_text_there_is_no_loss(
    text: Path, source: CountSource, config: Path, tmp_path: Path
) -> None:
    whole = CountSource([text], tokenizer=source.tokenizer, holdout=0, border=Border.FILE)
    heard = Warnings()
    fit_paired_views(PairedViewsJob(whole, config), tmp_path / "out", progress=heard)
    assert any("no loss is reported" in message for message in heard.said)
    report = report_of(tmp_path / "out")
    assert all(not check.name.startswith("loss") for check in report.checks)
    assert report.value("flaw.positional_share", "blocks.0") > 0


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda t: t.pop("temperature"), "temperature: is missing"),
        (lambda t: t.update(more=torch.zeros(2)), "more: is unknown"),
        (lambda t: t.update(embedding=torch.zeros(2, 2)), r"embedding: is .* not .*\(513, 16\)"),
        (lambda t: t.update(temperature=torch.zeros((), dtype=torch.float16)), "float16"),
    ],
)
def test_a_broken_model_is_refused(output: Path, tmp_path: Path, broken: Any, said: str) -> None:
    tensors = load_file(output / "model.safetensors")
    broken(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((output / "config.json").read_bytes())
    with pytest.raises(IncompatibleError, match=said):
        load_paired_views(tmp_path)
