"""Each phase has the property its formula promises, in the tensors that are written."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from structinit_core.blueprint import Blueprint
from structinit_core.initializers.dpi.bases import manifold
from structinit_core.initializers.dpi.cosines import aliases, warped_cosines
from structinit_core.initializers.dpi.head import whitened
from structinit_core.initializers.dpi.lexical import sinusoids
from structinit_core.initializers.dpi.outputs import orthogonality_error
from structinit_core.linalg import generator


def flatness(matrix: torch.Tensor) -> float:
    """Smallest over largest singular value."""
    values = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
    return float(values[-1] / values[0])


DRAW = generator(0, "tests")


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(DRAW.standard_normal(shape)).float()


@pytest.mark.parametrize("variant", ["v14.1", "best"])
def test_entries_have_the_deviation_of_their_fan_in(make, variant: str) -> None:
    made = make(variant, scale="none", residual_gain=1.0)
    for layer in range(6):
        for name, part in made.parts(layer).items():
            assert float(part.std()) * part.shape[1] ** 0.5 == pytest.approx(1, rel=0.02), name


def test_s_dpi_divides_outputs_alone_by_the_depth(make) -> None:
    plain, scaled = (
        make("v14.1", calibration=False),
        make("v14.1", calibration=False, scale="s-dpi"),
    )
    one, other = plain.parts(0), scaled.parts(0)
    for name in ("o", "down"):
        torch.testing.assert_close(other[name] * math.sqrt(12), one[name])
    for name in ("q", "k", "v", "up"):
        assert torch.equal(one[name], other[name])


@pytest.mark.parametrize("orthogonal", ["qr", "fast"])
def test_outputs_are_isometries(make, orthogonal: str) -> None:
    made = make("v14.1", orthogonal=orthogonal, calibration=False)
    for layer in range(6):
        for name in ("o", "down"):
            matrix = made.parts(layer)[name]
            gram = matrix @ matrix.T
            torch.testing.assert_close(gram / gram[0, 0], torch.eye(32), atol=1e-4, rtol=0)
        assert made.facts[layer]["orthogonality_error"] < 1e-3
    gaussian = make("v14.1", orthogonal="none", calibration=False)
    assert gaussian.facts[0]["orthogonality_error"] > 0.3


def test_the_error_probe_tells_orthogonal_from_gaussian() -> None:
    square = torch.linalg.qr(noise(64, 64)).Q
    assert orthogonality_error(3 * square, generator(0, "probe")) < 1e-5
    assert orthogonality_error(square[:, :20], generator(0, "probe")) < 1e-5
    assert orthogonality_error(noise(64, 64), generator(0, "probe")) == pytest.approx(1, abs=0.2)
    wide = orthogonality_error(noise(64, 1024), generator(0, "probe"))
    assert wide == pytest.approx(0.25, abs=0.07)


def test_keys_are_orthogonal_at_mid_depth_only(make) -> None:
    # seven layers: the fourth stands exactly in the middle
    made = make("v14.1", network={"num_hidden_layers": 7}, calibration=False)
    error = [facts["key_orthogonality_error"] for facts in made.facts]
    assert error[3] < 1e-5
    assert min(error[:3]) > 0.01 < min(error[4:])
    assert max(error) in (error[0], error[1], error[5], error[6])
    gram = made.parts(3)["k"] @ made.parts(3)["k"].T
    torch.testing.assert_close(gram / gram[0, 0], torch.eye(32), atol=1e-4, rtol=0)


def test_without_signatures_queries_keys_and_values_are_orthogonal(make) -> None:
    made = make("v14.1", signatures=False)
    for layer in range(6):
        parts = made.parts(layer)
        for name in "qkv":
            gram = parts[name] @ parts[name].T
            torch.testing.assert_close(gram / gram[0, 0], torch.eye(32), atol=1e-4, rtol=0)
        assert abs(made.facts[layer]["alignment"]) < 0.2


def test_values_are_flatter_than_the_basis(make) -> None:
    compressed, full = make("v14.1"), make("v14.1", value_gamma=1.0)
    assert flatness(compressed.parts(0)["v"]) > 2 * flatness(full.parts(0)["v"])
    # rows are the principal directions of what enters the layer, scaled
    directions = manifold(full.first.stream.flatten(0, 1)).directions
    cosines = torch.nn.functional.cosine_similarity(full.parts(0)["v"], directions)
    assert cosines.min() > 0.999


def test_alignment_rises_and_falls_or_only_falls(make) -> None:
    falling = [facts["alignment"] for facts in make("v14.1", gamma0=0.0).facts]
    assert falling[0] > falling[3]
    arc = make("v16.2", phase_shift=1.0, network={"num_hidden_layers": 7}, align_peak=0.8)
    none = make("v16.2", phase_shift=1.0, network={"num_hidden_layers": 7}, align_peak=0.0)
    gain = [a["alignment"] - b["alignment"] for a, b in zip(arc.facts, none.facts, strict=True)]
    assert gain[0] == pytest.approx(0, abs=1e-5)
    assert gain[6] == pytest.approx(0, abs=0.2)
    assert max(range(7), key=gain.__getitem__) in (2, 3, 4)


def test_past_the_shift_keys_are_the_values_in_a_tensor_of_their_own(make) -> None:
    made = make("v16.2")
    for layer in range(6):
        parts = made.parts(layer)
        assert torch.equal(parts["k"], parts["v"]) == (layer >= 3)
    assert "keys_are_values" not in made.facts[2]
    assert made.facts[3]["keys_are_values"] == 1
    llama = make("v16.2", "llama").tensors
    one, other = (llama[f"model.layers.4.self_attn.{x}_proj.weight"] for x in "kv")
    assert torch.equal(one, other)
    assert one.data_ptr() != other.data_ptr()


def test_gamma_sets_the_spectrum_of_the_basis() -> None:
    rows = noise(4000, 8) * torch.logspace(0, -1, 8)
    found = manifold(rows)
    values = torch.linalg.svdvals(found.basis(0.25))
    wanted = (rows.std(dim=0) ** 2) ** 0.25
    torch.testing.assert_close(values, wanted.sort(descending=True).values, rtol=0.05, atol=0)
    torch.testing.assert_close(
        found.directions @ found.directions.T, torch.eye(8), atol=1e-5, rtol=0
    )
    top = found.directions.abs().argmax(dim=1)
    assert (found.directions[torch.arange(8), top] > 0).all()


def test_more_directions_than_activations_are_finite() -> None:
    found = manifold(noise(5, 16))
    assert torch.isfinite(found.basis(-0.5)).all()
    assert found.variances[4:].max() < 1e-5 * found.variances[0]


@pytest.mark.parametrize("warp", [1.0, 1.4, 0.7])
def test_cosines_follow_the_published_formula_without_its_aliases(warp: float) -> None:
    width, rows = 20, 80
    basis = warped_cosines(rows, width, warp)
    for i, j in ((0, 0), (3, 7), (19, 19), (11, 2)):
        place = width * (j / width) ** warp
        wanted = math.sqrt(2 / width) * math.cos(math.pi / width * (place + 0.5) * i)
        assert float(basis[i, j]) == pytest.approx(wanted, abs=1e-5)
    published = np.cos(
        np.pi / width * np.outer(np.arange(rows), width * (np.arange(width) / width) ** warp + 0.5)
    )
    lengths = np.linalg.norm(published, axis=1)
    if warp == 1.0:
        assert np.flatnonzero(lengths < 1e-9).tolist() == [20, 60]
    assert basis.norm(dim=1).min() > 0.3
    cosines = torch.nn.functional.normalize(basis) @ torch.nn.functional.normalize(basis).T
    assert (cosines - torch.eye(rows)).abs().max() < 0.999


def test_unwarped_bands_are_orthogonal() -> None:
    for band in warped_cosines(64, 16, 1.0).split(16):
        gram = band @ band.T
        off = gram - torch.diag(gram.diagonal())
        assert off.abs().max() < 1e-5
    assert aliases(64, 16) == 48
    assert aliases(10, 16) == 0


def test_the_first_layer_leans_on_cosines_and_the_middle_on_the_basis(make) -> None:
    made = make("v14.1", calibration=False)
    cosines = warped_cosines(128, 32, 1.0)

    def share(layer: int) -> float:
        up = made.parts(layer)["up"]
        return float(torch.nn.functional.cosine_similarity(up.flatten(), cosines.flatten(), 0))

    assert share(0) > 0.9
    assert share(0) > share(1) > share(2)
    assert abs(share(3)) < 0.35


def test_sinusoids_turn_by_the_same_angle_everywhere(blueprint: Blueprint) -> None:
    table = sinusoids(blueprint)
    assert table.shape == (32, 32)
    gram = table @ table.T
    for step in (1, 5):
        diagonal = gram.diagonal(step)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=0)
    assert float(table.square().mean()) == pytest.approx(0.5)


def test_whitening_makes_logits_those_of_a_white_stream() -> None:
    stream = noise(3000, 6) @ noise(6, 6) + 2
    head = noise(40, 6)
    changed = whitened(head, stream)
    white = (stream - stream.mean(dim=0)) @ manifold(stream).whitener(1e-5)
    torch.testing.assert_close(white.T @ white / 2999, torch.eye(6), atol=1e-2, rtol=0)
    ours = (stream - stream.mean(dim=0)) @ changed.T
    theirs = white @ (head - stream.mean(dim=0)).T
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
