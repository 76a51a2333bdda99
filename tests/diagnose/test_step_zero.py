"""What a batch says of a start: verdicts that hold before training, and their numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from structinit_core.blueprint import make_blueprint
from structinit_core.diagnose import (
    METRICS,
    Check,
    Grid,
    Series,
    bucket_checks,
    gradient_findings,
    induction_checks,
    signal_findings,
    signal_notes,
)
from structinit_core.model import Boundary, Bucket, Induction, Signal
from structinit_core.model.signal import Moments

CONFIG: dict[str, Any] = {
    "model_type": "gpt2",
    "vocab_size": 9,
    "n_embd": 4,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 8,
}
BLUEPRINT = make_blueprint(CONFIG)


def moments(mean: float, variance: float, largest: float = 1.0) -> Moments:
    return Moments(1, mean, variance + mean**2, largest)


def made(
    *variances: float, largest: float = 1.0, entropy: float = 0.5, loss: float = 2.0
) -> Signal:
    places = [Boundary(str(i), i, moments(0.5, v, largest)) for i, v in enumerate(variances)]
    final = Boundary("after final norm", len(variances), moments(0, 1))
    shares = np.full((2, 2), entropy)
    return Signal(tuple(places), final, shares, moments(3, 16, 9.0), loss)


def checks_of(signal: Signal) -> dict[str, Check]:
    found = [one for one in signal_findings(signal, BLUEPRINT) if isinstance(one, Check)]
    assert {check.name for check in found} <= METRICS.keys()
    return {check.name: check for check in found if check.tensor is None}


def test_an_ordinary_start_has_no_warning() -> None:
    found = checks_of(made(1e-3, 2e-3, 3e-3, 4e-3, 5e-3, entropy=1.0))
    assert {check.verdict for check in found.values()} == {"ok", "info"}
    assert found["variance_growth"].value == pytest.approx(5 / 3)
    assert found["variance_least"].value == pytest.approx(1e-3)
    assert found["logit_mean"].value == 3
    assert found["logit_rms"].value == 5
    assert found["logit_max"].value == 9


@pytest.mark.parametrize(
    ("signal", "name"),
    [
        (made(1, 1, 1, 30, 41), "variance_growth"),
        (made(1, 1, 1, 1e-6, 1), "variance_least"),
        (made(1, 1, 1, 1, 1, largest=65505), "activation_max"),
    ],
)
def test_explosion_collapse_and_overflow_warn(signal: Signal, name: str) -> None:
    verdicts = {check.name: check.verdict for check in checks_of(signal).values()}
    assert {which for which, verdict in verdicts.items() if verdict == "warn"} == {name}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_fails_and_is_no_number(bad: float) -> None:
    for signal in (made(1, 1, 1, 1, bad), made(1, 1, 1, 1, 1, loss=bad)):
        found = checks_of(signal)
        assert found["loss.batch"].verdict == "fail"
        assert all("nan" not in check.model_dump_json().lower() for check in found.values())


def test_curves_and_the_grid_of_attention() -> None:
    found = list(signal_findings(made(1, 2, 3, 4, 5, entropy=0.25), BLUEPRINT))
    (curve,) = [s for s in found if isinstance(s, Series) and s.name == "activation_variance"]
    assert curve.places() == (1, 2, 3, 4, 5)
    assert curve.values == pytest.approx((1, 2, 3, 4, 5))
    (grid,) = [one for one in found if isinstance(one, Grid)]
    assert grid.rows == ((0.25, 0.25), (0.25, 0.25))
    heads = [c.tensor for c in found if isinstance(c, Check) and c.name == "attention_entropy"]
    assert heads[:3] == ["layer 0", "layer 0 head 0", "layer 0 head 1"]


def test_attention_at_its_ends_is_explained_and_not_judged() -> None:
    (uniform,) = signal_notes(made(1, 1, 1, 1, 1, entropy=0.995))
    (single,) = signal_notes(made(1, 1, 1, 1, 1, entropy=0.001))
    assert "4 of 4 heads: normal before training" in uniform
    assert "by design" in single
    assert signal_notes(made(1, 1, 1, 1, 1, entropy=0.5)) == []


class Parameters(torch.nn.Module):
    """Parameters under the blueprint's names with gradients of ones, scaled by layer."""

    def __init__(self, scales: tuple[float, float]) -> None:
        super().__init__()
        self.named: dict[str, torch.nn.Parameter] = {}
        for spec in BLUEPRINT.tensors:
            if spec.tied_to is None:
                parameter = torch.nn.Parameter(torch.zeros(spec.shape))
                scale = 1.0 if spec.layer is None else scales[spec.layer]
                parameter.grad = torch.full(spec.shape, scale)
                self.named[spec.name] = parameter

    def named_parameters(self, *_: Any, **__: Any) -> Any:
        return iter(self.named.items())


def gradients(*scales: float) -> list[Check | Series | Grid]:
    model = Parameters((scales[0], scales[1]))
    return list(gradient_findings(model, BLUEPRINT, {"transformer.wte.weight": "wte.weight"}))


def test_norms_of_fused_parts_layers_and_roles() -> None:
    found = gradients(1.0, 3.0)
    norms = {c.tensor: c.value for c in found if isinstance(c, Check)}
    assert norms["wte.weight"] == 6  # 9 tokens × 4, all ones
    assert norms["transformer.h.1.attn.c_attn.weight[attn_k]"] == 12  # 3 × √(4 × 4)
    assert norms["embed"] == pytest.approx(math.sqrt(36 + 32))
    assert norms["layer 1"] == pytest.approx(3 * float(norms["layer 0"]))  # type: ignore[arg-type]
    curves = {s.name: s for s in found if isinstance(s, Series)}
    assert curves["gradient_norm.attn_q"].values == pytest.approx((4, 12))
    assert curves["gradient_norm"].values == pytest.approx((norms["layer 0"], norms["layer 1"]))


@pytest.mark.parametrize(("second", "verdict"), [(1.0, "ok"), (0.0, "warn"), (1e-5, "warn")])
def test_layers_without_a_gradient_warn(second: float, verdict: str) -> None:
    checks = [c for c in gradients(1.0, second) if isinstance(c, Check)]
    assert ("warn" in {check.verdict for check in checks}) == (verdict == "warn")


def test_buckets_and_induction() -> None:
    low = Bucket(low=1, high=10, tokens=3, loss=5.0)
    checks = bucket_checks([low, Bucket(low=100000, high=None, tokens=4, loss=2.0)])
    assert [(c.name, c.value) for c in checks[:2]] == [("loss.bucket", 5.0), ("scored", 3)]
    assert checks[0].tensor == "tokens seen 1 to 9 times"
    assert checks[-1].tensor == "tokens seen 100,000 times or more"
    score = induction_checks(Induction(first=6.0, second=2.5))[-1]
    assert (score.name, score.value, score.verdict) == ("induction.score", 3.5, "info")
    assert {check.name for check in checks} | {score.name} <= METRICS.keys()
