from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from structinit_core.blueprint import make_blueprint, read_config
from structinit_core.cooc import KneserNey, TrigramRows
from structinit_core.initializers.closed_form import codes as codes_module
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.layout import place
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.pair_contexts import PairContexts, pair_contexts
from structinit_core.initializers.closed_form.parts import Units
from structinit_core.initializers.closed_form.reading import (
    Reading,
    Residual,
    left_over,
    read_by_head,
)
from structinit_core.initializers.closed_form.readouts import (
    damped,
    keyed,
    newton_step,
    stream_after,
)
from structinit_core.initializers.closed_form.refit import sparse
from structinit_core.initializers.closed_form.sampled_moments import SampledMoments
from structinit_core.linalg import generator
from structinit_core.model import read_wiring

FIXTURES = Path(__file__).parents[2] / "fixtures" / "configs"
GATED = {
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}


@pytest.fixture(params=["gpt2", "llama"])
def network(request: pytest.FixtureRequest, codes: LogBilinear, tmp_path: Path) -> Network:
    """The bigram in a model with biases, and in one with gates and none."""
    path = FIXTURES / "gpt2-d64-l2.json"
    if request.param == "llama":
        path = tmp_path / "config.json"
        path.write_text(json.dumps(GATED))
    blueprint = make_blueprint(read_config(path))
    return Network(place(codes, blueprint, 0), blueprint, read_wiring(blueprint))


@pytest.fixture
def pairs(network: Network, smoothed: KneserNey) -> PairContexts:
    columns = read_by_head(network, smoothed.vocabulary).columns
    return pair_contexts(TrigramRows(smoothed), columns, 500, seed=0, size=1500)


def drawing(model: KneserNey, size: int) -> SampledMoments:
    direct = sparse(model.direct(), torch.device("cpu"))
    return SampledMoments(direct, model.unigram, size, generator(0, "columns"))


def test_the_residual_is_autograds(
    network: Network,
    pairs: PairContexts,
    smoothed: KneserNey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slope and curvature of the target's cross-entropy, in blocks, the norm held still."""
    reading = read_by_head(network, smoothed.vocabulary)
    hidden = stream_after(network, pairs.ids)
    monkeypatch.setattr(codes_module, "BLOCK_ELEMENTS", 100 * smoothed.vocabulary)
    left = left_over(network, hidden, reading, pairs)
    rank = reading.basis.shape[1] - 1
    normed = network.normalised(hidden)
    scale = (normed @ reading.basis[:, 0]) / (hidden @ reading.basis[:, 0])
    added = torch.zeros(len(hidden), rank, requires_grad=True)
    moved = torch.cat((scale[:, None] * added, torch.zeros(len(hidden), 1)), dim=1)
    states = reading.of(normed) + moved
    losses = torch.logsumexp(states @ reading.columns.T, dim=1) - (states * pairs.target).sum(1)
    (slope,) = torch.autograd.grad(losses.sum(), added, create_graph=True)
    torch.testing.assert_close(left.slope, -slope.detach(), atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(left.loss, losses.detach(), atol=1e-5, rtol=1e-4)
    rows = [
        torch.autograd.grad((slope[:, i] * pairs.weight).sum(), added, retain_graph=True)[0].sum(0)
        for i in range(rank)
    ]
    torch.testing.assert_close(left.curvature, torch.stack(rows), atol=1e-5, rtol=1e-3)


def test_all_columns_drawn_leave_the_exact_residual(
    network: Network, pairs: PairContexts, smoothed: KneserNey
) -> None:
    reading = read_by_head(network, smoothed.vocabulary)
    hidden = stream_after(network, pairs.ids)
    exact = left_over(network, hidden, reading, pairs)
    found = left_over(network, hidden, reading, pairs, drawing(smoothed, smoothed.vocabulary))
    for ours, theirs in zip(vars(found).values(), vars(exact).values(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_drawn_columns_leave_the_residual_within_the_stated_error(
    network: Network, pairs: PairContexts, smoothed: KneserNey
) -> None:
    """One draw is off by what it says, many average to the exact slopes and curvature."""
    reading = read_by_head(network, smoothed.vocabulary)
    hidden = stream_after(network, pairs.ids)
    exact, drawn = left_over(network, hidden, reading, pairs), drawing(smoothed, 128)
    calls, squares, stated = [], [], []
    for _ in range(60):
        calls.append(left_over(network, hidden, reading, pairs, drawn))
        squares.append(float(pairs.weight @ (calls[-1].loss - exact.loss).square()))
        stated.append(drawn.error**2)
    assert np.mean(squares) == pytest.approx(np.mean(stated), rel=0.4)
    for name in ("slope", "curvature"):
        theirs = getattr(exact, name)
        off = torch.stack([getattr(each, name) - theirs for each in calls])
        one = float(off.flatten(1).norm(dim=1).mean() / theirs.norm())
        assert 0 < one < 0.5
        assert float(off.mean(dim=0).norm() / theirs.norm()) < 0.3 * one


def test_the_targets_are_the_trigram_as_the_head_sees_it(
    network: Network, pairs: PairContexts, smoothed: KneserNey
) -> None:
    reading, rows = read_by_head(network, smoothed.vocabulary), TrigramRows(smoothed)
    heaviest = int(pairs.weight.argmax())
    at = int(np.argmax(rows.mass))
    assert pairs.ids[heaviest, 1:].tolist() == [rows.first[at], rows.second[at]]
    p = torch.from_numpy(rows.dense(np.array([at]))[0]).float()
    torch.testing.assert_close(pairs.target[heaviest], p @ reading.columns, atol=1e-4, rtol=1e-4)
    kept = torch.isfinite(pairs.spread)
    assert int(kept.sum()) == 500
    assert pairs.weight[kept].min() >= pairs.weight[~kept].max()


def test_a_newton_step_solves_its_normal_equations() -> None:
    draw = torch.Generator().manual_seed(0)
    active, slope = (torch.randn(50, n, generator=draw, dtype=torch.float64) for n in (6, 4))
    weight = torch.full((50,), 0.02, dtype=torch.float64)
    curvature = slope.T @ slope
    left = Residual(slope, curvature, weight)
    gram = (active * weight[:, None]).T @ active
    step = newton_step(active, left, weight, torch.linalg.cholesky(gram))
    ridge = 0.1 * curvature.diagonal().mean() * torch.eye(4)
    torch.testing.assert_close(gram @ step @ (curvature + ridge), active.T @ (slope * 0.02))


def test_a_unit_opens_on_its_own_pair(network: Network, pairs: PairContexts) -> None:
    chosen = torch.arange(0, 1500, 100)
    part = keyed(network, pairs, chosen, 0)
    normed = network.normalised(stream_after(network, pairs.ids, 0))
    active = network.activated(part, normed)
    own = active[chosen].diagonal()
    assert (own > 2).all()
    assert (active.clamp(min=0).mean(dim=0) < 0.25 * own).all()


def test_cuda_tensors_never_meet_cpu_tensors(network: Network, smoothed: KneserNey) -> None:
    """Device mixing raises under FakeTensorMode, without a GPU."""
    drawn, tokens = drawing(smoothed, 64), smoothed.vocabulary
    with FakeTensorMode():
        on = {"device": "cuda"}
        width, rank = network.blueprint.width, 8
        basis, columns = torch.empty(width, rank + 1, **on), torch.empty(tokens, rank + 1, **on)
        reading = Reading(basis, columns, torch.empty(width, **on))
        ids = torch.zeros(40, 3, dtype=torch.int64, **on)
        weight, target = torch.empty(40, **on), torch.empty(40, rank + 1, **on)
        hidden = torch.empty(40, width, **on)
        pairs = PairContexts(ids, weight, target, weight)
        drawn.counts = torch.zeros(tokens, dtype=torch.int64, **on)
        drawn.column = torch.zeros(tokens, 64, dtype=torch.int64, **on)
        assert left_over(network, hidden, reading, pairs, drawn).curvature.is_cuda
        left = left_over(network, hidden, reading, pairs)
        up = torch.empty(5, width, **on)
        part = Units(1, up, up.T, up if network.blueprint.gated else None)
        active = network.activated(part, network.normalised(hidden))
        step = newton_step(active, left, weight, damped(active.T @ active, 0.1))
        assert step.is_cuda
        assert step.shape == (5, rank)
