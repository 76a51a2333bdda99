"""The forecast of a count knows packed files by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from structinit_core.recipes.count_plan import bound_counting
from structinit_core.recipes.count_source import CountSource


@pytest.mark.parametrize(
    ("name", "ratio"),
    [("a.txt", 1), ("a.jsonl.gz", 3), ("a.txt.zst", 4), ("a.parquet", 3), ("A.TXT.GZ", 3)],
)
def test_packed_files_hold_more_text_than_bytes(tmp_path: Path, name: str, ratio: int) -> None:
    plain, packed = tmp_path / "plain.txt", tmp_path / name
    for path in (plain, packed):
        path.write_bytes(bytes(1200))
    forecast = bound_counting(CountSource(texts=[plain, packed], train_vocabulary=300), 1 << 30)
    assert forecast.text_bytes == 1200 * (1 + ratio)
