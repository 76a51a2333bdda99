from __future__ import annotations

import numpy as np

from structinit_core.graph.prediction import (
    asked_most,
    directed,
    fit_paths,
    fit_prior,
    valuable,
    worth,
)


def test_queries_asked_most_are_those_of_likely_links(random_graph) -> None:
    links = directed(random_graph)
    prior = fit_prior(links)
    chance = np.stack([
        links.degrees(relation).sum() * np.exp(prior.log_probability(links.inverse(relation)))
        for relation in range(6)
    ])  # fmt: skip
    subject, relation = asked_most(prior, 30)
    found = chance[relation, subject]
    assert np.allclose(found, np.sort(chance.ravel())[::-1][:30])
    assert len(set(zip(subject.tolist(), relation.tolist(), strict=True))) == 30


def test_hidden_links_are_asked_by_the_most_valuable_keys(families) -> None:
    """A thirtieth of all queries holds most of those whose answer was hidden."""
    graph, held = families
    model = fit_paths(directed(graph))
    kept = valuable(model, 73)
    asked = set(zip(kept.subject.tolist(), kept.relation.tolist(), strict=True))
    hidden = set(zip(held.subject.tolist(), held.relation.tolist(), strict=True))
    assert len(asked) == 73
    assert len(asked & hidden) > 0.7 * len(hidden)
    values = worth(kept, model.prior)
    assert (np.diff(values) <= 0).all()


def test_more_keys_than_there_are_queries(random_graph) -> None:
    model = fit_paths(directed(random_graph))
    assert len(valuable(model, 1000, top=3)) == 6 * 20
