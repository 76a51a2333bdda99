"""Token ids kept for the next count, and what a run says of its speed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from structinit_core.artifact import read_manifest
from structinit_core.errors import IncompatibleError, InputError, UsageError
from structinit_core.progress import Silent
from structinit_core.recipes import tokenizing
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus
from structinit_core.recipes.record import Recorder, bound


@pytest.fixture
def source(book: Path) -> CountSource:
    return CountSource([book], train_vocabulary=400, offsets=2)


def content(directory: Path) -> str:
    manifest = read_manifest(directory)
    assert manifest is not None
    return manifest.content


def fail(*_: object) -> None:
    raise AssertionError("the text was read again")


def test_counts_are_the_same_and_the_text_is_read_once(
    source: CountSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, first, kept = (tmp_path / name for name in ("plain", "first", "kept"))
    count_corpus(source, plain)
    count_corpus(source, first, tokens=kept)
    assert content(first) == content(plain)
    monkeypatch.setattr(tokenizing, "make_tokens", fail)
    again = tmp_path / "again"
    count_corpus(source, again, tokens=kept)
    assert content(again) == content(plain)
    other = replace(source, offsets=1, holdout=0.3, seed=5)
    assert count_corpus(other, tmp_path / "other", tokens=kept)


def test_a_given_tokenizer_has_the_same_counts(
    source: CountSource, counts_path: Path, tmp_path: Path
) -> None:
    given = replace(source, train_vocabulary=None, tokenizer=counts_path / "tokenizer.json")
    for name, tokens in (("plain", None), ("kept", tmp_path / "tokens")):
        count_corpus(given, tmp_path / name, tokens=tokens)
    assert content(tmp_path / "plain") == content(tmp_path / "kept")


def test_another_text_or_vocabulary_is_tokenized_anew(source: CountSource, tmp_path: Path) -> None:
    kept, text = tmp_path / "kept", tmp_path / "a.txt"
    text.write_text("one two three\n\n" * 40)
    seen = set()
    for changed in (source, replace(source, train_vocabulary=300), replace(source, texts=[text])):
        tokenizing.keep_tokens(changed, kept, Recorder(Silent()))
        seen.add(content(kept))
    assert len(seen) == 3


def test_what_is_not_ours_is_left_alone(source: CountSource, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    with pytest.raises(IncompatibleError):
        count_corpus(source, tmp_path / "out", tokens=mine)
    with pytest.raises(UsageError, match="overlap"):
        count_corpus(source, tmp_path / "out", tokens=tmp_path / "out")
    assert (mine / "thesis.txt").read_text() == "x"


def test_a_failed_run_leaves_no_tokens(tmp_path: Path) -> None:
    text, kept = tmp_path / "a.txt", tmp_path / "kept"
    text.write_bytes(b"fine\n\n\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        count_corpus(CountSource([text], train_vocabulary=300), tmp_path / "out", tokens=kept)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == []


def test_a_run_says_what_bounded_it(source: CountSource, tmp_path: Path) -> None:
    count_corpus(source, tmp_path / "out")
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert set(run["tokens_per_second"]) == {"tokenizing", "counting"}
    assert min(run["tokens_per_second"].values()) > 0
    assert run["seconds"][run["bound_by"]] == max(run["seconds"].values())
    line = bound(tmp_path / "out")
    assert line.startswith(f"bound by {run['bound_by']}: ")
    assert f"({run['tokens_per_second']['tokenizing']:,} tokens/s)" in line
