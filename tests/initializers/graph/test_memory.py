from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from structinit_core.graph import Graph, directed, fit_paths
from structinit_core.initializers.graph import GraphTokens, Keys, at_home, choose_keys, memory
from structinit_core.linalg import generator

CPU = torch.device("cpu")


def _wanted(keys: int, objects: int, each: int) -> sp.csr_array:
    draw = generator(0, "wanted")
    rows = [np.sort(draw.choice(objects, each, replace=False)) for _ in range(keys)]
    data = draw.uniform(5, 12, keys * each).astype(np.float32)
    indptr = np.arange(keys + 1) * each
    return sp.csr_array((data, np.concatenate(rows), indptr), shape=(keys, objects))


def _codes(found: memory.Answers, objects: int) -> torch.Tensor:
    """The codes of all objects."""
    codes = torch.zeros(objects, found.codes.shape[1])
    codes[torch.from_numpy(found.objects)] = found.codes
    return codes


@pytest.mark.parametrize("each", [2, 40])
def test_values_are_the_weighted_ridge_solution(each: int) -> None:
    wanted, width = _wanted(3, 60, each), 16
    known = np.arange(wanted.nnz) % 3 > 0
    found = memory.fit_answers(wanted, known, width, 0, CPU)
    codes = _codes(found, 60).double().numpy()
    gram = min(memory._ELSEWHERE / 60, memory._AT_EACH) * codes.T @ codes
    gram += memory._RIDGE * np.trace(gram) / width * np.eye(width)
    for key in range(3):
        row = slice(wanted.indptr[key], wanted.indptr[key + 1])
        weight = np.where(known[row], 1, memory._PREDICTED)[:, None]
        of = codes[wanted.indices[row]]
        exact = np.linalg.solve(
            gram + of.T @ (weight * of), of.T @ (weight[:, 0] * wanted.data[row])
        )
        np.testing.assert_allclose(found.values[key].numpy(), exact, rtol=2e-3, atol=2e-3)


def test_what_is_stored_comes_out_on_top() -> None:
    wanted = _wanted(300, 400, 3)
    found = memory.fit_answers(wanted, np.ones(wanted.nnz, np.bool_), 96, 0, CPU)
    top = torch.topk(found.values @ _codes(found, 400).T, 3).indices.sort(dim=1).values
    assert (top.numpy() == wanted.indices.reshape(300, 3)).mean() > 0.99


def test_one_value_reaches_all_objects_of_a_hub() -> None:
    hub = sp.csr_array(np.where(np.arange(400) < 120, 10.0, 0.0)[None].astype(np.float32))
    wanted = sp.csr_array(sp.vstack((hub, _wanted(50, 400, 2))))
    found = memory.fit_answers(wanted, np.ones(wanted.nnz, np.bool_), 64, 0, CPU)
    top = torch.topk(found.values[0] @ _codes(found, 400).T, 120).indices
    assert int((top < 120).sum()) >= 115


def test_only_objects_of_keys_have_codes() -> None:
    wanted = _wanted(5, 60, 2)
    found = memory.fit_answers(wanted, np.ones(wanted.nnz, np.bool_), 16, 0, CPU)
    assert found.objects.tolist() == np.unique(wanted.indices).tolist()
    assert found.codes.any(dim=1).all()


def test_more_particles_change_no_code() -> None:
    wanted = _wanted(5, 60, 2)
    wider = sp.csr_array((wanted.data, wanted.indices, wanted.indptr), shape=(5, 90))
    known = np.ones(wanted.nnz, np.bool_)
    codes = [memory.fit_answers(each, known, 16, 0, CPU).codes for each in (wanted, wider)]
    assert torch.equal(*codes)


def test_keys_hold_every_link_both_ways_and_then_what_paths_predict(family: Graph) -> None:
    tokens = GraphTokens(len(family.relations), len(family.particles))
    links = directed(family)
    model = fit_paths(links)
    keys = choose_keys(family, model, tokens, 500, family.weight)
    relation = (keys.own - 1) // 2 + tokens.relations * ((keys.own - 1) % 2)
    subject = keys.before - tokens.first_particle
    stored = set()
    for key in range(len(keys)):
        row = slice(keys.objects.indptr[key], keys.objects.indptr[key + 1])
        objects, chance, known = (
            part[row] for part in (keys.objects.indices, keys.objects.data, keys.known)
        )
        mine = links.objects(int(subject[key]), int(relation[key]))
        assert set(objects[known].tolist()) == set(mine.tolist())
        stored.update((subject[key], relation[key], o) for o in mine)
        if known.any() and not known.all():
            assert chance[~known].max() <= chance[known].min() * np.exp(-0.99)
        assert keys.others[key] > 0
    assert len(stored) == 2 * len(family)
    assert not keys.known[-1]


def test_the_most_valuable_links_are_stored_first(family: Graph) -> None:
    tokens = GraphTokens(len(family.relations), len(family.particles))
    value = np.zeros(len(family))
    value[7] = 1.0
    keys = choose_keys(family, None, tokens, 2, value)
    assert len(keys) == 2
    ends = {int(family.subject[7]), int(family.object[7])}
    assert set((keys.before - tokens.first_particle).tolist()) == ends
    assert keys.known.all()


def _short(keys: int, particles: int) -> Keys:
    """Keys of 1 to 60 objects, the most first."""
    draw = generator(0, "short")
    counts = np.sort(np.minimum(draw.zipf(1.6, keys), 60))[::-1]
    rows = [draw.choice(particles, count, replace=False) for count in counts]
    cells = np.repeat(np.arange(keys), counts), np.concatenate(rows)
    objects = sp.coo_array((np.full(counts.sum(), 0.9), cells), shape=(keys, particles)).tocsr()
    known = draw.random(objects.nnz) < 0.95
    return Keys(np.arange(keys), np.ones(keys, int), objects, np.full(keys, 0.01), known)


def _named(keys: Keys) -> list[tuple[int, int]]:
    """Key, by its token, and object of each entry."""
    row = np.repeat(np.arange(len(keys)), np.diff(keys.objects.indptr))
    return list(zip(keys.before[row].tolist(), keys.objects.indices.tolist(), strict=True))


def test_an_object_is_at_home_in_the_first_key_of_several_that_knows_it() -> None:
    keys = _short(400, 900)
    facts = [cell for cell, known in zip(_named(keys), keys.known, strict=True) if known]
    counts = np.bincount([key for key, _ in facts], minlength=400)
    home = {}
    for key, object_ in facts:
        if counts[key] > 1:
            home.setdefault(object_, key)
    expected = {(k, o) for k, o in facts if counts[k] == 1 or home[o] == k}
    held = at_home(keys)
    assert len(expected) < len(facts)
    assert set(_named(held)) == expected
    assert held.known.all()
    assert len(held.others) == len(held) == len(set(held.before))


def test_a_short_width_holds_all_that_is_at_home() -> None:
    keys, width = at_home(_short(3000, 5000)), 32
    assert memory.crowded(width, 5000)
    wanted = sp.csr_array(keys.objects, dtype=np.float32)
    wanted.data[:] = 20.0
    found = memory.fit_answers(wanted, keys.known, width, 0, CPU)
    products = found.values @ _codes(found, 5000).T
    key = np.repeat(np.arange(len(keys)), np.diff(wanted.indptr))
    own = products[key, wanted.indices]
    place = (products[key] >= own[:, None] - 1e-4).sum(dim=1).numpy()
    assert (place <= np.diff(wanted.indptr)[key]).mean() > 0.99


def test_crosstalk_is_added_to_every_object_of_a_key_alike() -> None:
    wanted, width = _wanted(20, 60, 3), 50
    lifted = memory.with_crosstalk(wanted, width)
    added = (lifted.data - wanted.data).reshape(20, 3)
    np.testing.assert_allclose(added, added[:, :1].repeat(3, axis=1), atol=1e-4)
    longest = wanted.data.reshape(20, 3).max(axis=1)
    grown = longest + added[:, 0]
    least = np.maximum(longest, np.log(memory._ODDS * 60))
    np.testing.assert_allclose(grown - grown**2 / (2 * width), least, atol=1e-3)
    assert (grown >= np.log(60)).all()
