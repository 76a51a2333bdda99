"""The forecast of a count against the count, and how distinct pairs are carried on."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.corpus import load_tokenizer, serialise, train_tokenizer
from structinit_core.errors import InputError
from structinit_core.recipes import count_forecast
from structinit_core.recipes.count_forecast import Distinct, forecast_counting
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus


def words(number: int, seed: int) -> list[str]:
    """Words of very unequal frequency, many of them seen once."""
    rng = np.random.default_rng(seed)
    return [f"w{n:x}" for n in rng.zipf(1.3, number) % 40_000]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> CountSource:
    """Two texts, one four times as long, and a tokenizer of theirs."""
    directory = tmp_path_factory.mktemp("texts")
    texts = [directory / "a.txt", directory / "b.txt"]
    for path, number in zip(texts, (120_000, 30_000), strict=True):
        drawn = words(number, number)
        lines = [" ".join(drawn[at : at + 60]) for at in range(0, number, 60)]
        path.write_text("\n\n".join(lines), encoding="utf-8")
    tokenizer = train_tokenizer(iter([path.read_text() for path in texts]), 3000)
    (directory / "tokenizer.json").write_text(serialise(tokenizer), encoding="utf-8")
    return CountSource(texts=texts, tokenizer=directory / "tokenizer.json")


def test_a_text_that_is_all_sample_is_known(source: CountSource, tmp_path: Path) -> None:
    forecast = forecast_counting(source, 1 << 30)
    count_corpus(source, tmp_path / "counts")
    facts = json.loads((tmp_path / "counts" / "counts.json").read_text())
    assert forecast.sampled_bytes == forecast.text_bytes
    assert forecast.estimated_tokens == facts["tokens"]
    assert forecast.seconds is not None
    assert forecast.seconds > 0
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["counts"]


def test_disk_and_tokens_of_a_longer_text(
    source: CountSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_corpus(source, tmp_path / "counts")
    manifest = json.loads((tmp_path / "counts" / "manifest.json").read_text())
    facts = json.loads((tmp_path / "counts" / "counts.json").read_text())
    disk = sum(entry["bytes"] for entry in manifest["files"].values())
    monkeypatch.setattr(count_forecast, "SAMPLE_CHARACTERS", 150_000)
    forecast = forecast_counting(source, 1 << 30)
    assert forecast.sampled_bytes < forecast.text_bytes / 3
    assert forecast.estimated_tokens == pytest.approx(facts["tokens"], rel=0.05)
    assert forecast.disk_bytes == pytest.approx(disk, rel=0.3)


def test_every_file_gives_its_share(source: CountSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_forecast, "SAMPLE_CHARACTERS", 50_000)
    documents, whole = count_forecast._sample(source)
    first = source.texts[0].read_text().split("\n\n")
    taken = sum(len(text) for text in documents if any(text.strip() in each for each in first))
    assert not whole
    assert taken / sum(map(len, documents)) == pytest.approx(0.8, abs=0.05)


def test_one_long_document_is_a_sample_too(source: CountSource, tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text(source.texts[0].read_text().replace("\n\n", " "))
    one, many = (
        count_forecast._measured(
            documents, load_tokenizer(source.tokenizer or path), source.offsets
        ).pairs
        for documents in ([path.read_text()], source.texts[0].read_text().split("\n\n"))
    )
    assert one.quarter / one.whole == pytest.approx(many.quarter / many.whole, rel=0.05)
    assert one.quarter < 0.6 * one.whole


def test_a_text_without_a_token_gives_the_bound(
    source: CountSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = np.zeros(0, np.uint32), np.zeros(1, np.int64)
    monkeypatch.setattr(count_forecast, "encoded", lambda batches, _: [nothing for _ in batches])
    forecast = forecast_counting(source, 1 << 30)
    assert (forecast.sampled_bytes, forecast.seconds) == (0, None)


def test_the_memory_bounds_the_forecast(source: CountSource) -> None:
    wide, narrow = (forecast_counting(source, memory) for memory in (1 << 30, 1 << 20))
    assert narrow.memory_bytes < wide.memory_bytes


def test_a_blank_text_gives_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "blank.txt"
    path.write_text("\n\n")
    forecast = forecast_counting(CountSource(texts=[path], train_vocabulary=300), 1 << 30)
    assert (forecast.sampled_bytes, forecast.seconds) == (0, None)


def test_a_missing_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        forecast_counting(CountSource(texts=[tmp_path / "no"], train_vocabulary=300), 1 << 30)
    assert caught.value.where == str(tmp_path / "no")


@settings(max_examples=80, deadline=None)
@given(
    quarter=st.integers(1, 10**6),
    ratio=st.floats(1.3, 4),
    growths=st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)),
)
def test_distinct_pairs_grow_but_ever_slower(
    quarter: int, ratio: float, growths: tuple[float, float]
) -> None:
    distinct = Distinct(quarter, math.ceil(quarter * ratio))
    low, high = sorted(growths)
    first, second = distinct.after(low), distinct.after(high)
    assert distinct.whole <= first * (1 + 1e-9)
    assert first <= second * (1 + 1e-9)
    assert second <= first * (high / low) * (1 + 1e-9)
    assert distinct.after(0.5) == distinct.whole / 2
