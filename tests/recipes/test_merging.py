"""Shards of a text, counted apart and merged: the artifact one machine publishes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.artifact import read_manifest
from structinit_core.cooc import open_counts
from structinit_core.corpus import Border
from structinit_core.errors import IncompatibleError, InputError
from structinit_core.recipes.compile_job import ClosedFormJob
from structinit_core.recipes.compiling import closed_form
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus
from structinit_core.recipes.diagnose_job import DiagnoseJob
from structinit_core.recipes.diagnosing import diagnose_checkpoint
from structinit_core.recipes.merging import merge_counts

Count = Callable[..., Path]
WORDS = st.sampled_from(["one", "two", "three two", "one one one", "four, two", "five"])


def content(directory: Path, *, manifest: bool = False) -> dict[str, bytes]:
    """Every file that two equal runs have in common; a merge has another manifest."""
    left_out = {"run.json"} if manifest else {"run.json", "manifest.json"}
    return {p.name: p.read_bytes() for p in directory.iterdir() if p.name not in left_out}


def names_of_inputs(directory: Path) -> list[str]:
    manifest = read_manifest(directory)
    assert manifest is not None
    return [each.name for each in manifest.recipe.inputs]


def test_shards_are_together_the_whole(count: Count, thirds: list[Path], tmp_path: Path) -> None:
    assert merge_counts(thirds, tmp_path / "sum")
    assert content(tmp_path / "sum") == content(count("whole"))
    assert len(open_counts(tmp_path / "sum").held_out_spans) > 10
    assert all(len(open_counts(part).held_out_spans) for part in thirds)


def test_order_and_tree_do_not_show_in_the_manifest_either(
    thirds: list[Path], tmp_path: Path
) -> None:
    a, b, c = thirds
    flat, inner, nested, again = (tmp_path / name for name in ("flat", "inner", "nested", "again"))
    merge_counts([a, b, c], flat)
    merge_counts([c, a], inner)
    merge_counts([b, inner], nested)
    assert content(nested, manifest=True) == content(flat, manifest=True)
    assert names_of_inputs(flat) == ["shard 0/3", "shard 1/3", "shard 2/3"]
    # a merge of one merge is that merge
    merge_counts([nested], again)
    assert content(again, manifest=True) == content(flat, manifest=True)


def test_a_second_merge_does_nothing(thirds: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "sum"
    assert merge_counts(thirds, output)
    before = (output / "manifest.json").stat().st_mtime_ns
    assert not merge_counts(thirds[::-1], output)
    assert (output / "manifest.json").stat().st_mtime_ns == before
    assert merge_counts(thirds[:2], output)
    assert sorted(path.name for path in tmp_path.iterdir() if "tmp" in path.name) == []


def test_a_merge_of_one_has_its_files(thirds: list[Path], tmp_path: Path) -> None:
    merge_counts(thirds[:1], tmp_path / "sum")
    assert content(tmp_path / "sum") == content(thirds[0])


def test_texts_counted_apart_are_merged(count: Count, text: Path, tmp_path: Path) -> None:
    rows = [f"{line}\n" for line in text.read_text().split("\n") if line]
    half = len(rows) // 2
    first, second = tmp_path / "first.txt", tmp_path / "second.jsonl"
    first.write_text("".join(rows[:half]))
    second.write_text("".join(json.dumps({"body": row}) + "\n" for row in rows[half:]))
    (tmp_path / "both.txt").write_text("".join(rows))
    parts = [
        count("a", texts=[first]),
        count("b", texts=[second], text_field="body"),
    ]
    merge_counts(parts, tmp_path / "sum")
    assert content(tmp_path / "sum") == content(count("whole", texts=[tmp_path / "both.txt"]))
    assert names_of_inputs(tmp_path / "sum") == ["counts", "counts"]


@settings(max_examples=20, deadline=None)
@given(
    lines=st.lists(WORDS, min_size=1, max_size=8),
    shards=st.integers(1, 4),
    holdout=st.sampled_from([0.0, 1e-12, 0.3, 1 - 1e-12]),
    seed=st.integers(0, 3),
)
def test_however_small_the_text_shards_are_the_whole(
    small_tokenizer: Path, lines: list[str], shards: int, holdout: float, seed: int
) -> None:
    with TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "text.txt").write_text("\n".join(lines) + "\n")
        fields: dict[str, Any] = {
            "texts": [root / "text.txt"],
            "tokenizer": small_tokenizer,
            "border": Border.LINE,
            "holdout": holdout,
            "offsets": 1,
            "seed": seed,
        }
        for shard in range(shards):
            count_corpus(CountSource(**fields, shard=(shard, shards)), root / str(shard))
        merge_counts([root / str(shard) for shard in range(shards)], root / "sum")
        try:
            count_corpus(CountSource(**fields), root / "whole")
        except InputError:
            # one text, many times, and held out: nothing to publish but by shards
            assert not open_counts(root / "sum").unigram.any()
        else:
            assert content(root / "sum") == content(root / "whole")


@pytest.fixture
def empty_shard(count: Count, tmp_path: Path) -> Path:
    (tmp_path / "one.txt").write_text("a single line\n")
    shards = [count(f"of-one-{i}", texts=[tmp_path / "one.txt"], shard=(i, 2)) for i in range(2)]
    [empty] = [shard for shard in shards if not open_counts(shard).unigram.any()]
    return empty


def test_an_empty_shard_is_an_artifact_and_adds_nothing(
    count: Count, empty_shard: Path, tmp_path: Path
) -> None:
    facts = json.loads((empty_shard / "counts.json").read_text())
    sizes = {name: value for name, value in facts.items() if name not in ("vocabulary", "offsets")}
    assert set(sizes.values()) == {0}
    merge_counts([count("whole"), empty_shard], tmp_path / "sum")
    assert content(tmp_path / "sum") == content(count("whole"))


def test_an_empty_shard_is_no_start(empty_shard: Path, tiny_config: Path, tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match="empty shard") as caught:
        closed_form(ClosedFormJob(tiny_config, counts=empty_shard), tmp_path / "out")
    assert "--merge" in (caught.value.hint or "")
    assert not (tmp_path / "out").exists()


def test_an_empty_shard_is_a_uniform_reference(
    empty_shard: Path, counts_path: Path, text: Path, tiny_config: Path, tmp_path: Path
) -> None:
    closed_form(ClosedFormJob(tiny_config, counts=counts_path), tmp_path / "out")
    job = DiagnoseJob(tmp_path / "out", counts=empty_shard, texts=[text], max_tokens=500)
    values = {check.name: check.value for check in diagnose_checkpoint(job).checks}
    for name in ("unigram", "kn2", "kn3"):
        assert values[f"loss.{name}"] == pytest.approx(values["loss.uniform"])


def test_the_text_a_tokenizer_was_trained_on_is_merged_with_others(
    count: Count, text: Path, tmp_path: Path
) -> None:
    trained = count("trained", tokenizer=None, train_vocabulary=300)
    (tmp_path / "more.txt").write_text("one more line\n")
    other = count("other", texts=[tmp_path / "more.txt"], tokenizer=trained / "tokenizer.json")
    merge_counts([trained, other], tmp_path / "sum")
    tokens = [int(open_counts(path).unigram.sum()) for path in (trained, other, tmp_path / "sum")]
    assert tokens[2] == tokens[0] + tokens[1]
