"""A growing orthonormal basis in float32: project, orthonormalise, replace what vanished."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.errors import NumericalError
from structinit_core.linalg import pages, panels

Doubles = NDArray[np.float64]

_WELL_CONDITIONED = 1e-3
"""Shrinkage of a column by projection below which Cholesky in float32 loses orthogonality."""
_NOISE = 2e-6
"""Share of the largest image below which float32 leaves only noise."""
_PANEL = 4096
"""Rows summed at a time: one float32 sum over a million rows is off by up to 2e-3."""


class Basis:
    """Orthonormal columns of length n on a device, stored as rows so that blocks append.

    Orthonormal to about 1e-6 in float32. Directions that vanish in a block are replaced by
    random ones, so that a factorisation goes on past an invariant subspace.
    """

    def __init__(self, length: int, device: torch.device, generator: np.random.Generator) -> None:
        self.length, self.count = length, 0
        self._device, self._rows = device, torch.empty((0, length), device=device)
        self._generator = generator
        self._largest = 0.0
        self._recent = 0

    @property
    def room(self) -> int:
        """How many more columns there can be."""
        return self.length - self.count

    def reserve(self, columns: int) -> None:
        """Memory for so many columns in all, and for half as many again once it must grow."""
        if columns > len(self._rows):
            columns = max(columns, len(self._rows) * 3 // 2)
            grown = self._allocated(columns)
            grown.narrow(0, 0, self.count).copy_(self._taken())
            self._rows = grown

    def combine(self, weights: Doubles) -> Tensor:
        """The basis times (count, r): (n, r) float32."""
        return self._taken().T @ on_device(weights, self._rows.device)

    def project_out(self, block: Tensor, *, whole: bool = True) -> Tensor:
        """Coefficients (count, b) of the block in the basis; the block loses them, in place.

        The two latest blocks, where a Krylov image is large, are removed first: then one full
        Gram-Schmidt pass is accurate. Cost 4·n·count·b. Unless ``whole``, that pass is left
        out, and the coefficients of earlier blocks are zero.
        """
        self._largest = max(self._largest, _longest(block))
        return self.remove(block, whole=whole)

    def remove(self, block: Tensor, *, whole: bool = True) -> Tensor:
        """:meth:`project_out` without its check for numbers."""
        near = _project(self._taken(self._recent), block)
        coefficients = near.new_zeros((self.count, block.shape[1]))
        if whole:
            coefficients = _project(self._taken(), block)
        coefficients.narrow(0, self._recent, len(near)).add_(near)
        return coefficients

    def extend(self, block: Tensor) -> tuple[Tensor, Doubles]:
        """Up to b new columns that span the projected ``block``, and R with block ≈ new·R.

        Cholesky QR twice, its b×b part in float64 (Yamamoto et al. 2015); by Householder QR
        and an SVD where the block is nearly dependent.
        """
        largest = self._largest or _longest(block)
        found = None
        if block.shape[1] <= self.room:
            found = cholesky_qr(block, _WELL_CONDITIONED * largest)
        new, factor = self._careful(block, _NOISE * largest) if found is None else found
        self.append(new)
        return new, factor

    def append(self, new: Tensor) -> None:
        """Takes columns that are orthonormal and orthogonal to the basis."""
        width = new.shape[1]
        self.reserve(self.count + width)
        self._rows.narrow(0, self.count, width).copy_(new.T)
        self._recent = max(0, self.count - width)
        self.count += width

    def _allocated(self, columns: int) -> Tensor:
        if self._device.type == "cpu":
            return torch.from_numpy(pages.empty((columns, self.length), np.float32))
        return torch.empty((columns, self.length), device=self._device)

    def _taken(self, first: int = 0) -> Tensor:
        # narrow: an index in brackets asks for a real device even of fake tensors
        return self._rows.narrow(0, first, self.count - first)

    def _careful(self, block: Tensor, noise: float) -> tuple[Tensor, Doubles]:
        """As :meth:`extend` for blocks that lost rank: noise is dropped and replaced."""
        wanted = min(block.shape[1], self.room)
        q, r = torch.linalg.qr(block)
        turn, sizes, back = np.linalg.svd(as_doubles(r))
        kept = min(int(np.count_nonzero(sizes > noise)), wanted)
        new, correction = self._orthonormal(q @ on_device(turn[:, :kept], q.device))
        factor = np.zeros((wanted, block.shape[1]))
        factor[:kept] = correction @ (sizes[:kept, None] * back[:kept])
        if kept < wanted:
            drawn = self._generator.standard_normal((self.length, wanted - kept), dtype=np.float32)
            fill = torch.from_numpy(drawn).to(new.device) / self.length**0.5
            new, _ = self._orthonormal(torch.cat((new, fill), dim=1))
        return new, factor

    def _orthonormal(self, block: Tensor) -> tuple[Tensor, Doubles]:
        """Q and R of the block made orthogonal to the basis, the diagonal of R positive."""
        factor = np.eye(block.shape[1])
        for _ in range(3):
            every = self._taken()
            block = block - every.T @ (every @ block)
            block, r = torch.linalg.qr(block)
            signs = torch.where(r.diagonal() < 0, -1.0, 1.0)
            block, r = block * signs, r * signs[:, None]
            factor = as_doubles(r) @ factor
        return block, factor


def _project(rows: Tensor, block: Tensor) -> Tensor:
    """``rows @ block``, of which the block loses what rows (orthonormal) span, in place."""
    if block.device.type == "cpu" and block.shape[1] == panels.WIDTH and block.is_contiguous():
        long, narrow = rows.numpy(), block.numpy()
        found = panels.dots(long, narrow)
        panels.subtract(long, found, narrow)
        return torch.from_numpy(found)
    coefficients = dots(rows, block)
    block.addmm_(rows.T, coefficients, alpha=-1)
    return coefficients


def cholesky_qr(block: Tensor, least: float) -> tuple[Tensor, Doubles] | None:
    """Orthonormal Q (n, b) and R float64 (b, b) of a block, or None where it is dependent.

    Dependent: a column keeps less than ``least`` beside those before it. Q takes the memory of
    the block, which is lost unless None comes back: fresh pages are dear.

    Raises:
        NumericalError: a NaN or infinity in the block.
    """
    factor, source, target = np.eye(block.shape[1]), block, None
    for _ in range(2):
        gram = as_doubles(dots(source.T, source))
        if not np.isfinite(gram).all():
            raise NumericalError("a product of the matrix gave NaN or infinity")
        try:
            upper = np.linalg.cholesky(gram).T
        except np.linalg.LinAlgError:
            return None
        if upper.diagonal().min() <= least:
            return None
        inverse = on_device(np.linalg.inv(upper), block.device)
        source, target = torch.mm(source, inverse, out=target), block
        factor, least = upper @ factor, 0.0
    return source, factor


def dots(rows: Tensor, block: Tensor) -> Tensor:
    """The product of (c, n) and (n, b), summed in panels of n where it is long."""
    total = rows.new_zeros((rows.shape[0], block.shape[1]))
    for start in range(0, block.shape[0], _PANEL):
        size = min(_PANEL, block.shape[0] - start)
        # not addmm_: some kernels would go on with one long sum
        total += rows.narrow(1, start, size) @ block.narrow(0, start, size)
    return total


def _longest(block: Tensor) -> float:
    """The largest column norm; the factorisation ends here if it is no number."""
    squares = dots(block.T, block).diagonal()
    norm = float(squares.max()) ** 0.5 if block.numel() else 0.0
    if not np.isfinite(norm):
        raise NumericalError("a product of the matrix gave NaN or infinity")
    return norm


def as_doubles(tensor: Tensor) -> Doubles:
    """A small tensor as float64 numpy."""
    array: Doubles = tensor.cpu().numpy().astype(np.float64)
    return array


def on_device(array: Doubles, device: torch.device) -> Tensor:
    """A small float64 array as float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)
