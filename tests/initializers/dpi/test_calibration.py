from __future__ import annotations

import pytest
import torch

from structinit_core.initializers.dpi.calibration import calibrated_gain
from structinit_core.initializers.dpi.settings import Calibration
from structinit_core.linalg import generator


def stream(scale: float = 1.0) -> torch.Tensor:
    drawn = generator(0, "calibration").standard_normal((60, 16, 8))
    return scale * torch.from_numpy(drawn).float()


def branch(part: torch.Tensor, gain: float) -> torch.Tensor:
    """A layer whose branch does what a homogeneous one would: it scales with its gain."""
    return part + gain * 2 * torch.roll(part, 1, -1) / part.std()


def test_measured_at_the_output_the_variance_becomes_the_target() -> None:
    rule = Calibration(rounds=30, batches=1, at_output=True)
    gain = calibrated_gain(rule, 1.0, branch, stream(0.3))
    assert float(branch(stream(0.3), gain).var()) == pytest.approx(1, abs=0.05)


def test_a_target_below_the_stream_is_not_reached() -> None:
    rule = Calibration(rounds=30, batches=1, at_output=True)
    gain = calibrated_gain(rule, 1.0, branch, stream(2.0))
    assert gain < 1e-3
    assert float(branch(stream(2.0), gain).var()) > 3.5


def test_at_the_input_the_gain_is_one_over_its_deviation_within_bounds() -> None:
    def unused(part: torch.Tensor, gain: float) -> torch.Tensor:
        raise AssertionError("nothing is run")

    rule = Calibration(rounds=1, batches=11, at_output=False, low=0.1, high=2.0)
    assert calibrated_gain(rule, 1.0, unused, stream(4.0)) == pytest.approx(0.25, rel=0.02)
    assert calibrated_gain(rule, 1.0, unused, stream(0.01)) == 2.0
    assert calibrated_gain(rule, 1.0, unused, stream(100.0)) == 0.1


def test_gains_are_written_and_their_effect_is_measured(make) -> None:
    made = make("v16.2")
    plain = make("v16.2", calibration=False)
    for layer, facts in enumerate(made.facts):
        for norm in ("ln_1", "ln_2"):
            gains = made.tensors[f"transformer.h.{layer}.{norm}.weight"]
            assert float(gains.min()) == float(gains.max()) == pytest.approx(facts["gain"])
            assert (plain.tensors[f"transformer.h.{layer}.{norm}.weight"] == 1).all()
        assert facts["variance_after"] != facts["variance_before"]
        assert "gain" not in plain.facts[layer]
        assert plain.facts[layer]["variance_after"] == plain.facts[layer]["variance_before"]
    first = made.facts[0]
    before, after = (
        abs(first[name] - first["variance_target"])
        for name in ("variance_before", "variance_after")
    )
    assert after < before
    targets = [facts["variance_target"] for facts in made.facts]
    assert max(range(6), key=targets.__getitem__) == 3
