from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from structinit_core.errors import LimitError
from structinit_core.progress import Silent
from structinit_core.race import RaceResult, forecast, race_starts

ROOT = Path(__file__).parents[2]


class Counting(Silent):
    """Counts stages that train, and can stop like a user."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.trained = 0
        self.stop_at = stop_at

    def stage(self, name: str, total: int | None = None) -> None:
        self.trained += name.startswith("run ")
        if self.stop_at is not None and self.trained > self.stop_at:
            raise KeyboardInterrupt


def result(output: Path) -> RaceResult:
    return RaceResult.model_validate_json((output / "race.json").read_text(encoding="utf-8"))


def curves(found: RaceResult) -> list[Any]:
    return [arm.curve for arm in found.arms]


def test_the_zero_gain_arm_starts_at_exactly_the_uniform_loss(finished: Path) -> None:
    found = result(finished)
    arm = found.arms[1]
    assert found.complete
    assert arm.curve is not None
    vocabulary = found.network["vocabulary"]
    assert all(run[0] == pytest.approx(math.log(vocabulary), abs=1e-6) for run in arm.curve.runs)
    assert arm.milestones[0].loss.n == 2


def test_sweep_and_evidence_are_different_runs(finished: Path) -> None:
    records = [json.loads(path.read_text()) for path in (finished / "runs").iterdir()]
    sweep = {record["seed"] for record in records if record["purpose"] == "sweep"}
    evidence = {record["seed"] for record in records if record["purpose"] == "evidence"}
    assert sweep == {0}
    assert evidence == {1, 2}
    for arm in result(finished).arms:
        tried = [trial.learning_rate for trial in arm.sweep]
        assert arm.learning_rate in tried
        assert len(tried) == len(set(tried)) >= 2


def test_what_is_published(finished: Path) -> None:
    names = {path.name for path in finished.iterdir() if not path.name.startswith(".")}
    assert {"race.json", "race.html", "protocol.json", "runs", "counts"} <= names
    assert "starts" not in names
    assert not list(finished.glob(".start-*"))
    text = (finished / "race.json").read_text() + (finished / "protocol.json").read_text()
    assert str(finished.parent) not in text
    assert str(ROOT) not in text


def test_a_second_run_trains_nothing_and_changes_no_byte(
    job, texts: tuple[Path, Path], finished: Path
) -> None:
    before = (finished / "race.json").read_bytes()
    progress = Counting()
    assert not race_starts(job(texts), finished, progress)
    assert progress.trained == 0
    assert (finished / "race.json").read_bytes() == before


def test_two_races_are_equal_but_for_seconds(
    job, texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    race_starts(job(texts), tmp_path / "again")
    mine, theirs = result(tmp_path / "again"), result(finished)
    assert curves(mine) == curves(theirs)
    for one, other in zip(mine.arms, theirs.arms, strict=True):
        assert one.sweep == other.sweep
        assert one.gradient_norms == other.gradient_norms
        assert one.buckets == other.buckets
        assert one.induction_end == other.induction_end


@pytest.mark.parametrize("stop_at", [0, 3, 7])
def test_an_interrupted_race_says_what_it_knows_and_goes_on(
    job, texts: tuple[Path, Path], finished: Path, tmp_path: Path, stop_at: int
) -> None:
    output = tmp_path / "race"
    with pytest.raises(KeyboardInterrupt):
        race_starts(job(texts), output, Counting(stop_at))
    partial = result(output)
    assert not partial.complete
    assert any(arm.status == "unfinished" for arm in partial.arms)
    assert (output / "race.html").is_file()
    assert len(list((output / "runs").glob("*.json"))) == stop_at
    progress = Counting()
    assert race_starts(job(texts), output, progress)
    assert progress.trained == len(list((finished / "runs").iterdir())) - stop_at
    assert curves(result(output)) == curves(result(finished))


def test_an_arm_and_a_seed_add_to_what_is_there(
    job, texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    output = tmp_path / "race"
    shutil.copytree(finished, output)
    more = dataclasses.replace(
        job(texts, "default", "xavier-zero-gain", "gpt2"),
        protocol=job(texts).protocol.model_copy(update={"seeds": 3}),
    )
    progress = Counting()
    race_starts(more, output, progress)
    found = result(output)
    sweep = len(found.arms[2].sweep)
    assert progress.trained == 2 + sweep + 3
    assert [arm.seeds for arm in found.arms] == [(1, 2, 3)] * 3
    assert found.arms[0].curve is not None
    known = result(finished).arms[0].curve
    assert known is not None
    assert found.arms[0].curve.runs[:2] == known.runs


def test_a_budget_stops_between_runs_and_keeps_them(
    job, texts: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "race"
    with pytest.raises(LimitError, match="budget"):
        race_starts(job(texts, budget_seconds=1e-9), output)
    assert not result(output).complete
    assert race_starts(job(texts, budget_seconds=1e9), output)
    assert result(output).complete


def test_a_diverging_arm_does_not_stop_the_others(
    job, made_start, texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    output, bad = tmp_path / "race", made_start(tmp_path)
    shutil.copytree(finished, output)
    tensors = load_file(bad / "model.safetensors")
    tensors["transformer.wte.weight"] *= torch.nan
    save_file(tensors, bad / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(output / "counts" / "tokenizer.json", bad)
    warnings: list[str] = []

    class Heard(Silent):
        def warn(self, message: str) -> None:
            warnings.append(message)

    race_starts(job(texts, f"bad={bad}", "default", baseline="default"), output, Heard())
    found = result(output)
    assert found.complete
    assert [arm.status for arm in found.arms] == ["diverged", "finished"]
    assert "iverged" in found.arms[0].verdict
    assert any("bad" in warning for warning in warnings)


def test_methods_of_this_project_race_and_are_charged(
    job, texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    output = tmp_path / "race"
    shutil.copytree(finished, output)
    arms = ("default", "closed-form", "closed-form-bigram", "shuffled-closed-form", "unigram-bias")
    race_starts(job(texts, *arms), output)
    found = {arm.name: arm for arm in result(output).arms}
    start = {name: arm.curve.mean[0] for name, arm in found.items() if arm.curve}
    assert found["default"].start_seconds is not None
    assert found["closed-form"].start_seconds is not None
    assert found["closed-form"].start_seconds > found["default"].start_seconds
    references = result(output).references
    assert references is not None
    assert start["closed-form"] < references.unigram - 0.3
    assert start["closed-form-bigram"] < references.unigram - 0.3
    assert start["unigram-bias"] == pytest.approx(references.unigram, abs=0.05)
    assert start["shuffled-closed-form"] > start["default"]


def test_a_sweep_may_be_shorter_than_what_counts(
    job, texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    output = tmp_path / "race"
    shutil.copytree(finished, output)
    protocol = job(texts).protocol.model_copy(update={"sweep_steps": 3})
    shorter = job(texts, protocol=protocol)
    assert shorter.expected_steps < job(texts).expected_steps
    race_starts(shorter, output)
    records = [json.loads(path.read_text()) for path in (output / "runs").iterdir()]
    swept = {record["steps"] for record in records if record["purpose"] == "sweep"}
    evidence = {record["steps"] for record in records if record["purpose"] == "evidence"}
    assert swept == {3, protocol.steps}
    assert evidence == {protocol.steps}
    assert result(output).protocol["sweep_steps"] == 3


def test_a_checkpoint_races_as_the_method_that_made_it(
    job, texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    from structinit_core import ClosedFormJob, closed_form

    output, made = tmp_path / "race", tmp_path / "made"
    shutil.copytree(finished, output)
    counts = output / "counts"
    text = dataclasses.replace(
        job(texts).source(), tokenizer=counts / "tokenizer.json", train_vocabulary=None
    )
    closed_form(ClosedFormJob(job(texts).config, text, counts, seed=1), made)
    race_starts(job(texts, "default", "closed-form", f"made={made}"), output)
    _, method, checkpoint = result(output).arms
    assert method.curve is not None
    assert checkpoint.curve is not None
    assert checkpoint.curve.runs[0][0] == pytest.approx(method.curve.runs[0][0], abs=1e-6)
    assert checkpoint.start_seconds is None
    assert any("is not known" in note for note in result(output).notes)
    again = ClosedFormJob(job(texts).config, source=job(texts).source(), seed=1)
    whole = tmp_path / "whole"
    closed_form(again, whole)
    race_starts(job(texts, "default", f"whole={whole}"), output)
    charged = result(output).arms[1].start_seconds
    assert charged is not None
    assert 0 < charged < json.loads((whole / "run.json").read_text())["seconds_total"]


def test_a_start_of_another_text_is_not_taken_up(
    job, texts: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("\n\n".join(f"{i % 50} is a number" for i in range(900)), encoding="utf-8")
    one = job(texts, "closed-form")
    two = dataclasses.replace(one, corpus=[other])
    with pytest.raises(KeyboardInterrupt):
        race_starts(one, tmp_path / "race", Counting(1))
    assert list((tmp_path / "race" / "starts").iterdir())
    race_starts(two, tmp_path / "race")
    race_starts(two, tmp_path / "fresh")
    assert curves(result(tmp_path / "race")) == curves(result(tmp_path / "fresh"))


@pytest.mark.parametrize("spoiled", ["", "x{", "[]", "{}", '{"key": "k", "seconds": "soon"}'])
def test_spoiled_step_times_are_taken_again(
    job, texts: tuple[Path, Path], finished: Path, tmp_path: Path, spoiled: str
) -> None:
    output = tmp_path / "race"
    shutil.copytree(finished, output)
    (output / "timing.json").write_text(spoiled)
    progress = Counting()
    race_starts(job(texts), output, progress)
    assert progress.trained == 0
    assert all(arm.step_seconds for arm in result(output).arms)


def test_one_network_has_one_step_time(finished: Path) -> None:
    assert len({arm.step_seconds for arm in result(finished).arms}) == 1


def test_tokens_are_those_of_whole_windows(finished: Path) -> None:
    found = result(finished)
    assert found.text["trained_tokens"] == 8 * 128
    assert found.references is not None
    assert found.references.uniform == math.log(found.network["vocabulary"])


def test_the_forecast_grows_with_the_work(job, texts: tuple[Path, Path]) -> None:
    small = forecast(job(texts))
    large = forecast(
        dataclasses.replace(
            job(texts), protocol=job(texts).protocol.model_copy(update={"steps": 800})
        )
    )
    assert small.runs == large.runs == 2 * (3 + 2)
    assert large.seconds > 5 * small.seconds
    assert small.step_seconds > 0
    assert "min on cpu" in small.sentence()
