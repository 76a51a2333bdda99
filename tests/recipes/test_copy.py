"""The copy heads in whole checkpoints: the law, what they are worth, and what is dropped."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from structinit_core.corpus import Border
from structinit_core.diagnose import Report
from structinit_core.initializers.closed_form import compile as compile_module
from structinit_core.initializers.closed_form.copying import place_copy
from structinit_core.recipes.compile_job import ClosedFormJob
from structinit_core.recipes.compiling import closed_form
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus

SIZES = {"vocab_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4}
ROTARY = {"hidden_size": 192, "intermediate_size": 384, "max_position_embeddings": 64}
CONFIGS = {
    "gpt2": {"hidden_size": 128, "n_positions": 64, "tie_word_embeddings": False},
    "llama": ROTARY | {"num_key_value_heads": 2},
    "gpt_neox": ROTARY,
    "qwen3": ROTARY | {"num_key_value_heads": 2, "head_dim": 48},
}
TIED = ROTARY | {"intermediate_size": 768, "tie_word_embeddings": True}
TIED_CONFIGS = {
    "gpt2": CONFIGS["gpt2"] | {"hidden_size": 192, "tie_word_embeddings": True},
    "llama": TIED,
    "gpt_neox": TIED | {"num_hidden_layers": 3},
    "qwen3": CONFIGS["qwen3"] | TIED,
}


@pytest.fixture(scope="module")
def repeats(book: Path, counts_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Counts of the book with every eight words said twice."""
    directory = tmp_path_factory.mktemp("repeats")
    words = gzip.decompress(book.read_bytes()).decode().split()
    parts = [" ".join(words[at : at + 8]) for at in range(0, len(words), 8)]
    text = directory / "text.txt"
    text.write_text("\n".join(f"{part} {part}" for part in parts))
    tokenizer = counts_path / "tokenizer.json"
    source = CountSource([text], tokenizer=tokenizer, border=Border.LINE, holdout=0.1)
    count_corpus(source, directory / "counts")
    return directory / "counts"


@pytest.fixture
def job(repeats: Path, tmp_path: Path) -> ClosedFormJob:
    return make_job("gpt2", repeats, tmp_path)


def make_job(
    family: str, counts_path: Path, directory: Path, configs: dict[str, dict] = CONFIGS
) -> ClosedFormJob:
    path = directory / "config.json"
    path.write_text(json.dumps(SIZES | configs[family] | {"model_type": family}))
    return ClosedFormJob(path, counts=counts_path, stages=("bigram", "copy"))


def read_report(directory: Path) -> Report:
    return Report.model_validate_json((directory / "report.json").read_text())


@pytest.mark.parametrize("family", CONFIGS)
def test_the_model_copies_as_its_predictor_does(repeats: Path, tmp_path: Path, family: str) -> None:
    closed_form(make_job(family, repeats, tmp_path), tmp_path / "out")
    report = read_report(tmp_path / "out")
    assert report.value("law.offline_minus_model") < 1e-3
    assert report.value("worth.copy") > 0
    assert report.value("induction.score") > report.value("induction.without_copy") + 0.5
    assert report.value("stage.copy") == pytest.approx(report.value("loss.model"), abs=1e-3)


@pytest.mark.parametrize("family", TIED_CONFIGS)
def test_a_tied_model_copies_too(repeats: Path, tmp_path: Path, family: str) -> None:
    closed_form(make_job(family, repeats, tmp_path, TIED_CONFIGS), tmp_path / "out")
    report = read_report(tmp_path / "out")
    assert report.value("law.offline_minus_model") < 1e-3
    assert report.value("worth.copy") > 0.1
    assert report.value("induction.score") > report.value("induction.without_copy") + 0.5


def test_a_tied_model_copies_between_offsets_and_readouts(repeats: Path, tmp_path: Path) -> None:
    """Its lift takes in what the second layer adds, and the readouts come behind it."""
    job = make_job("gpt_neox", repeats, tmp_path, TIED_CONFIGS)
    stages = ("bigram", "offsets", "copy", "readouts")
    closed_form(dataclasses.replace(job, stages=stages), tmp_path / "out")
    report = read_report(tmp_path / "out")
    assert report.value("law.offline_minus_model") < 1e-3
    assert all(report.value(f"worth.{stage}") > 0 for stage in stages[1:])


def test_copying_that_does_not_help_leaves_no_trace(
    job: ClosedFormJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(*given):
        network = place_copy(*given)
        stream = dataclasses.replace(network.stream, head=-network.stream.head)
        return dataclasses.replace(network, stream=stream)

    monkeypatch.setattr(compile_module, "place_copy", spoilt)
    closed_form(job, tmp_path / "dropped")
    closed_form(dataclasses.replace(job, stages=("bigram",)), tmp_path / "bigram")
    report = read_report(tmp_path / "dropped")
    assert report.value("worth.copy") < 0
    assert report.value("induction.score") == report.value("induction.without_copy")
    one, other = (
        load_file(tmp_path / name / "model.safetensors") for name in ("dropped", "bigram")
    )
    assert all(one[name].equal(other[name]) for name in other)


def test_a_model_without_room_says_so(
    job: ClosedFormJob, tmp_path: Path, tiny_config: Path
) -> None:
    closed_form(dataclasses.replace(job, config=tiny_config), tmp_path / "out")
    assert any("copy left out: width 64" in note for note in read_report(tmp_path / "out").notes)
