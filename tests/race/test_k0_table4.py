"""The preset ``k0-table4``: its network, its control, its words and the result checked in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from structinit_core.race.k0_table4 import reproduce_k0_table4
from structinit_core.race.k0_table4_page import result_page
from structinit_core.race.k0_table4_result import (
    ACCEPTED,
    PUBLISHED,
    K0Table4Result,
    Moment,
    SeedRun,
    arm_of,
)
from structinit_core.race.k0_table4_text import K0Table4Protocol, drawn_text
from structinit_core.race.mini_gpt import MiniGpt

CHECKED_IN = Path(__file__).parents[2] / "fixtures/results/k0-table4"
SMALL = K0Table4Protocol(steps=4, seeds=2, tokens=4000, numberings=3, deviations=(1.0,))


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("table4") / "out"
    before = torch.random.get_rng_state()
    assert reproduce_k0_table4(output, SMALL)
    assert torch.equal(torch.random.get_rng_state(), before)
    return output


def test_equal_runs_write_equal_bytes(published: Path, tmp_path: Path) -> None:
    assert not reproduce_k0_table4(published, SMALL)
    reproduce_k0_table4(tmp_path / "again", SMALL)
    for name in ("k0-table4.json", "k0-table4.html", "manifest.json"):
        assert (published / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_control_is_step_0_and_training_moves_on(published: Path) -> None:
    result = K0Table4Result.model_validate_json((published / "k0-table4.json").read_text())
    for run in result.arms[0].runs:
        assert [moment.step for moment in run.moments] == [0, 1, 2, 3, 4]
        first, last = run.moments[0], run.moments[-1]
        assert len(first.cosines) == len(first.circulants) == 3
        assert first.cosines != last.cosines
        assert first.cosines == pytest.approx(last.cosines, abs=0.05)


def test_the_text_is_drawn_and_has_topics() -> None:
    ids = drawn_text(K0Table4Protocol())
    counts = np.bincount(ids, minlength=100)
    assert (len(ids), len(counts)) == (60_000, 100)
    assert counts[:10].sum() > counts[-50:].sum()
    pairs = np.zeros((100, 100))
    np.add.at(pairs, (ids[:-1], ids[1:]), 1)
    expected = np.outer(counts, counts) / len(ids)
    # Chi-squared, which of independent tokens has the mean 99² and a deviation of 140.
    assert ((pairs - expected) ** 2 / expected).sum() > 99**2 + 10 * 140


def test_no_logit_depends_on_a_later_token() -> None:
    torch.manual_seed(0)
    network = MiniGpt(50, 16, 2, 2, 0.0, 1.0)
    ids = torch.randint(50, (1, 12))
    changed = ids.clone()
    changed[0, 7] = (ids[0, 7] + 1) % 50
    one, other = network(ids)[0], network(changed)[0]
    assert torch.equal(one[:7], other[:7])
    assert not torch.allclose(one[8], other[8])


def test_positions_are_relative_and_order_matters() -> None:
    """A window of equal tokens looks the same everywhere; two tokens exchanged do not."""
    torch.manual_seed(0)
    network = MiniGpt(50, 16, 1, 2, 0.0, 1.0)
    same = network(torch.full((1, 6), 3))[0]
    assert torch.allclose(same[0], same[5], atol=1e-5)
    network.blocks[0].qkv.weight.data.mul_(30)
    one = network(torch.tensor([[1, 2, 3]]))[0, -1]
    other = network(torch.tensor([[2, 1, 3]]))[0, -1]
    assert not torch.allclose(one, other, atol=1e-2)


def runs(untrained: float, trained: float, score: float = 0.9) -> list[SeedRun]:
    noise = (-0.01, 0.0, 0.01)
    return [
        SeedRun(
            seed=seed,
            loss=1.0,
            moments=tuple(
                Moment(
                    step=step,
                    cosines=(value + noise[seed] * (1 + step), value),
                    circulants=(score, 0.1),
                    matrix_cosine=0.0,
                )
                for step, value in enumerate((untrained, trained))
            ),
        )
        for seed in range(3)
    ]


@pytest.mark.parametrize(
    ("trained", "says", "never"),
    [(0.3, "a fall by", "rise"), (0.95, "a rise by", "fall"), (0.801, "does not tell", "rise")],
)
def test_words_follow_the_interval(trained: float, says: str, never: str) -> None:
    verdict = arm_of("arm", 1.0, runs(0.8, trained), 2.0).verdict
    assert says in verdict
    assert never not in verdict


def test_a_rise_among_the_accepted_is_said_beside_a_fall_over_all() -> None:
    """Training leaves one of two numberings accepted, whose cosine alone has grown."""
    moments = [(0.8, (0.9, 0.9)), (0.85, (0.9, 0.9))], [(0.9, (0.9, 0.1)), (0.94, (0.9, 0.1))]
    seeds = [
        SeedRun(
            seed=seed,
            loss=1.0,
            moments=tuple(
                Moment(
                    step=step,
                    cosines=(cosine, cosine - step),
                    circulants=scores,
                    matrix_cosine=0.0,
                )
                for step, (cosine, scores) in enumerate(pair)
            ),
        )
        for seed, pair in enumerate(zip(*moments, strict=True))
    ]
    over_all, accepted, share = arm_of("arm", 1.0, seeds, 2.0).verdict.split(". ")
    assert "a fall by" in over_all
    assert "trained ones 0.920, a rise by 0.095" in accepted
    assert "100% of the numberings before training and 50% after" in share


@pytest.mark.parametrize(("unigram", "said"), [(0.9, True), (1.1, False)])
def test_runs_that_learnt_nothing_are_called_so(unigram: float, said: bool) -> None:
    verdict = arm_of("arm", 1.0, runs(0.8, 0.8), unigram).verdict
    assert ("hardly learnt anything" in verdict) == said


def test_acceptance_is_by_numbering() -> None:
    arm = arm_of("arm", 1.0, runs(0.8, 0.3), 2.0)
    assert arm.untrained["accepted_share"].mean == 0.5
    assert arm.untrained["accepted"].mean == pytest.approx(0.8)
    none = arm_of("arm", 1.0, runs(0.8, 0.3, score=0.5), 2.0)
    assert none.untrained["accepted"] is None
    assert "Where the source" not in none.verdict


def test_the_result_checked_in_is_the_preset_s_and_says_what_its_numbers_say() -> None:
    result = K0Table4Result.model_validate_json((CHECKED_IN / "k0-table4.json").read_text())
    assert result.protocol == K0Table4Protocol().model_dump(mode="json")
    page = (CHECKED_IN / "k0-table4.html").read_text(encoding="utf-8")
    assert page == result_page(result)
    for arm in result.arms:
        assert arm == arm_of(arm.name, arm.deviation, arm.runs, result.unigram_loss)
        found = arm.untrained["accepted"]
        assert found.low < PUBLISHED["cosine"] < found.high or found.mean > PUBLISHED["cosine"]
        assert min(arm.runs[0].moments[0].circulants) < ACCEPTED
    # Embeddings of deviation 1 stay what they are: 20 epochs do not take them to the unigram.
    large, small = result.arms
    assert small.loss.high < result.unigram_loss < large.loss.low
    assert small.difference["numberings"].high < 0 < small.trained["numberings"].low
