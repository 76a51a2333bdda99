"""Results that are checked in: readable by today's schema, and what README says of them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from structinit_core.race import RaceResult

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULT = ROOT / "fixtures/results/wikitext2-gpt2-d128-l3/race.json"


def test_readme_s_table_is_the_result() -> None:
    result = RaceResult.model_validate_json(RESULT.read_text(encoding="utf-8"))
    assert result.complete
    rows = re.findall(r"^\| \**`([\w-]+)`\** \| ([\d. |*]+) \|", README, re.MULTILINE)
    shown = {
        name: [float(cell.strip(" *")) for cell in cells.split("|") if cell.strip()]
        for name, cells in rows
    }
    for arm in result.arms:
        assert arm.curve is not None
        known = [arm.learning_rate, arm.curve.mean[0], *(m.loss.mean for m in arm.milestones)]
        assert shown[arm.name] == pytest.approx(known, abs=6e-4), arm.name


def test_the_zero_gain_arm_is_the_published_bug() -> None:
    """Exactly ln V before training, no gradient but the last norm's, behind at the end."""
    result = RaceResult.model_validate_json(RESULT.read_text(encoding="utf-8"))
    (arm,) = [arm for arm in result.arms if arm.source == "xavier-zero-gain"]
    assert arm.curve is not None
    assert arm.curve.mean[0] == pytest.approx(math.log(result.network["vocabulary"]), abs=1e-6)
    assert all(norm == 0 for layer, norm in arm.gradient_norms.items() if layer != "head")
    assert arm.final_difference is not None
    assert arm.final_difference.low is not None
    assert arm.final_difference.low > 0
