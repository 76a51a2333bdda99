from __future__ import annotations

import numpy as np
import pytest

from structinit_core.graph.focus import pagerank
from structinit_core.graph.shape import (
    concentration,
    degrees,
    entropy_bits,
    neuron_weight,
    never_a_source,
)

from .graphs import bostrom, graph_of


def test_degrees_leave_out_particles_without_links() -> None:
    out, into = degrees(graph_of([(0, 1), (0, 2), (0, 3), (1, 3)], 6))
    assert (out.mean, out.median, out.largest, out.particles) == (2.0, 2.0, 3, 2)
    assert (into.mean, into.median, into.largest, into.particles) == (4 / 3, 1.0, 2, 3)


def test_four_fifths_of_the_real_particles_never_link() -> None:
    # the seeds' origins, error 1: 80.8 %
    assert never_a_source(bostrom()) == pytest.approx(0.808, abs=5e-4)


def test_entropy_is_in_bits() -> None:
    # error 16: the published "14.05 bits" were nats
    assert entropy_bits(np.full(1024, 1 / 1024)) == pytest.approx(10)
    assert entropy_bits(np.array([1.0, 0.0])) == 0
    focus = pagerank(bostrom()).values
    nats = -float(focus @ np.log(focus))
    assert entropy_bits(focus) == pytest.approx(nats / np.log(2))


def test_gini_is_half_the_mean_difference_over_the_mean() -> None:
    amounts = np.random.default_rng(0).pareto(1.5, 200)
    held = concentration(amounts)
    assert held is not None
    differences = np.abs(amounts[:, None] - amounts).mean()
    assert held.gini == pytest.approx(differences / (2 * amounts.mean()))
    assert concentration(np.full(7, 3.0)).gini == pytest.approx(0, abs=1e-12)
    assert concentration(np.eye(1, 8)[0]).gini == pytest.approx(7 / 8)
    assert concentration(np.zeros(3)) is None
    assert concentration(np.zeros(0)) is None


def test_one_neuron_wrote_most_of_the_real_links() -> None:
    # 1,021 of 1,281 rows; the seeds' origins, 5
    held = concentration(neuron_weight(bostrom()))
    assert held is not None
    assert held.holders == 14
    assert held.top == pytest.approx(1021 / 1281, abs=2e-3)
    assert held.top < held.top_five <= 1
