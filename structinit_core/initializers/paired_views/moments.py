"""Second moments of two views of the same rows, gathered block by block."""

from __future__ import annotations

import torch
from torch import Tensor

from structinit_core.errors import NumericalError


class ViewMoments:
    """Count, common mean and covariances of two views, without either ever held whole.

    The sums are float64 about the mean of the first block, so that a mean far from zero costs
    no digits; however the rows are cut into blocks, the result differs by rounding only. They
    lie on the device of the first block. Cost: O(n d²) time, O(d²) memory.
    """

    def __init__(self) -> None:
        self.count = 0
        self._shift = self._sum = torch.zeros(0)
        self._own = self._cross = torch.zeros(0)

    def add(self, first: Tensor, second: Tensor) -> None:
        """Take in a block: two tensors (n, d), row i of both being views of one example.

        Raises:
            ValueError: the blocks are no matrices of one shape, or not of the earlier width.
        """
        if first.ndim != 2 or first.shape != second.shape:
            raise ValueError(f"views of shapes {tuple(first.shape)} and {tuple(second.shape)}")
        if len(first) == 0:
            return
        one, two = first.double(), second.double()
        if self.count == 0:
            width = one.shape[1]
            self._shift = (one.mean(0) + two.mean(0)) / 2
            self._sum = torch.zeros_like(self._shift)
            self._own = one.new_zeros((width, width))
            self._cross = torch.zeros_like(self._own)
        elif one.shape[1] != len(self._shift):
            raise ValueError(f"a block of width {one.shape[1]} after {len(self._shift)}")
        one, two = one - self._shift, two - self._shift
        cross = one.T @ two
        self.count += len(one)
        self._sum += one.sum(0) + two.sum(0)
        self._own += one.T @ one + two.T @ two
        self._cross += cross + cross.T

    @property
    def mean(self) -> Tensor:
        """The mean over both views, float64 (d,)."""
        return self._shift + self._sum / (2 * self.count)

    def covariances(self) -> tuple[Tensor, Tensor]:
        """Σ = ½(Σ₁ + Σ₂) and C = ½(Σ₁₂ + Σ₂₁) about the common mean, float64 (d, d).

        Raises:
            NumericalError: no rows, or values that are not finite.
        """
        if self.count == 0:
            raise NumericalError("two views without a row have no covariance")
        offset = self._sum / (2 * self.count)
        about = torch.outer(offset, offset)
        own = self._own / (2 * self.count) - about
        shared = self._cross / (2 * self.count) - about
        if not (torch.isfinite(own).all() and torch.isfinite(shared).all()):
            raise NumericalError("the views hold values that are not finite")
        return own, shared
