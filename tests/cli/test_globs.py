"""Patterns and several files of several formats as one corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from initctl.texts import text_paths
from structinit_core.errors import InputError, UsageError

FILES = ("b.txt", "a.txt", "a.jsonl", "deep/c.txt", "deep/deeper/d.txt", "[x].txt", ".hidden.txt")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Some files, a directory with a file's name, and an odd name."""
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    (tmp_path / "z.txt").mkdir()
    return tmp_path


def expand(corpus: Path, *patterns: str) -> list[str]:
    with text_paths([corpus / pattern for pattern in patterns]) as paths:
        return [str(path.relative_to(corpus)) for path in paths]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["[x].txt", "a.txt", "b.txt"]),
        ("?.txt", ["a.txt", "b.txt"]),
        ("[ab].*", ["a.jsonl", "a.txt", "b.txt"]),
        ("**/*.txt", ["[x].txt", "a.txt", "b.txt", "deep/c.txt", "deep/deeper/d.txt"]),
        ("deep/**", ["deep/c.txt", "deep/deeper/d.txt"]),
        ("de*/c.txt", ["deep/c.txt"]),
    ],
)
def test_patterns_give_files_sorted_by_name(corpus: Path, pattern: str, found: list[str]) -> None:
    assert expand(corpus, pattern) == found


def test_arguments_keep_their_order(corpus: Path) -> None:
    assert expand(corpus, "deep/*.txt", "b.txt", "a.*") == [
        "deep/c.txt",
        "b.txt",
        "a.jsonl",
        "a.txt",
    ]


def test_an_existing_file_is_no_pattern(corpus: Path) -> None:
    (corpus / "x.txt").write_text("matched by the pattern\n")
    assert expand(corpus, "[x].txt") == ["[x].txt"]


@pytest.mark.parametrize("pattern", ["*.csv", "z.tx?", "no/**/*.txt", "[y].txt"])
def test_a_pattern_without_a_file_is_named(corpus: Path, pattern: str) -> None:
    with pytest.raises(InputError, match="matches no file") as caught:
        expand(corpus, pattern)
    assert caught.value.where == str(corpus / pattern)


def test_a_plain_name_that_does_not_exist_is_left_to_the_reader(corpus: Path) -> None:
    assert expand(corpus, "missing.txt") == ["missing.txt"]


def test_a_directory_by_its_name_is_refused(corpus: Path) -> None:
    with pytest.raises(InputError, match="is a directory"):
        expand(corpus, "z.txt")


def test_a_match_named_like_stdin_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_text("a file\n")
    with text_paths([Path("?")]) as paths:
        assert [path.read_text() for path in paths] == ["a file\n"]


def test_stdin_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="once"), text_paths([Path("-"), Path("-")]):
        pass


def test_a_pattern_counts_as_its_files_would(initctl, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    texts = {"a": ["one two three"] * 40, "b": ["two three four"] * 40}
    records = "".join(json.dumps({"body": text}) + "\n" for text in texts["a"])
    (tmp_path / "a.jsonl").write_text(records)
    parquet.write_table(pa.table({"body": texts["b"]}), tmp_path / "b.parquet")
    options = ("--text-field", "body", "--train-tokenizer", 300, "--offsets", 2, "-o")
    named = initctl("cooc", "a.jsonl", "b.parquet", *options, "named", cwd=tmp_path)
    globbed = initctl("cooc", "[ab].*", *options, "globbed", cwd=tmp_path)
    assert (named.returncode, globbed.returncode) == (0, 0), named.stderr + globbed.stderr
    for path in sorted((tmp_path / "named").iterdir()):
        if path.name != "run.json":
            assert path.read_bytes() == (tmp_path / "globbed" / path.name).read_bytes()
    manifest = json.loads((tmp_path / "globbed" / "manifest.json").read_text())
    assert [item["name"] for item in manifest["recipe"]["inputs"]] == ["a.jsonl", "b.parquet"]
    facts = json.loads((tmp_path / "globbed" / "counts.json").read_text())
    assert facts["documents"] == 80


def test_a_pattern_without_a_file_ends_with_3(initctl, tmp_path: Path) -> None:
    run = initctl("cooc", "*.nothing", "--train-tokenizer", 300, "-o", "out", cwd=tmp_path)
    assert run.returncode == 3
    assert b"*.nothing" in run.stderr
    assert list(tmp_path.iterdir()) == []
