"""An implicit matrix on a device: its products with blocks of torch columns."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

import scipy.sparse as sp
import torch
from torch import Tensor

from structinit_core.linalg.operators import SparsePlusLowRank
from structinit_core.linalg.spmm import Multiplier


class Products(Protocol):
    """What a factorisation asks of a real (m, n) matrix: products, in float32 on one device.

    ``energy`` is the squared Frobenius norm where it is known.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""

    @property
    def symmetric(self) -> bool:
        """Whether the matrix equals its transpose."""

    @property
    def energy(self) -> float | None:
        """The squared Frobenius norm, or None."""

    @property
    def device(self) -> torch.device:
        """Where blocks live."""

    def apply(self, block: Tensor) -> Tensor:
        """The product with (n, q): (m, q)."""

    def adjoint(self, block: Tensor) -> Tensor:
        """The product of the transpose with (m, q): (n, q)."""


class SparseProducts:
    """The products of a :class:`SparsePlusLowRank`, on the CPU by our kernel, else by torch.

    torch multiplies CSR by dense blocks at a quarter of the kernel's speed on a CPU, but it
    runs on every device; ``own_kernel`` chooses otherwise.
    """

    def __init__(
        self,
        operator: SparsePlusLowRank,
        device: torch.device,
        *,
        own_kernel: bool | None = None,
    ) -> None:
        own = device.type == "cpu" if own_kernel is None else own_kernel
        self.shape, self.symmetric, self.device = operator.shape, operator.symmetric, device
        self.energy: float | None = operator.energy
        self._left = torch.from_numpy(operator.left).to(device)
        self._right = torch.from_numpy(operator.right).to(device)
        load = _kernel_product if own else _torch_product
        self._forward = load(operator.sparse, device)
        self._backward = self._forward
        if not operator.symmetric:
            self._backward = load(operator.transposed, device)

    def apply(self, block: Tensor) -> Tensor:
        """The product with (n, q): (m, q)."""
        return self._forward(block).addmm_(self._left, self._right.T @ block, alpha=-1)

    def adjoint(self, block: Tensor) -> Tensor:
        """The product of the transpose with (m, q): (n, q)."""
        return self._backward(block).addmm_(self._right, self._left.T @ block, alpha=-1)


def _kernel_product(matrix: sp.csr_array, _: torch.device) -> Callable[[Tensor], Tensor]:
    product = Multiplier(matrix)
    return lambda block: torch.from_numpy(product(block.numpy()))


def _torch_product(matrix: sp.csr_array, device: torch.device) -> Callable[[Tensor], Tensor]:
    indptr, indices, data = map(torch.from_numpy, (matrix.indptr, matrix.indices, matrix.data))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        placed = torch.sparse_csr_tensor(
            indptr, indices, data, matrix.shape, device=device, check_invariants=False
        )
    return lambda block: placed @ block
