"""Every switch changes what it names, and what follows from it, and nothing before it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from structinit_core.errors import UsageError
from structinit_core.initializers.dpi import VARIANTS, choose

HEAD = "lm_head.weight"
EMBED = "transformer.wte.weight"


def changed(one: Any, other: Any) -> set[str]:
    return {name for name in one.tensors if not torch.equal(one.tensors[name], other.tensors[name])}


def of_layer(names: set[str], layer: int) -> set[str]:
    start = f"transformer.h.{layer}."
    return {name.removeprefix(start) for name in names if name.startswith(start)}


ATTENTION, OUT = "attn.c_attn.weight", "attn.c_proj.weight"
UP, DOWN = "mlp.c_fc.weight", "mlp.c_proj.weight"


@pytest.mark.parametrize(
    ("changes", "first", "second"),
    [
        ({"zipf_warp": 1.4}, {UP}, {ATTENTION, UP}),
        ({"dct": False}, {UP}, {ATTENTION, UP}),
        ({"signatures": False}, {ATTENTION}, {ATTENTION, UP}),
        ({"gamma0": 0.5}, {ATTENTION, UP}, {ATTENTION, UP}),
        ({"gamma_dip": 0.1}, set(), {ATTENTION, UP}),
        ({"value_gamma": 1.0}, {ATTENTION}, {ATTENTION, UP}),
        ({"key_orthogonality": 0.0}, set(), {ATTENTION}),
        ({"unit_keys": True}, set(), {ATTENTION}),
        ({"align_peak": 0.2}, {ATTENTION}, {ATTENTION, UP}),
        ({"phase_shift": 0.2}, set(), {ATTENTION}),
        ({"up_noise": 0.3}, set(), {UP}),
        ({"orthogonal": "fast"}, {OUT, DOWN}, {ATTENTION, OUT, UP, DOWN}),
        ({"scale": "s-dpi"}, {OUT, DOWN}, {ATTENTION, OUT, UP, DOWN}),
        ({"residual_gain": 0.5}, {OUT, DOWN}, {ATTENTION, OUT, UP, DOWN}),
        ({"morph_alpha": 0.4}, set(), {ATTENTION, UP}),
        ({"calibration": True}, {"ln_1.weight", "ln_2.weight"}, None),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_a_switch_changes_its_part(
    make, changes: dict[str, Any], first: set[str], second: set[str] | None
) -> None:
    plain = make("v14.1", calibration=False)
    other = make("v14.1", **({"calibration": False} | changes))
    names = changed(plain, other)
    assert of_layer(names, 0) == first
    if second is not None:
        assert of_layer(names, 1) == second
    assert names.isdisjoint({EMBED, HEAD, "transformer.wpe.weight"})


@pytest.mark.parametrize("switch", ["whitening", "zero_wait"])
def test_head_switches_change_the_head_alone(make, switch: str) -> None:
    plain, other = make("v14.1"), make("v14.1", **{switch: True})
    assert changed(plain, other) == {HEAD}


def test_the_lexical_choice_changes_everything_but_outputs(make) -> None:
    plain, other = (
        make("v14.1", calibration=False),
        make("v14.1", lexical="exact", calibration=False),
    )
    names = changed(plain, other)
    assert EMBED in names
    assert of_layer(names, 0) == {ATTENTION, UP}


def test_morph_is_exponential_smoothing_over_depth(make) -> None:
    half = make("v14.1", morph_alpha=0.5, calibration=False)
    whole = make("v14.1", morph_alpha=1.0, calibration=False)
    for name in ("q", "up"):
        first = whole.parts(0)[name]
        assert all(torch.equal(whole.parts(layer)[name], first) for layer in range(6))
    assert not torch.equal(half.parts(1)["q"], whole.parts(1)["q"])
    assert not torch.equal(whole.parts(1)["k"], whole.parts(0)["k"])


def test_bands_of_pid8_are_one_technique_each(make) -> None:
    made = make("pid8", network={"num_hidden_layers": 8}, morph_alpha=0.0, calibration=False)
    plain = {
        layer: {n for n, p in made.parts(layer).items() if abs(float(p.std()) - 0.02) < 0.002}
        for layer in range(8)
    }
    every = {"q", "k", "v", "o", "up", "down"}
    assert plain[0] == plain[1] == every - {"up"}
    assert plain[2] == plain[3] == every - {"q", "up"}
    assert plain[4] == plain[5] == {"o", "down"}
    assert plain[6] == every - {"o", "down"}
    assert plain[7] == every
    assert torch.equal(made.parts(4)["k"], made.parts(4)["v"])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_seeds_decide_every_draw_and_nothing_else_does(make, variant: str, family: str) -> None:
    import numpy as np

    found = []
    for state in (1, 2):
        np.random.seed(state)  # noqa: NPY002
        torch.manual_seed(state)
        found.append(make(variant, family))
    assert changed(*found) == set()
    other = make(variant, family, seed=5)
    matrices = {name for name, t in other.tensors.items() if t.ndim == 2 and t.std() > 0}
    assert {name for name in matrices if "down" in name or "mlp.c_proj" in name} <= changed(
        found[0], other
    )


@pytest.mark.parametrize(
    ("variant", "changes", "complaint"),
    [
        ("v15", {}, "no variant"),
        ("v14.1", {"gamma0": 9.0}, "gamma0"),
        ("v14.1", {"phase_shift": -0.1}, "phase_shift"),
        ("v14.1", {"lexical": "none"}, "lexical"),
        ("pid8", {"align_peak": 0.4}, "align_peak changes nothing"),
        ("v14.1", {"signatures": False, "align_peak": 0.4}, "align_peak changes nothing"),
        ("best", {"zero_wait": False}, "phases 0 and 4"),
        ("v14.1", {"zipf_warp": float("nan")}, "zipf_warp"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    variant: str, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        choose(variant, **changes)


def test_changes_equal_to_the_table_are_the_table() -> None:
    assert choose("v16.2", phase_shift=0.5) == VARIANTS["v16.2"]
