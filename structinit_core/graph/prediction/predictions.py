"""Scores of the likeliest objects of directed queries, as sparse rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scores of n directed queries (s, r), on the scale of log P(o | r).

    subject, relation: int32 (n,). The objects ``object[indptr[q]:indptr[q + 1]]`` (int32) of
    query q have ``score`` (float32), best first; every other particle scores its prior
    log P(o | r), and the subject nothing where the relation has no loops. exp of a score less
    ``log_normaliser`` (float64, n) is the chance to be the object of a link (s, r, ·) that is not
    known yet: known objects are left out.
    """

    subject: NDArray[np.int32]
    relation: NDArray[np.int32]
    indptr: NDArray[np.int64]
    object: NDArray[np.int32]
    score: NDArray[np.float32]
    log_normaliser: NDArray[np.float64]

    def __len__(self) -> int:
        """How many queries, n."""
        return len(self.subject)

    @property
    def query(self) -> NDArray[np.int64]:
        """The query of each score: int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    @property
    def place(self) -> NDArray[np.int64]:
        """The place of each score in its query, from 0: int64."""
        return np.arange(len(self.object)) - self.indptr[self.query]

    def only(self, rows: NDArray[np.int64]) -> Predictions:
        """The predictions of some queries, in the order given."""
        counts = np.diff(self.indptr)[rows]
        indptr = np.r_[0, np.cumsum(counts)].astype(np.int64)
        entries = np.repeat(self.indptr[rows] - indptr[:-1], counts) + np.arange(indptr[-1])
        return Predictions(
            self.subject[rows],
            self.relation[rows],
            indptr,
            self.object[entries],
            self.score[entries],
            self.log_normaliser[rows],
        )
