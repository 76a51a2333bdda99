"""Feed-forward units keyed to pairs: what only two tokens together tell is learnt."""

from __future__ import annotations

import dataclasses
import gzip
import random
from pathlib import Path

import pytest
from safetensors.torch import load_file

from structinit_core.diagnose import Report
from structinit_core.initializers.closed_form import compile as compile_module
from structinit_core.initializers.closed_form import readouts as readouts_module
from structinit_core.recipes.compile_job import ClosedFormJob
from structinit_core.recipes.compiling import closed_form
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus

KINDS = 6


def read_report(directory: Path) -> Report:
    return Report.model_validate_json((directory / "report.json").read_text())


@pytest.fixture(scope="module")
def job(book: Path, tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> ClosedFormJob:
    """Counts of a book with lines "fI gJ hK …" where K = I + J modulo 6: no token tells K alone."""
    directory, draw = tmp_path_factory.mktemp("rule"), random.Random(0)
    lines = []
    for _ in range(100):
        words = []
        for _ in range(6):
            i, j = draw.randrange(KINDS), draw.randrange(KINDS)
            words += [f"f{i}", f"g{j}", f"h{(i + j) % KINDS}"]
        lines.append(" ".join(words))
    prose = gzip.decompress(book.read_bytes()).decode().split("\n\n")
    (directory / "text.txt").write_text("\n\n".join(prose + lines))
    source = CountSource([directory / "text.txt"], train_vocabulary=512, holdout=0.1)
    count_corpus(source, directory / "counts")
    return ClosedFormJob(
        tiny_config, counts=directory / "counts", stages=("bigram", "offsets", "readouts")
    )


@pytest.fixture(scope="module")
def checkpoint(job: ClosedFormJob, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("readouts") / "out"
    assert closed_form(job, output)
    return output


def test_a_rule_of_pairs_is_learnt(checkpoint: Path) -> None:
    report = read_report(checkpoint)
    assert report.value("worth.readouts") > 0.05
    assert report.value("stage.readouts") == pytest.approx(report.value("loss.model"), abs=1e-3)
    assert report.value("law.offline_minus_model") < 1e-3


def test_a_rule_of_pairs_is_learnt_with_a_tied_head(
    job: ClosedFormJob, tmp_path: Path, make_config
) -> None:
    config = make_config(tie_word_embeddings=True)
    closed_form(dataclasses.replace(job, config=config), tmp_path / "out")
    report = read_report(tmp_path / "out")
    assert report.value("worth.readouts") > 0.05
    assert report.value("law.offline_minus_model") < 1e-3


def test_drawn_columns_are_worth_as_much_and_say_their_error(
    job: ClosedFormJob, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readouts_module, "EXACT_VOCABULARY", 256)
    monkeypatch.setattr(readouts_module, "SAMPLED_COLUMNS", 128)
    closed_form(job, tmp_path / "out")
    report = read_report(tmp_path / "out")
    exact = read_report(checkpoint).value("worth.readouts")
    assert report.value("worth.readouts") == pytest.approx(exact, rel=0.2)
    assert report.value("sample.readout_columns") == 128
    assert 0 < report.value("sample.readout_log_normalizer_error") < 1


def test_same_inputs_same_bytes(checkpoint: Path, job: ClosedFormJob, tmp_path: Path) -> None:
    closed_form(job, tmp_path / "out")
    for name in ("model.safetensors", "report.json"):
        assert (tmp_path / "out" / name).read_bytes() == (checkpoint / name).read_bytes(), name


def test_readouts_that_do_not_help_leave_the_bytes(
    job: ClosedFormJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = compile_module.place_readouts

    def spoilt(*given):
        network = place(*given)
        units = tuple(dataclasses.replace(u, down=-u.down) for u in network.stream.units)
        return dataclasses.replace(network, stream=dataclasses.replace(network.stream, units=units))

    monkeypatch.setattr(compile_module, "place_readouts", spoilt)
    closed_form(job, tmp_path / "dropped")
    without = dataclasses.replace(job, stages=("bigram", "offsets"))
    closed_form(without, tmp_path / "offsets")
    assert read_report(tmp_path / "dropped").value("worth.readouts") < 0
    one, other = (
        load_file(tmp_path / name / "model.safetensors") for name in ("dropped", "offsets")
    )
    assert all(one[name].equal(other[name]) for name in other)


def test_without_offsets_they_are_left_out(job: ClosedFormJob, tmp_path: Path) -> None:
    closed_form(dataclasses.replace(job, stages=("bigram", "readouts")), tmp_path / "out")
    notes = read_report(tmp_path / "out").notes
    assert any(note.startswith("readouts left out") for note in notes)
