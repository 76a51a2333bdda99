"""Singular values for the pictures: which places, how far down, and from one computation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from structinit_core.diagnose import Check, Series, tensor_findings, tensors
from structinit_core.progress import Silent


def spectrum(tensor: Tensor) -> list[Series]:
    findings = tensor_findings([("weights", tensor)], Silent())
    return [finding for finding in findings if isinstance(finding, Series)]


def with_values(values: list[float], columns: int) -> Tensor:
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.standard_normal((len(values), len(values))))[0]
    right = np.linalg.qr(rng.standard_normal((columns, len(values))))[0]
    return torch.from_numpy((left * values) @ right.T).float()


@pytest.mark.parametrize("transposed", [False, True])
def test_the_values_of_a_small_matrix(transposed: bool) -> None:
    values = [8.0, 4.0, 2.0, 1.0, 0.5]
    matrix = with_values(values, 12)
    (found,) = spectrum(matrix.T if transposed else matrix)
    assert (found.name, found.tensor) == ("singular_values", "weights")
    assert found.values == pytest.approx(values, rel=1e-4)
    assert found.places() == (1, 2, 3, 4, 5)


def test_a_long_spectrum_is_sampled_at_its_places() -> None:
    matrix = torch.randn(400, 300, generator=torch.Generator().manual_seed(0))
    (found,) = spectrum(matrix)
    exact = torch.linalg.svdvals(matrix.double())
    assert len(found.values) <= 64
    assert (found.at[0], found.at[-1]) == (1, 300)
    assert found.values == pytest.approx(exact[torch.tensor(found.at) - 1].tolist(), rel=1e-4)


def test_values_below_the_rounding_of_the_gram_matrix_are_left_out() -> None:
    (found,) = spectrum(with_values([1.0, 0.1, 0.01, 1e-5, 1e-6], 40))
    assert found.values == pytest.approx([1.0, 0.1, 0.01], rel=1e-2)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_any_scale(scale: float) -> None:
    (found,) = spectrum(scale * with_values([2.0, 1.0], 5))
    assert found.values == pytest.approx([2 * scale, scale], rel=1e-4, abs=0)


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(4, 4), torch.ones(9), torch.ones(1, 9), torch.full((3, 3), math.nan)],
    ids=["zeros", "vector", "row", "nan"],
)
def test_no_spectrum(tensor: Tensor) -> None:
    assert spectrum(tensor) == []


def test_wide_matrices_have_a_norm_and_no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "_EXACT_WIDTH", 3)
    findings = list(tensor_findings([("weights", torch.ones(8, 8))], Silent()))
    assert not any(isinstance(finding, Series) for finding in findings)
    norms = [f.value for f in findings if isinstance(f, Check) and f.name == "spectral_norm"]
    assert norms == pytest.approx([8.0])


def test_eigenvalues_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    solve = torch.linalg.eigvalsh
    monkeypatch.setattr(torch.linalg, "eigvalsh", lambda gram: calls.append(1) or solve(gram))
    assert len(spectrum(torch.eye(6))) == 1
    assert len(calls) == 1
