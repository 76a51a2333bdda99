"""Results that are checked in: readable by today's schema, and what README says of them."""

from __future__ import annotations

import math
import re
from pathlib import Path
from statistics import fmean

import pytest

from structinit_core.race import RaceResult
from structinit_core.race.graph_predictions.result import GraphPredictionsResult

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


EPOCHS = sorted((ROOT / "fixtures/results/one-epoch").glob("*/race.json"))
EPOCHS += [
    ROOT / "fixtures/results" / name / "race.json"
    for name in ("wikitext-2-four-epochs", "four-texts", "arxiv-abstracts-d256")
]


@pytest.mark.parametrize("path", EPOCHS, ids=[path.parent.name for path in EPOCHS])
def test_readme_s_tables_of_epochs_are_the_results(path: Path) -> None:
    result = RaceResult.model_validate_json(path.read_text(encoding="utf-8"))
    assert result.complete
    row = rf"^\| {path.parent.name} \| \**`([\w-]+)`\** \|(.*)\|$"
    shown = {
        name: [cell.strip(" *").replace("−", "-") for cell in cells.split("|")]
        for name, cells in re.findall(row, README, re.MULTILINE)
    }
    assert set(shown) == {arm.name for arm in result.arms}
    (base,) = [arm for arm in result.arms if arm.name == result.baseline]
    assert base.start_seconds is not None
    assert base.step_seconds is not None
    whole = base.start_seconds + result.protocol["steps"] * base.step_seconds
    for arm in result.arms:
        assert arm.curve is not None
        known = [arm.learning_rate, arm.curve.mean[0]]
        known += [mark.loss.mean for mark in arm.milestones if mark.share >= 0.1]
        *losses, difference, reached = shown[arm.name]
        assert [float(cell) for cell in losses] == pytest.approx(known, abs=6e-4)
        saved = arm.seconds_saved.mean if arm.seconds_saved else 0.0
        assert float(reached.removesuffix(" s")) == pytest.approx(whole - saved, abs=0.6)
        if arm.final_difference is not None:
            numbers = [float(n) for n in re.findall(r"[-+\d.]+", difference)]
            found = arm.final_difference
            known = [found.mean, found.low, found.high]
            assert numbers == pytest.approx([n for n in known if n is not None], abs=6e-4)


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


def test_readme_s_table_of_the_graph_predictions_is_the_result() -> None:
    path = ROOT / "fixtures/results/graph-predictions/graph-predictions.json"
    result = GraphPredictionsResult.model_validate_json(path.read_text(encoding="utf-8"))
    row = r"^\| ([\w.-]+) \| \**`([^`]+)`\** \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$"
    shown = {(text, arm): numbers for text, arm, *numbers in re.findall(row, README, re.MULTILINE)}
    assert len(result.arms) == len(shown) > 0
    for arm in result.arms:
        rate, *losses = map(float, shown[arm.text, arm.arm])
        assert rate == arm.rate
        known = [fmean(run.losses[place] for run in arm.runs) for place in (0, -1)]
        assert losses == pytest.approx(known, abs=6e-4)
    verdicts = dict(re.findall(r"^\d\. \*(.+?)\*: \**([\w ]+?)\**[.,;]", README, re.MULTILINE))
    assert verdicts == {each.title: each.verdict for each in result.predictions}
