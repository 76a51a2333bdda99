from __future__ import annotations

import numpy as np
import pytest

from structinit_core.initializers.closed_form.sampling import Sample, chances, draw
from structinit_core.linalg import generator


@pytest.fixture
def mass() -> np.ndarray:
    """A steep Zipf law over 500 items in no order."""
    law = 1 / np.arange(1, 501) ** 1.1
    return np.random.default_rng(0).permutation(law / law.sum())


def test_chances_follow_the_mass_and_sum_to_the_size(mass: np.ndarray) -> None:
    chance = chances(mass, 60)
    assert chance.sum() == pytest.approx(60)
    certain = chance == 1
    assert 0 < certain.sum() < 60
    assert mass[certain].min() > mass[~certain].max()
    np.testing.assert_allclose(np.ptp(chance[~certain] / mass[~certain]), 0, atol=1e-9)


def test_a_sample_as_large_as_all_is_all(mass: np.ndarray) -> None:
    sample = draw(chances(mass, len(mass)), generator(0))
    assert np.array_equal(sample.items, np.arange(len(mass)))
    assert sample.certain_share(mass) == 1
    np.testing.assert_array_equal(sample.weights(mass), mass)


def test_every_sample_has_the_size_and_each_item_its_chance(mass: np.ndarray) -> None:
    chance, times = chances(mass, 60), np.zeros(len(mass))
    for seed in range(2000):
        items = draw(chance, generator(seed)).items
        assert len(np.unique(items)) == len(items) == 60
        times[items] += 1
    error = np.sqrt(chance * (1 - chance) / 2000)
    assert np.all(np.abs(times / 2000 - chance) <= 4.5 * error)


def test_equal_seeds_draw_equal_samples(mass: np.ndarray) -> None:
    one, same, other = (draw(chances(mass, 60), generator(seed)).items for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_weights_stand_for_the_whole_mass() -> None:
    mass = np.array([0.5, 0.2, 0.2, 0.1])
    weights = Sample(np.array([0, 3]), np.array([1.0, 0.3])).weights(mass)
    np.testing.assert_allclose(weights, [0.5, 0.5])
