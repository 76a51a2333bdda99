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

from structinit_core import CountSource, count_corpus
from structinit_core.blueprint import make_blueprint, read_config
from structinit_core.checkpoint import write_checkpoint
from structinit_core.errors import (
    IncompatibleError,
    InputError,
    LimitError,
    LockedError,
    StructinitError,
    UsageError,
)
from structinit_core.initializers.baselines import baseline_stream
from structinit_core.progress import Silent
from structinit_core.race import (
    RaceJob,
    RaceProtocol,
    RaceResult,
    forecast,
    parse_arms,
    race_starts,
)

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "fixtures" / "configs" / "gpt2-d64-l2.json"
STUDY = ROOT / "fixtures" / "corpora" / "a-study-in-scarlet.txt.gz"
PROTOCOL = RaceProtocol(steps=8, batch_tokens=128, eval_tokens=512, rates=(2e-3, 4e-3), seeds=2)


class Counting(Silent):
    """Counts stages that train, and can stop like a user."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.trained = 0
        self.stop_at = stop_at

    def stage(self, name: str, total: int | None = None) -> None:
        self.trained += name.startswith("run ")
        if self.stop_at is not None and self.trained > self.stop_at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("texts")
    words = ["the", "cat", "saw", "a", "dog", "and", "the", "dog", "saw", "the", "cat", "."]
    train, valid = directory / "train.txt", directory / "valid.txt"
    lines = [" ".join(words[i % 11 :] + words[: i % 7]) for i in range(600)]
    train.write_text("\n\n".join(lines), encoding="utf-8")
    held_out = [" ".join(words[i % 5 :] + words[: i % 9] + words[i % 3 : 7]) for i in range(60)]
    valid.write_text("\n\n".join(held_out), encoding="utf-8")
    return train, valid


def job(texts: tuple[Path, Path], *arms: str, **changed: Any) -> RaceJob:
    given = {
        "config": CONFIG,
        "corpus": [texts[0]],
        "valid": [texts[1]],
        "arms": parse_arms(arms or ("default", "xavier-zero-gain")),
        "protocol": PROTOCOL,
        "train_vocabulary": 300,
    }
    return RaceJob(**(given | changed))


def result(output: Path) -> RaceResult:
    return RaceResult.model_validate_json((output / "race.json").read_text(encoding="utf-8"))


def made_start(directory: Path) -> Path:
    """A checkpoint of the network without a tokenizer."""
    made = directory / "start"
    made.mkdir()
    blueprint = make_blueprint(read_config(CONFIG))
    write_checkpoint(made, blueprint.tensors, baseline_stream("gpt2", blueprint, 0), Silent())
    shutil.copy(CONFIG, made / "config.json")
    return made


def curves(found: RaceResult) -> list[Any]:
    return [arm.curve for arm in found.arms]


@pytest.fixture(scope="module")
def finished(texts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished") / "race"
    assert race_starts(job(texts), output)
    return output


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
    texts: tuple[Path, Path], finished: Path
) -> None:
    before = (finished / "race.json").read_bytes()
    progress = Counting()
    assert not race_starts(job(texts), finished, progress)
    assert progress.trained == 0
    assert (finished / "race.json").read_bytes() == before


def test_two_races_are_equal_but_for_seconds(
    texts: tuple[Path, Path], finished: Path, tmp_path: Path
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
    texts: tuple[Path, Path], finished: Path, tmp_path: Path, stop_at: int
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
    texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    output = tmp_path / "race"
    shutil.copytree(finished, output)
    more = dataclasses.replace(
        job(texts, "default", "xavier-zero-gain", "gpt2"),
        protocol=PROTOCOL.model_copy(update={"seeds": 3}),
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
    texts: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "race"
    with pytest.raises(LimitError, match="budget"):
        race_starts(job(texts, budget_seconds=1e-9), output)
    assert not result(output).complete
    assert race_starts(job(texts, budget_seconds=1e9), output)
    assert result(output).complete


def test_a_diverging_arm_does_not_stop_the_others(
    texts: tuple[Path, Path], finished: Path, tmp_path: Path
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
    texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    output = tmp_path / "race"
    shutil.copytree(finished, output)
    arms = ("default", "closed-form", "shuffled-closed-form", "unigram-bias")
    race_starts(job(texts, *arms), output)
    found = {arm.name: arm for arm in result(output).arms}
    start = {name: arm.curve.mean[0] for name, arm in found.items() if arm.curve}
    assert found["default"].start_seconds is not None
    assert found["closed-form"].start_seconds is not None
    assert found["closed-form"].start_seconds > found["default"].start_seconds
    references = result(output).references
    assert references is not None
    assert start["closed-form"] < references.unigram - 0.3
    assert start["unigram-bias"] == pytest.approx(references.unigram, abs=0.05)
    assert start["shuffled-closed-form"] > start["default"]


def test_a_checkpoint_races_as_the_method_that_made_it(
    texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    from structinit_core import ClosedFormJob, closed_form

    output, made = tmp_path / "race", tmp_path / "made"
    shutil.copytree(finished, output)
    closed_form(ClosedFormJob(CONFIG, counts=output / "counts", seed=1), made)
    race_starts(job(texts, "default", "closed-form", f"made={made}"), output)
    _, method, checkpoint = result(output).arms
    assert method.curve is not None
    assert checkpoint.curve is not None
    assert checkpoint.curve.runs[0][0] == pytest.approx(method.curve.runs[0][0], abs=1e-6)
    assert checkpoint.start_seconds is None
    assert any("is not known" in note for note in result(output).notes)
    again = ClosedFormJob(CONFIG, source=job(texts).source(), seed=1)
    whole = tmp_path / "whole"
    closed_form(again, whole)
    race_starts(job(texts, "default", f"whole={whole}"), output)
    charged = result(output).arms[1].start_seconds
    assert charged is not None
    assert 0 < charged < json.loads((whole / "run.json").read_text())["seconds_total"]


def test_a_checkpoint_of_another_network_or_tokenizer_is_refused(
    texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    output, other = tmp_path / "race", tmp_path / "other"
    shutil.copytree(finished, output)
    shutil.copytree(made_start(tmp_path), other)
    config = json.loads(CONFIG.read_text())
    (other / "config.json").write_text(json.dumps(config | {"layer_norm_epsilon": 1e-3}))
    with pytest.raises(IncompatibleError, match=r"layer_norm_epsilon is 0\.001"):
        race_starts(job(texts, "default", f"o={other}"), output)
    (other / "config.json").write_text(json.dumps(config | {"attn_pdrop": 0.3, "dtype": "float16"}))
    with pytest.raises(IncompatibleError, match="tokenizer") as caught:
        race_starts(job(texts, "default", f"o={other}"), output)
    assert "--tokenizer" in (caught.value.hint or "")
    source = CountSource([texts[0]], train_vocabulary=260)
    count_corpus(source, tmp_path / "counts")
    shutil.copy(tmp_path / "counts" / "tokenizer.json", other)
    with pytest.raises(IncompatibleError, match="tokenizer"):
        race_starts(job(texts, "default", f"o={other}"), output)


def test_a_start_of_another_text_is_not_taken_up(texts: tuple[Path, Path], tmp_path: Path) -> None:
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
    texts: tuple[Path, Path], finished: Path, tmp_path: Path, spoiled: str
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


def test_a_refused_race_leaves_the_result_and_its_description(
    texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    output = tmp_path / "race"
    shutil.copytree(finished, output)
    (tmp_path / "empty").mkdir()
    before = {name: (output / name).read_bytes() for name in ("protocol.json", "race.json")}
    with pytest.raises(StructinitError):
        race_starts(job(texts, "default", f"e={tmp_path / 'empty'}"), output)
    assert {name: (output / name).read_bytes() for name in before} == before


def test_a_tokenizer_larger_than_the_network_is_refused_before_any_work(
    texts: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(IncompatibleError, match="vocab_size 512"):
        race_starts(job(texts, train_vocabulary=513), tmp_path / "race")
    assert not (tmp_path / "race").exists()


def test_a_step_beyond_the_memory_is_refused_before_any_work(texts: tuple[Path, Path]) -> None:
    large = PROTOCOL.model_copy(update={"batch_tokens": 10**8})
    with pytest.raises(LimitError, match="training step"):
        forecast(job(texts, protocol=large))


def test_missing_and_empty_text_is_named(texts: tuple[Path, Path], tmp_path: Path) -> None:
    empty, missing = tmp_path / "empty.txt", tmp_path / "missing.txt"
    empty.write_text("")
    for refused in (race_starts, lambda one, _: forecast(one)):
        with pytest.raises(InputError) as caught:
            refused(job(texts, valid=[missing]), tmp_path / "race")
        assert caught.value.where == str(missing)
    with pytest.raises(InputError) as caught:
        race_starts(job(texts, valid=[empty]), tmp_path / "race")
    assert caught.value.where == str(empty)


def test_tokens_are_those_of_whole_windows(finished: Path) -> None:
    found = result(finished)
    assert found.text["trained_tokens"] == 8 * 128
    assert found.references is not None
    assert found.references.uniform == math.log(found.network["vocabulary"])


@pytest.mark.parametrize("content", ["mine.txt", "protocol.json"])
def test_what_is_no_race_is_left_alone(
    texts: tuple[Path, Path], tmp_path: Path, content: str
) -> None:
    (tmp_path / "race").mkdir()
    (tmp_path / "race" / content).write_text("{}")
    with pytest.raises(IncompatibleError, match="not a race"):
        race_starts(job(texts), tmp_path / "race")
    assert [path.name for path in (tmp_path / "race").iterdir()] == [content]


def test_a_race_in_progress_is_locked(texts: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "race"

    class Second(Silent):
        def stage(self, name: str, total: int | None = None) -> None:
            with pytest.raises(LockedError):
                race_starts(job(texts), output)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        race_starts(job(texts), output, Second())


def test_the_output_is_no_input(texts: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="overlap"):
        race_starts(job(texts), texts[0].parent)


def test_the_forecast_grows_with_the_work(texts: tuple[Path, Path]) -> None:
    small = forecast(job(texts))
    large = forecast(
        dataclasses.replace(job(texts), protocol=PROTOCOL.model_copy(update={"steps": 800}))
    )
    assert small.runs == large.runs == 2 * (3 + 2)
    assert large.seconds > 5 * small.seconds
    assert small.step_seconds > 0
    assert "min on cpu" in small.sentence()
