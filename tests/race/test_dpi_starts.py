"""Starts of ``dpi-init`` in a race: what the command writes, and phase 0 from a few lines."""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from structinit_core.checkpoint import read_tensors, shard_files
from structinit_core.cooc import open_counts
from structinit_core.progress import Silent
from structinit_core.race import RaceResult, parse_arms, race_starts
from structinit_core.race.claims import Claim
from structinit_core.race.dpi_starts import DPI, counts_of_lines, first_lines
from structinit_core.race.starts import Starts, refuse_job
from structinit_core.race.text import prepare_text
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus
from structinit_core.recipes.dpi import dpi_init
from structinit_core.recipes.dpi_job import DpiJob

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def story(job, tmp_path_factory: pytest.TempPathFactory):
    """A race on the first 60 kB of a book, and its text."""
    directory = tmp_path_factory.mktemp("story")
    book = gzip.decompress((ROOT / "fixtures/corpora/frankenstein.txt.gz").read_bytes())
    train, valid = directory / "train.txt", directory / "valid.txt"
    train.write_bytes(book[:60_000])
    valid.write_bytes(book[60_000:66_000])
    given = job((train, valid), *DPI)
    text = prepare_text(
        given.source(),
        given.valid,
        directory / "race",
        Silent(),
        context=64,
        eval_tokens=512,
        memory_bytes=given.memory_bytes,
    )
    return given, text


def built(story, name: str, directory: Path, seed: int = 3) -> dict[str, torch.Tensor]:
    given, text = story
    directory.mkdir()
    blueprint = refuse_job(given)
    (arm,) = parse_arms([name])
    start = Starts(given, blueprint, text).build(arm, seed, directory, Silent())
    assert start.seconds
    return tensors(directory)


def tensors(directory: Path) -> dict[str, torch.Tensor]:
    return {name: one for file in shard_files(directory) for name, one in read_tensors(file)}


WHOLE = [name for name, start in DPI.items() if start.lines is None and start.body]


@pytest.mark.parametrize("name", WHOLE)
def test_an_arm_is_what_the_command_writes(story, name: str, tmp_path: Path) -> None:
    given, _ = story
    counts = tmp_path / "counts"
    source = given.source()
    count_corpus(source, counts)
    read = dataclasses.replace(
        source, tokenizer=counts / "tokenizer.json", train_vocabulary=None, offsets=5
    )
    dpi_init(DpiJob(given.config, DPI[name].settings, read, counts, seed=3), tmp_path / "out")
    mine, theirs = built(story, name, tmp_path / "start"), tensors(tmp_path / "out")
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[tensor], theirs[tensor]) for tensor in mine)


def test_few_lines_are_another_embedding(story, tmp_path: Path) -> None:
    few = built(story, "dpi-v14.1-100-lines", tmp_path / "few")
    whole = built(story, "dpi-v14.1", tmp_path / "whole")
    assert not torch.equal(few["transformer.wte.weight"], whole["transformer.wte.weight"])
    assert torch.equal(few["transformer.wpe.weight"], whole["transformer.wpe.weight"])


def test_without_a_body_codes_stand_around_plain_layers(story, tmp_path: Path) -> None:
    found = built(story, "dpi-best-no-body", tmp_path / "found")
    best, plain = (
        built(story, "dpi-best", tmp_path / "best"),
        built(story, "zero-out", tmp_path / "p"),
    )
    assert found.keys() == best.keys() == plain.keys()
    layers = {name for name in found if ".h." in name}
    assert layers
    for name, tensor in found.items():
        assert torch.equal(tensor, (plain if name in layers else best)[name]), name
    assert not torch.equal(best["transformer.wte.weight"], plain["transformer.wte.weight"])


def test_counts_of_lines_are_those_of_the_text_cut_there(story, tmp_path: Path) -> None:
    given, text = story
    lines = given.corpus[0].read_text(encoding="utf-8").splitlines(keepends=True)
    at = [i for i, line in enumerate(lines) if line.strip()][39] + 1
    cut = tmp_path / "cut.txt"
    cut.write_text("".join(lines[:at]), encoding="utf-8")
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(text.counts.tokenizer_json, encoding="utf-8")
    count_corpus(CountSource([cut], tokenizer, offsets=1, holdout=0.0), tmp_path / "counts")
    expected = open_counts(tmp_path / "counts")
    with counts_of_lines(given.source(), text.counts, 40, 1 << 30, Silent()) as few:
        assert np.array_equal(few.unigram, expected.unigram)
        assert (few.offsets[0] != expected.offsets[0]).nnz == 0
        assert 0 < few.unigram.sum() < text.counts.unigram.sum()


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (1, ["a\n"]),
        (2, ["a\n\nb\n"]),
        (3, ["a\n\nb\nc"]),
        (4, ["a\n\nb\nc", "d"]),
        (9, ["a\n\nb\nc", "d", "e\n"]),
    ],
)
def test_blank_lines_are_kept_and_not_counted(lines: int, kept: list[str]) -> None:
    assert list(first_lines(["a\n\nb\nc", "d", "e\n"], lines)) == kept


def test_a_race_says_what_was_published_of_its_arms(
    job, texts: tuple[Path, Path], tmp_path: Path
) -> None:
    claim = Claim("table 0", "dpi-v14.1", -4.0, ("xavier-zero-gain", "default"), before=True)
    race_starts(job(texts, "xavier-zero-gain", "dpi-v14.1", claims=(claim,)), tmp_path / "race")
    found = RaceResult.model_validate_json((tmp_path / "race" / "race.json").read_text())
    said = [note for note in found.notes if note.startswith("published, table 0: dpi-v14.1 -4 ")]
    assert len(said) == 1
    assert "to xavier-zero-gain" in said[0]
    zero, dpi = found.arms
    assert zero.curve is not None
    assert dpi.curve is not None
    assert f"{dpi.curve.mean[0] - zero.curve.mean[0]:+.3f}" in said[0]
