"""What shards and merges refuse, by name, and that nothing is left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from structinit_core.corpus import Border
from structinit_core.errors import IncompatibleError, InputError, UsageError
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.merging import merge_counts

Count = Callable[..., Path]


@pytest.mark.parametrize("shard", [(2, 2), (0, 0), (-1, 2), (0, -1)])
def test_shards_that_do_not_exist(text: Path, tmp_path: Path, shard: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        CountSource([text], tokenizer=tmp_path / "tokenizer.json", shard=shard)


def test_a_shard_does_not_train(text: Path) -> None:
    with pytest.raises(UsageError, match="share one tokenizer") as caught:
        CountSource([text], train_vocabulary=512, shard=(0, 2))
    assert "--tokenizer" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"offsets": 3}, "number of offsets 3"),
        ({"holdout": 0.2}, "held-out share 0.2"),
        ({"border": Border.BLANK}, "document border blank"),
        ({"seed": 7}, "seed 7"),
    ],
)
def test_parts_that_differ_are_refused_by_name(
    count: Count, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    parts = [count("a", shard=(0, 2)), count("b", shard=(1, 2), **changes)]
    with pytest.raises(IncompatibleError, match=says) as caught:
        merge_counts(parts, tmp_path / "sum")
    assert (caught.value.exit_code, caught.value.where) == (4, str(parts[1]))
    assert not (tmp_path / "sum").exists()


def test_another_tokenizer_is_refused(count: Count, small_tokenizer: Path, tmp_path: Path) -> None:
    parts = [count("a", shard=(0, 2)), count("b", shard=(1, 2), tokenizer=small_tokenizer)]
    with pytest.raises(IncompatibleError, match="another tokenizer") as caught:
        merge_counts(parts, tmp_path / "sum")
    assert str(parts[0] / "tokenizer.json") in (caught.value.hint or "")


def test_a_text_without_documents_is_bad_input_in_every_shard(count: Count, tmp_path: Path) -> None:
    (tmp_path / "blank.txt").write_text(" \n\n")
    with pytest.raises(InputError, match="no text"):
        count("out", texts=[tmp_path / "blank.txt"], shard=(0, 2))


@pytest.mark.parametrize("second", ["same", "copy", "merge"])
def test_nothing_is_counted_twice(thirds: list[Path], tmp_path: Path, second: str) -> None:
    shutil.copytree(thirds[0], tmp_path / "copy")
    merge_counts(thirds[:2], tmp_path / "merge")
    again = {"same": thirds[0]}.get(second, tmp_path / second)
    with pytest.raises(IncompatibleError, match="counted twice") as caught:
        merge_counts([thirds[0], again], tmp_path / "sum")
    assert caught.value.exit_code == 4
    assert not (tmp_path / "sum").exists()


def test_what_is_no_counts_artifact(thirds: list[Path], text: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a file"):
        merge_counts([thirds[0], text], tmp_path / "sum")
    with pytest.raises(UsageError, match="no counts"):
        merge_counts([], tmp_path / "sum")
    with pytest.raises(IncompatibleError, match="manifest"):
        merge_counts([thirds[0], tmp_path / "nowhere"], tmp_path / "sum")
    with pytest.raises(UsageError, match="overlap"):
        merge_counts(thirds, thirds[0])


def test_a_damaged_part_leaves_nothing_behind(thirds: list[Path], tmp_path: Path) -> None:
    keys = thirds[1] / "trigram.keys.npy"
    content = bytearray(keys.read_bytes())
    content[128:136], content[136:144] = content[136:144], content[128:136]
    keys.write_bytes(content)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(IncompatibleError, match="out of order"):
        merge_counts(thirds, tmp_path / "sum")
    after = sorted(path.name for path in tmp_path.iterdir())
    assert after == sorted([*before, ".sum.lock"])
