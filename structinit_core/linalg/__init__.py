"""Numbers only: operators, truncated SVD, orthogonal bases, seeds, device policy."""

from structinit_core.linalg.device import Device, resolve_device
from structinit_core.linalg.operators import SparsePlusLowRank, weighted_double_centred
from structinit_core.linalg.orthogonal import basis_without_mean, random_basis
from structinit_core.linalg.seeds import generator
from structinit_core.linalg.svd import TruncatedSvd, truncated_svd

__all__ = [
    "Device",
    "SparsePlusLowRank",
    "TruncatedSvd",
    "basis_without_mean",
    "generator",
    "random_basis",
    "resolve_device",
    "truncated_svd",
    "weighted_double_centred",
]
