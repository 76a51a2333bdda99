"""Ranks, recall and losses of links against a reading of every logit, one query at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import transformers

from structinit_core.diagnose import links
from structinit_core.diagnose.links import link_figures, recall, walk_losses
from structinit_core.errors import InputError, NumericalError
from structinit_core.graph import Graph, Names, directed, link_references, walk_references
from structinit_core.graph.prediction import both_ways
from structinit_core.progress import Silent

P, S, FIRST = 9, 2, 33
TRAIN = [(0, 0, 1), (0, 0, 2), (1, 0, 2), (3, 1, 2), (2, 1, 0), (4, 1, 4), (0, 1, 1), (5, 0, 6)]
TEST = np.array([(0, 0, 3), (7, 1, 2), (4, 0, 4), (0, 0, 8), (0, 0, 3)], np.int32)


def graph_of(rows) -> Graph:
    rows = np.array(rows, np.int32)
    return Graph(
        Names.of(f"p{row}" for row in range(P)),
        Names.of(f"r{row}" for row in range(S)),
        Names.of([]),
        *rows.T,
        np.ones(len(rows)),
        np.full(len(rows), -1, np.int32),
        np.zeros(len(rows), np.int64),
    )


GRAPH, KNOWN = graph_of(TRAIN), directed(graph_of(TRAIN), graph_of(TEST))
FACTS = both_ways(*np.array(TRAIN).T, relations=S)


@pytest.fixture
def model():
    sizes = {"hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 8}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": FIRST + P}
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model("llama", **sizes, bos_token_id=0, eos_token_id=0)
    network = transformers.AutoModelForCausalLM.from_config(config).eval()
    for weights in network.parameters():
        weights.data.normal_(std=0.4)
    return network


def token(directed_relation: int) -> int:
    """Forward and inverse tokens in turn, from 1."""
    relation, inverse = directed_relation % S, directed_relation >= S
    return 1 + 2 * relation + inverse


def after(model, *before: int) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.tensor([[0, *before]])).logits[0, -1].double()


def rank(model, subject: int, relation: int, object_: int) -> int:
    logits = after(model, FIRST + subject, token(relation))[FIRST:]
    true = set(KNOWN.objects(subject, relation).tolist()) - {object_}
    return 1 + sum(bool(logits[p] > logits[object_]) for p in range(P) if p not in true)


def figures(model, rows=TEST, **more):
    return link_figures(model, GRAPH, rows, KNOWN, Silent(), **more)


def test_ranks_are_those_of_every_logit(model) -> None:
    queries = both_ways(*TEST.T, relations=S)
    ranks = [rank(model, *query) for query in queries.tolist()]
    found = figures(model)
    for ours, theirs in (
        (found.known.objects, ranks[: len(TEST)]),
        (found.known.subjects, ranks[len(TEST) :]),
        (found.known.both, ranks),
    ):
        assert ours.mrr == pytest.approx(np.mean([1 / one for one in theirs]))
        assert ours.hits_at_1 == pytest.approx(np.mean([one <= 1 for one in theirs]))
        assert ours.hits_at_3 == pytest.approx(np.mean([one <= 3 for one in theirs]))
        assert ours.queries == len(theirs)
    assert len(set(ranks)) > 3, "there is something to tell apart"
    assert found.known == found.all_links


def test_losses_are_those_of_every_logit(model) -> None:
    queries = both_ways(*TEST.T, relations=S)
    whole, among = [], []
    for subject, relation, object_ in queries.tolist():
        logits = after(model, FIRST + subject, token(relation))
        whole.append(-float(torch.log_softmax(logits, 0)[FIRST + object_]))
        among.append(-float(torch.log_softmax(logits[FIRST:], 0)[object_]))
    losses = figures(model).losses
    assert losses.model == pytest.approx(np.mean(whole), rel=1e-5)
    assert losses.among_particles == pytest.approx(np.mean(among), rel=1e-5)
    assert losses.uniform == pytest.approx(math.log(P))
    references = link_references(GRAPH, queries)
    assert losses.prior == pytest.approx(-np.log(references.prior).mean())
    assert losses.exact_graph == pytest.approx(-np.log(references.exact).mean())
    assert losses.asked == 2 * len(TEST)


def test_walks_are_asked_after_one_particle(model) -> None:
    steps = TEST[:, [0, 2]]
    expected = [
        -float(torch.log_softmax(after(model, FIRST + p), 0)[FIRST + q]) for p, q in steps.tolist()
    ]
    found = walk_losses(model, GRAPH, steps, Silent())
    assert found.model == pytest.approx(np.mean(expected), rel=1e-5)
    assert found.among_particles < found.model
    references = walk_references(GRAPH, steps)
    assert found.exact_graph == pytest.approx(-np.log(references.exact).mean())


def test_what_the_graph_lacks_is_counted_both_ways(model) -> None:
    found = figures(model, lacking=5)
    plain = figures(model)
    assert (found.links, found.lacking) == (10, 5)
    assert found.known == plain.known
    assert found.losses == plain.losses
    assert found.all_links.both.mrr == pytest.approx(plain.known.both.mrr / 2)
    assert found.all_links.both.queries == 2 * plain.known.both.queries
    assert found.all_links.subjects.hits_at_10 == plain.known.subjects.hits_at_10 / 2


def test_recall_is_that_of_every_logit(model) -> None:
    expected = 0
    train = directed(GRAPH)
    for subject, relation, object_ in FACTS.tolist():
        logits = after(model, FIRST + subject, token(relation))[FIRST:]
        allowed = len(train.objects(subject, relation))
        expected += object_ in logits.argsort(descending=True)[:allowed].tolist()
    found = recall(model, GRAPH, FACTS, train, Silent())
    assert (found.facts, found.found) == (len(FACTS), expected)
    assert 0 < found.share < 1


def test_a_model_that_says_nothing_recalls_nothing(model) -> None:
    model.lm_head.weight.data.zero_()
    assert recall(model, GRAPH, FACTS, directed(GRAPH), Silent()).found == 0
    found = figures(model)
    assert found.losses.model == pytest.approx(math.log(FIRST + P))
    assert found.losses.among_particles == pytest.approx(found.losses.uniform)
    # one that ties with all others is ranked in the middle of them
    free = [P - len(KNOWN.objects(s, r)) for s, r, _ in both_ways(*TEST.T, relations=S)]
    assert found.known.both.mrr == pytest.approx(np.mean([1 / (1 + n / 2) for n in free]))


@pytest.mark.parametrize("block", [1, 3])
def test_blocks_change_nothing(model, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    whole, recalled = figures(model), recall(model, GRAPH, FACTS, KNOWN, Silent())
    asked: list[int] = []

    def counted(network, ids):
        asked.append(len(ids))
        return original(network, ids)

    original = links.next_logits
    monkeypatch.setattr(links, "rows_at_once", lambda model, length: block)
    monkeypatch.setattr(links, "next_logits", counted)
    again = figures(model)
    assert again.known == whole.known
    assert again.losses.model == pytest.approx(whole.losses.model, rel=1e-6)
    assert max(asked) <= block
    assert recall(model, GRAPH, FACTS, KNOWN, Silent()) == recalled


def test_nothing_to_score_and_logits_that_are_no_numbers_are_refused(model) -> None:
    for work in (figures, lambda network, rows: walk_losses(network, GRAPH, rows, Silent())):
        with pytest.raises(InputError):
            work(model, TEST[:0])
    model.lm_head.weight.data[FIRST] = math.nan
    with pytest.raises(NumericalError):
        figures(model)
