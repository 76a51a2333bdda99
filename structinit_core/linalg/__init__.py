"""Numbers only: operators, truncated SVD, orthogonal bases, seeds, device policy."""

from structinit_core.linalg.clusters import cluster_centres
from structinit_core.linalg.device import Device, resolve_device
from structinit_core.linalg.operators import (
    SparsePlusLowRank,
    sparse_operator,
    weighted_double_centred,
)
from structinit_core.linalg.orthogonal import (
    basis_without_mean,
    haar,
    random_basis,
    structured_orthogonal,
)
from structinit_core.linalg.products import Products, SparseProducts
from structinit_core.linalg.seeds import generator
from structinit_core.linalg.spmm import Multiplier, multiply
from structinit_core.linalg.svd import (
    FactorReport,
    TruncatedEigen,
    TruncatedSvd,
    symmetric_eigen,
    truncated_svd,
)

__all__ = [
    "Device",
    "FactorReport",
    "Multiplier",
    "Products",
    "SparsePlusLowRank",
    "SparseProducts",
    "TruncatedEigen",
    "TruncatedSvd",
    "basis_without_mean",
    "cluster_centres",
    "generator",
    "haar",
    "multiply",
    "random_basis",
    "resolve_device",
    "sparse_operator",
    "structured_orthogonal",
    "symmetric_eigen",
    "truncated_svd",
    "weighted_double_centred",
]
