"""Races of seed 001's presets that are checked in: today's protocol, and what README says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from structinit_core.race import RaceProtocol, RaceResult
from structinit_core.race.claims import claim_notes
from structinit_core.race.presets import PRESETS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8").replace("−", "-")
PATHS = sorted((ROOT / "fixtures/results").glob("dpi-*/race.json"))
NOTE = re.compile(r"published, (.+): (\S+) (\S+) nats; here .+, to (\S+): (.+): (.+)")


@pytest.fixture(params=PATHS, ids=[path.parent.name for path in PATHS])
def raced(request: pytest.FixtureRequest) -> tuple[str, RaceResult]:
    path: Path = request.param
    return path.parent.name, RaceResult.model_validate_json(path.read_text(encoding="utf-8"))


def test_a_result_is_a_whole_race_of_its_preset(raced: tuple[str, RaceResult]) -> None:
    name, result = raced
    preset = PRESETS[name]
    assert result.complete
    assert tuple(arm.name for arm in result.arms) == preset.arms
    protocol = {key: value for key, value in result.protocol.items() if key != "optimizer"}
    assert RaceProtocol.model_validate(protocol) == preset.protocol
    assert preset.config is not None
    assert result.network["config"] == preset.config.name
    published = [note for note in result.notes if note.startswith("published")]
    assert published == list(claim_notes(preset.claims, result.arms))
    assert len(published) == sum(len(claim.against) for claim in preset.claims)


def test_readme_has_the_losses(raced: tuple[str, RaceResult]) -> None:
    name, result = raced
    found = re.findall(rf"^\| `{name}` \| \**`([\w.-]+)`\** \| ([\d. |*]+) \|$", README, re.M)
    shown = {arm: [float(cell.strip(" *")) for cell in cells.split("|")] for arm, cells in found}
    assert shown.keys() == {arm.name for arm in result.arms}
    for arm in result.arms:
        assert arm.curve is not None
        shares = [mark.loss.mean for mark in arm.milestones if mark.share in (0.1, 0.3, 1.0)]
        known = [arm.learning_rate, arm.curve.mean[0], *shares]
        assert shown[arm.name] == pytest.approx(known, abs=6e-4), arm.name


def test_readme_has_every_claim_and_what_became_of_it(raced: tuple[str, RaceResult]) -> None:
    name, result = raced
    matches = [NOTE.fullmatch(note) for note in result.notes if note.startswith("published")]
    for match in matches:
        assert match
        where, arm, published, other, found, said = match.groups()
        row = f"| `{name}` | {where} | `{arm}` {published} | `{other}` | {found} | {said} |"
        assert row in README.replace("**", "")
