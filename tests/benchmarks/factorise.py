"""Speed of sparse products, factorisations and orthogonal draws against scipy and the like.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python tests/benchmarks/factorise.py [--data DIR]

The matrix is the PPMI of word pairs within a window of real text (WikiText-2 and 14 novels,
50,000 words). Sides run one after the other, three rounds; memory is touched before each, since
fresh pages are dear on virtual machines. Printed are median ratios of processor seconds (peer
over ours) and the energies: a ratio counts only where our energy is no worse.
"""

from __future__ import annotations

import argparse
import gzip
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import eigsh

from structinit_core.linalg import (
    Multiplier,
    generator,
    haar,
    sparse_operator,
    structured_orthogonal,
    symmetric_eigen,
)

ROOT = Path(__file__).parents[2]
FILES = ("wikitext-2/wiki.train.tokens.gz", "gutenberg-a/train.txt.gz")
ROUNDS = 3
LOOSE, TIGHT = {64: 1.35e-2, 256: 7e-3}, 3e-4
"""Tolerances at which our energy is at least that of the four iterations, and converged."""
Side = Callable[[], Any]


def ppmi(paths: list[Path], vocabulary: int, window: int) -> sp.csr_array:
    """Positive pointwise mutual information of words within the window: CSR float32 (V, V)."""
    text = "\n".join(gzip.decompress(path.read_bytes()).decode() for path in paths)
    words = re.findall(r"\w+|[^\w\s]", text)
    kept = {word: at for at, (word, _) in enumerate(Counter(words).most_common(vocabulary))}
    ids = np.array([kept[word] for word in words if word in kept])
    size = len(kept)
    pairs = sp.csr_array((size, size))
    for offset in range(1, window + 1):
        ones = np.ones(len(ids) - offset)
        pairs += sp.csr_array((ones, (ids[:-offset], ids[offset:])), shape=(size, size))
    pairs = sp.csr_array(pairs + pairs.T)
    mass = np.asarray(pairs.sum(axis=1)).ravel()
    rows = np.repeat(np.arange(size), np.diff(pairs.indptr))
    ratio = pairs.data * mass.sum() / (mass[rows] * mass[pairs.indices])
    pairs.data = np.maximum(np.log(ratio), 0)
    pairs.eliminate_zeros()
    parts = (
        pairs.data.astype(np.float32),
        *(part.astype(np.int32) for part in (pairs.indices, pairs.indptr)),
    )
    return sp.csr_array(parts, shape=(size, size))


def timed(side: Side) -> tuple[float, Any]:
    """Processor seconds and the result, on memory touched just before."""
    np.ones(1 << 27)
    began = time.process_time()
    result = side()
    return time.process_time() - began, result


def compare(name: str, peer: Side, ours: Side, energy: Callable[[Any], float] | None) -> None:
    """One line: median seconds, the median of the ratios, the worst and the energies."""
    seconds, results = [], ()
    for _ in range(ROUNDS):
        (theirs, one), (mine, other) = timed(peer), timed(ours)
        seconds.append((theirs, mine))
        results = one, other
    pairs = np.array(seconds)
    ratios = pairs[:, 0] / pairs[:, 1]
    line = f"{name:42} {np.median(ratios):5.2f}x (least {ratios.min():.2f})"
    line += "  {:.3f} s / {:.3f} s".format(*np.median(pairs, axis=0))
    if energy:
        line += "  energy {:.6g} / {:.6g}".format(*map(energy, results))
    print(line, flush=True)


def values_energy(values: Any) -> float:
    return float((np.asarray(values, np.float64) ** 2).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--vocabulary", type=int, default=50_000)
    parser.add_argument("--window", type=int, default=10)
    arguments = parser.parse_args()
    paths = [arguments.data / name for name in FILES]
    if missing := [path for path in paths if not path.is_file()]:
        raise SystemExit(f"not there: {', '.join(map(str, missing))}")
    matrix = ppmi(paths, arguments.vocabulary, arguments.window)
    print(f"PPMI {matrix.shape[0]} x {matrix.shape[1]}, {matrix.nnz} entries; peer / ours")
    operator = sparse_operator(matrix, symmetric=True)
    for columns in (16, 32, 64):
        block = generator(0, "block").standard_normal((matrix.shape[1], columns), np.float32)
        product = Multiplier(matrix)
        product(block)
        compare(
            f"CSR x {columns} columns, scipy",
            lambda block=block: [matrix @ block for _ in range(4)],
            lambda block=block, product=product: [product(block) for _ in range(4)],
            None,
        )

    for name, draw in (("exact Haar", haar), ("structured", structured_orthogonal)):
        compare(
            f"orthogonal 4096 x 4096 {name}, torch",
            lambda: torch.nn.init.orthogonal_(torch.empty(4096, 4096)),
            lambda draw=draw: draw(4096, 4096, generator(0, "orthogonal")),
            None,
        )

    def ours(rank: int, tolerance: float) -> Any:
        return symmetric_eigen(operator, rank, generator(0, "bench"), tolerance=tolerance).values

    compare(
        "rank 64 converged, scipy eigsh(tol=1e-3)",
        lambda: eigsh(matrix, 64, tol=1e-3, return_eigenvectors=True)[0],
        lambda: ours(64, TIGHT),
        values_energy,
    )
    try:
        from sklearn.utils.extmath import randomized_svd
    except ImportError:
        print("scikit-learn is not installed: its rows are left out")
        return
    for rank in LOOSE:
        compare(
            f"rank {rank}, scikit-learn n_iter=4",
            lambda rank=rank: randomized_svd(matrix, rank, n_iter=4, random_state=0)[1],
            lambda rank=rank: ours(rank, LOOSE[rank]),
            values_energy,
        )


if __name__ == "__main__":
    main()
