from __future__ import annotations

import numpy as np
import pytest

from structinit_core.graph.prediction import directed, fit_prior


def test_chances_sum_to_one(random_graph) -> None:
    prior = fit_prior(directed(random_graph))
    for relation in range(6):
        assert np.exp(prior.log_probability(relation)).sum() == pytest.approx(1)


def test_who_has_its_only_link_is_no_likely_second(make_graph) -> None:
    """Nine in ten have the one relation, all have the other, each once."""
    rows = [(x, 0, 100) for x in range(90)] + [(x, 1, 101) for x in range(100)]
    links = directed(make_graph(rows, 102, 2))
    prior = fit_prior(links)
    subject = np.exp(prior.log_probability(links.inverse(0)))
    assert subject[90:100].min() > 10 * subject[:90].max()
    assert subject[90:100].sum() > 0.9
    left_out = prior.left_out(links.inverse(0), np.arange(90, dtype=np.int32))
    assert left_out == pytest.approx(np.full(90, np.log(subject[95])), abs=0.7)


def test_all_are_alike_to_a_relation_without_links(make_graph) -> None:
    prior = fit_prior(directed(make_graph([(0, 0, 1)], 4, 2)))
    assert np.exp(prior.log_probability(1)) == pytest.approx(np.full(4, 0.25))
