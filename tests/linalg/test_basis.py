"""Orthonormal columns out of easy, nearly dependent and vanished blocks; devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from structinit_core.errors import NumericalError
from structinit_core.linalg import generator
from structinit_core.linalg.basis import Basis, as_doubles, cholesky_qr

CPU = torch.device("cpu")


def gram_error(basis: Basis) -> float:
    whole = as_doubles(basis.combine(np.eye(basis.count)))
    return float(np.abs(whole.T @ whole - np.eye(basis.count)).max())


@pytest.mark.parametrize("smallest", [1.0, 1e-2, 1e-5, 1e-12])
def test_blocks_of_any_condition(smallest: float) -> None:
    basis, rng = Basis(400, CPU, generator(0)), generator(1)
    for _ in range(4):
        block = rng.standard_normal((400, 8)) @ np.diag(np.geomspace(1, smallest, 8))
        block = block @ np.linalg.qr(rng.standard_normal((8, 8)))[0]
        projected = torch.from_numpy(block.astype(np.float32))
        before = basis.combine(np.eye(basis.count))
        coefficients = basis.project_out(projected)
        new, factor = basis.extend(projected)
        rebuilt = before @ coefficients + new @ torch.from_numpy(factor).float()
        np.testing.assert_allclose(rebuilt, block, atol=1e-4)
    assert basis.count == 32
    assert gram_error(basis) < 3e-6


def test_a_vanished_block_is_replaced_with_nothing_in_the_factor() -> None:
    basis = Basis(100, CPU, generator(0))
    basis.extend(torch.randn(100, 5, generator=torch.Generator().manual_seed(0)))
    image = basis.combine(np.ones((5, 3)))
    basis.project_out(image)
    new, factor = basis.extend(image)
    assert new.shape == (100, 3)
    assert (factor == 0).all()
    assert gram_error(basis) < 3e-6


def test_no_more_columns_than_the_space_has() -> None:
    basis = Basis(10, CPU, generator(0))
    for expected in (4, 8, 10, 10):
        block = torch.from_numpy(generator(1).standard_normal((10, 4)).astype(np.float32))
        basis.project_out(block)
        basis.extend(block)
        assert basis.count == expected
    assert gram_error(basis) < 3e-6


def test_cholesky_admits_defeat() -> None:
    block = torch.ones(50, 2)
    assert cholesky_qr(block, 1e-3) is None
    block[0, 0] = torch.nan
    with pytest.raises(NumericalError):
        cholesky_qr(block, 1e-3)


def test_projections_stay_on_their_device() -> None:
    """Device mixing raises under FakeTensorMode, without a GPU."""
    with FakeTensorMode():
        basis = Basis(64, torch.device("cuda"), generator(0))
        basis._rows, basis.count, basis._recent = torch.empty(16, 64, device="cuda"), 12, 4
        block = torch.empty(64, 4, device="cuda")
        assert basis.remove(block).is_cuda
        assert block.is_cuda
        assert tuple(block.shape) == (64, 4)
