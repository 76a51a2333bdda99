"""A path model on disk, to be asked again of a graph that has grown."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import load_array, save_array
from structinit_core.errors import IncompatibleError
from structinit_core.graph.prediction.alike import alike
from structinit_core.graph.prediction.bodies import Bodies
from structinit_core.graph.prediction.candidates import features_of
from structinit_core.graph.prediction.directed import Directed
from structinit_core.graph.prediction.model import PathModel
from structinit_core.graph.prediction.prior import NUMBERS, Prior
from structinit_core.graph.prediction.walks import LONGEST

_ARRAYS = {
    "bodies": "int32",
    "of": "int64",
    "confidence": "float64",
    "weights": "float64",
    "prior": "float64",
    "normalisers": "float64",
    "loops": "bool",
    "ends": "int64",
}
_MOST_ENDS = 1 << 16


def save_paths(directory: Path, model: PathModel) -> None:
    """Write bodies and weights of ``model`` to ``directory``, not its links: same bytes for equal.

    One-dimensional arrays: ``bodies`` in rows of the longest body, -1 behind shorter ones,
    ``of`` how many each relation has, and the others one relation after the other.
    """
    bodies = [body for one in model.bodies for body in one.bodies]
    rows = np.full((len(bodies), LONGEST), -1, np.int32)
    for row, body in zip(rows, bodies, strict=True):
        row[: len(body)] = body
    arrays: dict[str, NDArray[Any]] = {
        "bodies": rows.ravel(),
        "of": np.array([len(one.bodies) for one in model.bodies], np.int64),
        "confidence": np.concatenate([one.confidence for one in model.bodies]),
        "weights": np.concatenate(model.weights),
        "prior": model.prior.weights.ravel(),
        "normalisers": model.prior.log_normaliser,
        "loops": model.loops,
        "ends": np.array([model.ends]),
    }
    directory.mkdir(parents=True)
    for name, dtype in _ARRAYS.items():
        save_array(directory / f"{name}.npy", arrays[name].astype(dtype))


def open_paths(directory: Path, links: Directed) -> PathModel:
    """The model that :func:`save_paths` wrote, over ``links`` of the same relations.

    Raises:
        IncompatibleError: a missing array, or arrays that make no model of these relations.
    """
    stored = {name: load_array(directory / f"{name}.npy", (_ARRAYS[name],)) for name in _ARRAYS}
    count, of = links.relations, stored["of"]
    fault = IncompatibleError("holds no paths of these relations", where=str(directory))
    if len(of) != count or bool(np.any(of < 0)):
        raise fault
    total, features = int(of.sum()), [features_of(int(each)) for each in of]
    sizes = {
        "bodies": total * LONGEST,
        "confidence": total,
        "weights": sum(features),
        "prior": count * (NUMBERS + count),
        "normalisers": count,
        "loops": count,
        "ends": 1,
    }
    rows = stored["bodies"]
    if any(len(stored[name]) != size for name, size in sizes.items()):
        raise fault
    finite = ("weights", "prior", "normalisers")
    if not all(bool(np.isfinite(stored[name]).all()) for name in finite):
        raise fault
    if len(rows) and (int(rows.min()) < -1 or int(rows.max()) >= count):
        raise fault
    if not 0 < stored["ends"][0] <= _MOST_ENDS:
        raise fault
    places = np.r_[0, np.cumsum(of)]
    listed = [tuple(int(r) for r in row if r >= 0) for row in rows.reshape(-1, LONGEST)]
    bodies = tuple(
        Bodies.of(listed[low:high], np.array(stored["confidence"][low:high]))
        for low, high in pairwise(places)
    )
    weights = np.split(np.array(stored["weights"]), np.cumsum(features)[:-1])
    of_relations = np.array(stored["prior"]).reshape(count, -1)
    prior = Prior(links, alike(links), of_relations, np.array(stored["normalisers"]))
    loops, ends = np.array(stored["loops"]), int(stored["ends"][0])
    return PathModel(links, prior, bodies, tuple(weights), loops, ends)
