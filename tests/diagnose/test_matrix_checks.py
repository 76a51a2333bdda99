"""Metrics of spectra that are known beforehand: orthogonal, rank one, Gaussian, power law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from structinit_core.diagnose.bulk import fit_bulk
from structinit_core.diagnose.spectrum import Spectrum, spectrum
from structinit_core.diagnose.tail import FEWEST, fit_tail

CPU = torch.device("cpu")


def gaussian(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def of_squares(squares: np.ndarray, long: int) -> Tensor:
    """A matrix (long × len(squares)) whose WᵀW has these eigenvalues."""
    rng = np.random.default_rng(1)
    left = np.linalg.qr(rng.standard_normal((long, len(squares))))[0]
    right = np.linalg.qr(rng.standard_normal((len(squares), len(squares))))[0]
    return torch.from_numpy((left * np.sqrt(squares)) @ right.T)


def values(checks: dict) -> dict[str, float]:
    return {name: check.value for name, check in checks.items()}


@pytest.mark.parametrize("scale", [1.0, 0.02, 300.0])
def test_orthonormal_columns(checks_of, scale: float) -> None:
    matrix = scale * torch.linalg.qr(gaussian(90, 60).double())[0]
    found = values(checks_of(matrix))
    assert found["orthogonality_error"] == pytest.approx(0, abs=1e-9)
    assert found["condition"] == pytest.approx(1)
    assert found["effective_rank"] == pytest.approx(60)
    assert found["matrix_rank"] == 60
    assert found["entropy"] == pytest.approx(1)
    assert found["alpha_flag"] == "all equal"
    assert "alpha" not in found


def test_rank_one(checks_of) -> None:
    found = values(checks_of(torch.outer(torch.arange(1.0, 9), torch.arange(1.0, 6))))
    assert (found["matrix_rank"], found["rank_loss"]) == (1, 4)
    assert found["effective_rank"] == pytest.approx(1)
    assert found["condition"] is None
    assert found["alpha_flag"] == "too few eigenvalues"
    assert "lambda_plus" not in found


def test_metrics_are_those_of_numpy(checks_of) -> None:
    matrix = gaussian(70, 50) * torch.linspace(0.1, 3, 50)
    singular = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
    shares, squares = singular / singular.sum(), singular**2
    found = values(checks_of(matrix))
    assert (found["N"], found["M"], found["Q"]) == (70, 50, 1.4)
    assert found["condition"] == pytest.approx(singular[0] / singular[-1])
    assert found["effective_rank"] == pytest.approx(math.exp(-(shares * np.log(shares)).sum()))
    assert found["log_norm"] == pytest.approx(math.log10(squares.sum()))
    assert found["log_spectral_norm"] == pytest.approx(math.log10(squares[0]))
    share = squares / squares.sum()
    assert found["entropy"] == pytest.approx(-(share * np.log(share)).sum() / math.log(50))
    alpha = found["alpha"]
    assert found["alpha_weighted"] == pytest.approx(alpha * math.log10(squares[0]))
    assert found["log_alpha_norm"] == pytest.approx(math.log10((squares**alpha).sum()))
    gram = matrix.double().T @ matrix.double()
    unit = gram / (gram.trace() / 50) - torch.eye(50)
    assert found["orthogonality_error"] == pytest.approx(float(unit.norm()) / math.sqrt(50))


@pytest.mark.parametrize("shape", [(300, 300), (900, 300), (120, 2000)])
@pytest.mark.parametrize("kind", ["gaussian", "uniform", "signs"])
def test_a_random_start_follows_marchenko_and_pastur(checks_of, shape, kind: str) -> None:
    draw = gaussian(*shape)
    if kind == "uniform":
        draw = (torch.special.ndtr(draw) - 0.5) * math.sqrt(12)
    elif kind == "signs":
        draw = draw.sign()
    found = values(checks_of(0.02 * draw))
    assert found["sigma_mp"] == pytest.approx(0.02, rel=0.02)
    edge = 0.02**2 * (math.sqrt(shape[0]) + math.sqrt(shape[1])) ** 2
    assert found["lambda_plus"] == pytest.approx(edge, rel=0.03)
    assert found["mp_softrank"] == pytest.approx(1, rel=0.06)
    assert found["mp_distance"] < 0.03
    assert found["num_spikes"] <= 1
    assert found["alpha_flag"] == "random-like"


def test_random_starts_have_a_spike_about_once_in_a_hundred() -> None:
    def spikes(seed: int) -> int:
        found, _ = spectrum(gaussian(120, 80, seed), 1.0, CPU, name="w")
        bulk = fit_bulk(found)
        assert bulk is not None
        return bulk.spikes

    assert sum(map(spikes, range(200))) <= 10


def test_spikes_are_counted_and_do_not_move_the_edge() -> None:
    noise = gaussian(400, 200).double()
    plain = fit_bulk(spectrum(noise, 1.0, CPU, name="w")[0])
    rng = np.random.default_rng(2)
    for _ in range(5):
        noise += 3 * torch.from_numpy(np.outer(rng.standard_normal(400), rng.standard_normal(200)))
    found = fit_bulk(spectrum(noise, 1.0, CPU, name="w")[0])
    assert plain is not None
    assert found is not None
    assert (plain.spikes, found.spikes) == (0, 5)
    assert found.edge == pytest.approx(plain.edge, rel=0.05)


def test_no_bulk_below_half_of_the_rank() -> None:
    squares = np.concatenate((np.zeros(60), np.ones(40)))
    assert fit_bulk(Spectrum(squares, 40.0, 1.0, 200, 100, exact=True)) is None


@pytest.mark.parametrize("alpha", [1.8, 2.5, 4.0])
def test_a_power_law_gives_its_exponent(alpha: float) -> None:
    draws = (1 - np.random.default_rng(3).random(4000)) ** (-1 / (alpha - 1))
    found = fit_tail(np.sort(draws))
    assert found is not None
    assert found.alpha == pytest.approx(alpha, abs=4 * found.sigma)
    assert found.sigma == pytest.approx((found.alpha - 1) / math.sqrt(found.spikes))
    assert not found.rejected


def test_the_tail_begins_where_the_law_does() -> None:
    rng = np.random.default_rng(4)
    tail = 5 * (1 - rng.random(1000)) ** (-1 / 1.5)
    found = fit_tail(np.sort(np.concatenate((rng.uniform(0.01, 5, 1000), tail))))
    assert found is not None
    assert found.xmin == pytest.approx(5, rel=0.3)
    assert found.alpha == pytest.approx(2.5, abs=0.3)


def test_the_distance_is_the_smallest_of_all_starts() -> None:
    squares = np.sort(np.random.default_rng(5).pareto(2, 90) + 0.1)
    found = fit_tail(squares)
    best = (math.inf, 0.0, 0.0)
    for start in range(len(squares) - 1):
        tail = squares[start:]
        alpha = 1 + len(tail) / np.log(tail / tail[0]).sum()
        fitted = 1 - (tail / tail[0]) ** (1 - alpha)
        distance = np.abs(fitted - np.arange(len(tail)) / len(tail)).max()
        best = min(best, (float(distance), float(alpha), float(tail[0])))
    assert found is not None
    assert (found.D, found.alpha, found.xmin) == pytest.approx(best)


def test_a_heavy_tailed_matrix_is_told_from_a_random_one(checks_of) -> None:
    rng = np.random.default_rng(6)
    squares = (1 - rng.random(300)) ** (-1 / 1.5)
    found = values(checks_of(of_squares(squares, 400)))
    assert found["alpha_flag"] == "ok"
    assert found["alpha"] == pytest.approx(2.5, abs=0.4)
    assert found["mp_distance"] > 0.1


def test_what_is_no_power_law_is_said_to_be_none(checks_of) -> None:
    # two clusters: any tail misses one of them
    squares = np.concatenate((np.linspace(1, 1.1, 150), np.linspace(50, 50.5, 150)))
    assert values(checks_of(of_squares(squares, 400)))["alpha_flag"] == "no power law"


@pytest.mark.parametrize("count", [0, 2, FEWEST - 1])
def test_too_few_values_have_no_tail(count: int) -> None:
    assert fit_tail(np.arange(1.0, count + 1)) is None
