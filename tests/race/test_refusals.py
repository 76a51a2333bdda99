"""Races that are refused, and what a refusal leaves alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from structinit_core import CountSource, count_corpus
from structinit_core.errors import (
    IncompatibleError,
    InputError,
    LimitError,
    LockedError,
    StructinitError,
    UsageError,
)
from structinit_core.progress import Silent
from structinit_core.race import forecast, race_starts


def test_a_checkpoint_of_another_network_or_tokenizer_is_refused(
    job, made_start, texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    output, other = tmp_path / "race", tmp_path / "other"
    shutil.copytree(finished, output)
    shutil.copytree(made_start(tmp_path), other)
    config = json.loads(job(texts).config.read_text())
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


def test_a_refused_race_leaves_the_result_and_its_description(
    job, texts: tuple[Path, Path], finished: Path, tmp_path: Path
) -> None:
    output = tmp_path / "race"
    shutil.copytree(finished, output)
    (tmp_path / "empty").mkdir()
    before = {name: (output / name).read_bytes() for name in ("protocol.json", "race.json")}
    with pytest.raises(StructinitError):
        race_starts(job(texts, "default", f"e={tmp_path / 'empty'}"), output)
    assert {name: (output / name).read_bytes() for name in before} == before


def test_a_tokenizer_larger_than_the_network_is_refused_before_any_work(
    job, texts: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(IncompatibleError, match="vocab_size 512"):
        race_starts(job(texts, train_vocabulary=513), tmp_path / "race")
    assert not (tmp_path / "race").exists()


def test_a_step_beyond_the_memory_is_refused_before_any_work(job, texts: tuple[Path, Path]) -> None:
    large = job(texts).protocol.model_copy(update={"batch_tokens": 10**8})
    with pytest.raises(LimitError, match="training step"):
        forecast(job(texts, protocol=large))


def test_missing_and_empty_text_is_named(job, texts: tuple[Path, Path], tmp_path: Path) -> None:
    empty, missing = tmp_path / "empty.txt", tmp_path / "missing.txt"
    empty.write_text("")
    for refused in (race_starts, lambda one, _: forecast(one)):
        with pytest.raises(InputError) as caught:
            refused(job(texts, valid=[missing]), tmp_path / "race")
        assert caught.value.where == str(missing)
    with pytest.raises(InputError) as caught:
        race_starts(job(texts, valid=[empty]), tmp_path / "race")
    assert caught.value.where == str(empty)


@pytest.mark.parametrize("content", ["mine.txt", "protocol.json"])
def test_what_is_no_race_is_left_alone(
    job, texts: tuple[Path, Path], tmp_path: Path, content: str
) -> None:
    (tmp_path / "race").mkdir()
    (tmp_path / "race" / content).write_text("{}")
    with pytest.raises(IncompatibleError, match="not a race"):
        race_starts(job(texts), tmp_path / "race")
    assert [path.name for path in (tmp_path / "race").iterdir()] == [content]


def test_a_race_in_progress_is_locked(job, texts: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "race"

    class Second(Silent):
        def stage(self, name: str, total: int | None = None) -> None:
            with pytest.raises(LockedError):
                race_starts(job(texts), output)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        race_starts(job(texts), output, Second())


def test_the_output_is_no_input(job, texts: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="overlap"):
        race_starts(job(texts), texts[0].parent)
