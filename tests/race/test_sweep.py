from __future__ import annotations

import math

import pytest

from structinit_core.race.sweep import MOST_EXTENSIONS, Setting, best_setting

GRID = (1e-3, 2e-3, 4e-3)
INF = float("inf")


class Valley:
    """A loss with its smallest value at one rate; remembers what was tried."""

    def __init__(self, best: float, warmup: float = 0.05) -> None:
        self.best, self.warmup = best, warmup
        self.tried: list[Setting] = []

    def __call__(self, setting: Setting) -> float:
        self.tried.append(setting)
        return abs(math.log(setting.rate / self.best)) + abs(setting.warmup - self.warmup)


def test_a_best_rate_inside_the_grid_is_not_sought_further() -> None:
    valley = Valley(2e-3)
    assert best_setting(GRID, 0.05, (), valley) == Setting(2e-3, 0.05)
    assert sorted(one.rate for one in valley.tried) == sorted(GRID)


@pytest.mark.parametrize("best", [2.5e-4, 5e-4, 8e-3, 1.6e-2])
def test_the_grid_grows_until_the_best_has_two_neighbours(best: float) -> None:
    valley = Valley(best)
    found = best_setting(GRID, 0.05, (), valley)
    assert found is not None
    assert found.rate == pytest.approx(best)
    rates = sorted(one.rate for one in valley.tried)
    assert rates[0] < found.rate < rates[-1]
    assert len(rates) == len(set(rates))


def test_growing_ends() -> None:
    valley = Valley(1e9)
    found = best_setting(GRID, 0.05, (), valley)
    assert found is not None
    assert found.rate == max(GRID) * 2**MOST_EXTENSIONS
    assert len(valley.tried) == len(GRID) + MOST_EXTENSIONS


def test_a_grid_of_one_rate_is_extended_to_both_sides() -> None:
    valley = Valley(2e-3)
    assert best_setting([2e-3], 0.05, (), valley) == Setting(2e-3, 0.05)
    assert {one.rate for one in valley.tried} == {1e-3, 2e-3, 4e-3}


def test_rates_that_diverge_push_down() -> None:
    found = best_setting(
        GRID, 0.05, (), lambda one: INF if one.rate > 3e-4 else abs(one.rate - 2.5e-4)
    )
    assert found == Setting(2.5e-4, 0.05)


def test_nothing_is_chosen_where_all_diverge() -> None:
    tried: list[Setting] = []

    def diverge(setting: Setting) -> float:
        tried.append(setting)
        return INF

    assert best_setting(GRID, 0.05, (0.0, 0.1), diverge) is None
    assert min(one.rate for one in tried) == min(GRID) / 2**MOST_EXTENSIONS


def test_a_divergent_upper_border_is_no_reason_to_grow() -> None:
    tried = []

    def loss(setting: Setting) -> float:
        tried.append(setting.rate)
        return INF if setting.rate > 3e-3 else 1 / setting.rate

    assert best_setting(GRID, 0.05, (), loss) == Setting(2e-3, 0.05)
    assert max(tried) == 4e-3


def test_warmups_are_tried_at_the_best_rate_only() -> None:
    valley = Valley(2e-3, warmup=0.1)
    assert best_setting(GRID, 0.05, (0.0, 0.05, 0.1), valley) == Setting(2e-3, 0.1)
    assert {one.rate for one in valley.tried if one.warmup != 0.05} == {2e-3}
    assert len(valley.tried) == len(GRID) + 2


def test_of_equal_losses_the_smaller_rate_wins() -> None:
    found = best_setting((2e-3, 4e-3), 0.05, (), lambda one: 0.0 if one.rate >= 2e-3 else 1.0)
    assert found == Setting(2e-3, 0.05)
