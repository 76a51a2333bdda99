"""Speed of a graph's leading singular triplets against scikit-learn and scipy's ARPACK.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python tests/benchmarks/graph_factorise.py [--data DIR]

Synthetic: 2.7 million links between 3.1 million nodes of Zipf popularity (exponent 0.9 for
sources, 0.8 for targets), counted, as they are and as log(1+count). Real: the links of Debian's
packages. The peers get the matrix without empty rows and columns for nothing; ours starts from
the whole one. Sides run one after the other, memory is touched before each. Printed are median
ratios of processor seconds (peer over ours) and the energy that the right vectors capture,
computed in float64 for both: a ratio counts only where ours is no worse by a millionth.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from structinit_core.linalg import generator, sparse_operator, truncated_svd

ROOT = Path(__file__).parents[2]
NODES, LINKS, RANK, ROUNDS = 3_100_000, 2_700_000, 32, 3
COUNTS = {"count": lambda data: data, "log(1+count)": np.log1p}
TOLERANCES = {
    ("synthetic", "count"): (4e-3, 6e-4),
    ("synthetic", "log(1+count)"): (2e-2, 2e-3),
    ("debian", "count"): (1e-2, 1e-3),
    ("debian", "log(1+count)"): (1e-2, 1e-3),
}
"""Tolerances against scikit-learn, and against ARPACK."""
SAME = 1e-6
"""Energies of two converged sides differ by so much, relative, for rounding alone."""
Vectors = Callable[[], Any]


def synthetic() -> sp.csr_array:
    """How often each source links to each target: CSR float32 (nodes, nodes)."""
    ends = []
    for side, exponent in (("sources", 0.9), ("targets", 0.8)):
        drawn = generator(0, side)
        share = np.cumsum(np.arange(1.0, NODES + 1) ** -exponent)
        ranks = np.searchsorted(share, drawn.random(LINKS) * share[-1])
        ends.append(drawn.permutation(NODES)[ranks].astype(np.int32))
    return sp.csr_array((np.ones(LINKS, np.float32), ends), shape=(NODES, NODES))


def debian(path: Path) -> sp.csr_array:
    """The same of Debian's packages, sections, sources and tags, whatever the type of link."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()[1:]
    fields = [line.split("\t") for line in lines]
    numbers: dict[str, int] = {}
    ends = [[numbers.setdefault(row[at], len(numbers)) for row in fields] for at in (0, 2)]
    size = len(numbers)
    return sp.csr_array((np.ones(len(fields), np.float32), ends), shape=(size, size))


def trimmed(matrix: sp.csr_array) -> tuple[sp.csr_array, np.ndarray[Any, Any]]:
    """The matrix without empty lines, and the numbers of the columns that it kept."""
    rows = np.flatnonzero(np.diff(matrix.indptr))
    columns = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]))
    return sp.csr_array(matrix[rows][:, columns]), columns


def captured(matrix: sp.csr_array, right: np.ndarray[Any, Any]) -> float:
    """Energy of the matrix in the span of right vectors (n, r)."""
    span = np.linalg.qr(right.astype(np.float64))[0]
    return float(np.linalg.norm(matrix.astype(np.float64) @ span) ** 2)


def timed(side: Vectors) -> tuple[float, Any]:
    """Processor seconds and the result, on memory touched just before."""
    np.ones(1 << 28)
    began = time.process_time()
    result = side()
    return time.process_time() - began, result


def compare(name: str, whole: sp.csr_array, peer: Any, tolerance: float) -> None:
    """One line: median seconds, ratios and energies."""
    matrix, columns = trimmed(whole)
    seconds, energies, shape = [], [], ""
    for _ in range(ROUNDS):
        theirs, right = timed(lambda: peer(matrix))
        mine, svd = timed(
            lambda: truncated_svd(
                sparse_operator(whole), RANK, generator(0, "bench"), tolerance=tolerance
            )
        )
        seconds.append((theirs, mine))
        energies.append((captured(matrix, right), captured(matrix, svd.right[columns])))
        shape = f"{svd.report.columns} columns"
        del right, svd
    pairs = np.array(seconds)
    ratios, energy = pairs[:, 0] / pairs[:, 1], np.array(energies).min(axis=0)
    line = f"{name:44} {np.median(ratios):5.2f}x (least {ratios.min():.2f})"
    line += "  {:.2f} s / {:.2f} s".format(*np.median(pairs, axis=0))
    line += "  energy {:.8g} / {:.8g}".format(*energy)
    print(f"{line}{'' if energy[1] >= energy[0] * (1 - SAME) else ' WORSE'}, {shape}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    arguments = parser.parse_args()
    peers = {"ARPACK svds tol=1e-2": lambda matrix: svds(matrix, RANK, tol=1e-2)[2].T}
    try:
        from sklearn.utils.extmath import randomized_svd
    except ImportError:
        print("scikit-learn is not installed: its rows are left out")
    else:
        peers["scikit-learn n_iter=4"] = lambda matrix: (
            randomized_svd(matrix, RANK, n_iter=4, random_state=0)[2].T
        )
    graphs = {"synthetic": synthetic}
    if (path := arguments.data / "debian-packages" / "edges.tsv.gz").is_file():
        graphs["debian"] = lambda: debian(path)
    for graph, build in graphs.items():
        links = build()
        links.sum_duplicates()
        for values, change in COUNTS.items():
            matrix = sp.csr_array((change(links.data), links.indices, links.indptr), links.shape)
            # compiles, and warms what is kept from run to run
            truncated_svd(sparse_operator(matrix), RANK, generator(0, "bench"), columns=RANK)
            for peer, call in peers.items():
                tight = TOLERANCES[graph, values][peer.startswith("ARPACK")]
                compare(f"{graph} {values}, {peer}", matrix, call, tight)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of all {peak:.2f} GiB")


if __name__ == "__main__":
    main()
