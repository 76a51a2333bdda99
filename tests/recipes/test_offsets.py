"""Heads that read older tokens: kept where held-out text gains, left out with the reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from safetensors.torch import load_file

from structinit_core.blueprint import make_blueprint, read_config
from structinit_core.cooc import Counts
from structinit_core.diagnose import Report
from structinit_core.errors import IncompatibleError, LimitError, UsageError
from structinit_core.initializers.closed_form import (
    STAGES,
    chosen_stages,
    offset_heads,
    stages,
)
from structinit_core.initializers.closed_form.codes import BLOCK_ELEMENTS
from structinit_core.initializers.closed_form.stages import TableSizes, head_lags, offsets_bytes
from structinit_core.recipes.compile_job import ClosedFormJob
from structinit_core.recipes.compiling import closed_form
from structinit_core.recipes.count_source import CountSource


@pytest.fixture(scope="module")
def job(counts_path: Path, tiny_config: Path) -> ClosedFormJob:
    return ClosedFormJob(tiny_config, counts=counts_path, stages=("bigram", "offsets"))


@pytest.fixture(scope="module")
def checkpoint(job: ClosedFormJob, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("offsets") / "out"
    assert closed_form(job, output)
    return output


def read_report(directory: Path) -> Report:
    return Report.model_validate_json((directory / "report.json").read_text())


def reason(directory: Path) -> str:
    """The note that says why the offsets were left out."""
    notes = [note for note in read_report(directory).notes if note.startswith("offsets left out")]
    assert len(notes) == 1
    return notes[0]


def test_the_start_is_below_the_bigram(checkpoint: Path) -> None:
    report = read_report(checkpoint)
    assert report.value("loss.model") < report.value("loss.kn2") - 0.05
    assert report.value("worth.offsets") == pytest.approx(
        report.value("stage.bias") - report.value("stage.offsets"), abs=0.02
    )


def test_attention_and_norms_are_in_the_law(checkpoint: Path) -> None:
    report = read_report(checkpoint)
    assert report.value("stage.offsets") == pytest.approx(report.value("loss.model"), abs=2e-4)
    assert report.value("law.offline_minus_model") < 2e-4


def test_same_inputs_same_bytes(checkpoint: Path, job: ClosedFormJob, tmp_path: Path) -> None:
    closed_form(job, tmp_path / "out")
    for name in ("model.safetensors", "report.json", "manifest.json"):
        assert (tmp_path / "out" / name).read_bytes() == (checkpoint / name).read_bytes(), name


def text_beside(counts: Path, book: Path, **changes: object) -> CountSource:
    read = {"tokenizer": counts / "tokenizer.json", "holdout": 0.1} | changes
    return CountSource([book], **read)


def test_text_beside_counts_is_what_the_offsets_are_fitted_on(
    checkpoint: Path, job: ClosedFormJob, counts_path: Path, book: Path, tmp_path: Path
) -> None:
    beside = dataclasses.replace(job, source=text_beside(counts_path, book))
    assert beside.recipe() != job.recipe()
    closed_form(beside, tmp_path / "beside")
    alone = ClosedFormJob(job.config, text_beside(counts_path, book), stages=job.stages)
    closed_form(alone, tmp_path / "alone")
    weights = [
        (directory / "model.safetensors").read_bytes()
        for directory in (checkpoint, tmp_path / "beside", tmp_path / "alone")
    ]
    assert weights[1] == weights[2] != weights[0]
    drawn = "the offsets were fitted on contexts drawn from "
    assert drawn + "the text" in read_report(tmp_path / "beside").notes
    assert drawn + "trigram counts" in read_report(checkpoint).notes


def test_another_text_beside_counts_is_refused(
    job: ClosedFormJob, counts_path: Path, book: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.txt").write_text("Another text altogether.")
    other = dataclasses.replace(job, source=text_beside(counts_path, tmp_path / "other.txt"))
    with pytest.raises(IncompatibleError, match=r"and of this text \d+ would be counted"):
        closed_form(other, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="among them"):
        dataclasses.replace(job, source=text_beside(counts_path, book, tokenizer=book))


def test_stages_are_part_of_what_decides_the_bytes(
    checkpoint: Path, job: ClosedFormJob, tmp_path: Path
) -> None:
    bigram = dataclasses.replace(job, stages=("bigram",))
    assert bigram.recipe() != job.recipe()
    closed_form(bigram, tmp_path / "out")
    report = read_report(tmp_path / "out")
    assert not any("offsets" in check.name for check in report.checks)
    full = read_report(checkpoint).value("loss.model")
    assert report.value("loss.model") > full + 0.05


def test_offsets_that_do_not_help_are_dropped(
    job: ClosedFormJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = offset_heads.fit_offsets

    def spoilt(*given, **named):
        model = fit(*given, **named, steps=1)
        return dataclasses.replace(model, write=tuple(part + 1 for part in model.write))

    monkeypatch.setattr(offset_heads, "fit_offsets", spoilt)
    closed_form(job, tmp_path / "dropped")
    closed_form(dataclasses.replace(job, stages=("bigram",)), tmp_path / "bigram")
    report = read_report(tmp_path / "dropped")
    assert report.value("worth.offsets") < 0
    one, other = (
        load_file(tmp_path / name / "model.safetensors") for name in ("dropped", "bigram")
    )
    assert all(one[name].equal(other[name]) for name in other)


def test_a_model_without_room_gets_the_bigram(
    counts_path: Path, tmp_path: Path, make_config
) -> None:
    job = ClosedFormJob(make_config(n_head=64), counts=counts_path, stages=STAGES)
    closed_form(job, tmp_path / "out")
    assert "heads of width 1 " in reason(tmp_path / "out")
    assert read_report(tmp_path / "out").value("law.offline_minus_model") < 1e-3


def test_memory_bounds_the_offsets_and_never_changes_the_bytes(
    job: ClosedFormJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "_BYTES_PER_TRIGRAM", 1 << 40)
    with pytest.raises(LimitError, match="offsets need about") as refusal:
        closed_form(job, tmp_path / "out")
    assert "--without offsets" in str(refusal.value.hint)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("heads", "sharing", "lags"),
    [
        (4, 1, (1, 2, 1, 3)),
        (2, 2, (1, 2, 1, 3)),
        (2, 3, (1, 2, 3, 1, 2, 3)),
        (1, 4, (1, 2, 3)),
        (16, 1, (1, 2, 1, 3, 2, 1, 3)),
    ],
)
def test_heads_that_share_a_read_map_look_at_different_lags(
    tiny_config: Path, heads: int, sharing: int, lags: tuple[int, ...]
) -> None:
    blueprint = make_blueprint(read_config(tiny_config))
    shaped = dataclasses.replace(blueprint, heads=heads * sharing, kv_heads=heads)
    assert head_lags(shaped, 4) == (lags, min(sharing, 3))


def test_drawn_columns_are_counted_in_the_memory(
    counts: Counts, tiny_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blueprint = make_blueprint(read_config(tiny_config))
    sizes = TableSizes.of(counts)
    exact = offsets_bytes(blueprint, sizes)
    monkeypatch.setattr(stages, "EXACT_VOCABULARY", counts.vocabulary - 1)
    assert offsets_bytes(blueprint, sizes) > exact + 12 * BLOCK_ELEMENTS


@pytest.mark.parametrize(
    ("names", "without", "chosen"),
    [
        (STAGES, (), ("bigram", "offsets", "copy", "readouts")),
        (("offsets", "bigram"), (), ("bigram", "offsets")),
        (STAGES, ("offsets",), ("bigram", "copy", "readouts")),
    ],
)
def test_stages_by_name(names, without, chosen) -> None:
    assert chosen_stages(names, without) == chosen


@pytest.mark.parametrize(
    ("names", "without", "complaint"),
    [
        (("offsets",), (), "begins with"),
        (STAGES, ("bigram",), "begins with"),
        (("bigram", "of fsets"), (), "'of fsets' is no stage"),
        (STAGES, ("",), "'' is no stage"),
    ],
)
def test_stages_that_cannot_be(names, without, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        chosen_stages(names, without)
