"""What a compiled graph's checkpoint keeps beside its tensors, for the links that come later."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from structinit_core.artifact import load_array, pretty_json, save_array
from structinit_core.errors import IncompatibleError
from structinit_core.graph import Graph, PathModel, save_paths
from structinit_core.initializers.graph import GraphShape, Kept

GROWTH = "growth"
"""The folder of a checkpoint that holds it."""
PATHS = "paths"
_STATE = "state.json"
_MOST_BYTES = 1 << 24
_LINKS = {"subject": "int32", "relation": "int32", "object": "int32", "weight": "float64"}
_KEYS = {"key_subject": "int32", "key_relation": "int32", "key_layer": "int32", "key_unit": "int32"}
_KEYS["key_hub"] = "int32"
_NUMBERS = {"focus": "float64", "gram": "float64", "levels": "float64"}


class _State(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)
    schema_id: Literal["structinit/growth/1"] = Field("structinit/growth/1", alias="schema")
    particles: int = Field(ge=1)
    relations: int = Field(ge=1)
    names: str
    family: str
    width: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    keys: int = Field(ge=1)
    scale: float = Field(gt=0, allow_inf_nan=False)
    answer: float = Field(gt=0, allow_inf_nan=False)
    directed: tuple[int, ...]
    values: tuple[float, ...] = Field(min_length=1)


@dataclass(frozen=True)
class GrowthState:
    """What growth begins with.

    particles, relations: how many; names: their digest, :func:`names_digest`. links: subject,
    relation, object, weight in order. focus: float64 (P,), of the last full compilation.
    subject, relation: int64 (K,), the query of each key, the relation directed.
    """

    particles: int
    relations: int
    names: str
    shape: GraphShape
    links: dict[str, NDArray[Any]]
    focus: NDArray[np.float64]
    kept: Kept
    subject: NDArray[np.int64]
    relation: NDArray[np.int64]


def names_digest(graph: Graph, particles: int, relations: int) -> str:
    """sha256 of the first names of ``graph``, in order."""
    digest = sha256()
    for names, count in ((graph.particles, particles), (graph.relations, relations)):
        digest.update(np.ascontiguousarray(names.offsets[: count + 1]).data)
        digest.update(np.ascontiguousarray(names.text[: names.offsets[count]]).data)
    return digest.hexdigest()


def save_growth(
    directory: Path,
    graph: Graph,
    shape: GraphShape,
    focus: NDArray[np.float64],
    kept: Kept,
    subject: NDArray[np.int64],
    relation: NDArray[np.int64],
    model: PathModel | None,
) -> None:
    """Write the folder of a :class:`GrowthState`, and of ``model``; some 30 bytes a link and key.

    Same bytes for equal arguments.
    """
    counts = len(graph.particles), len(graph.relations)
    state = _State(
        particles=counts[0],
        relations=counts[1],
        names=names_digest(graph, *counts),
        **asdict(shape),
        scale=kept.scale,
        answer=kept.answer,
        directed=kept.directed,
        values=tuple(kept.values.tolist()),
    )
    directory.mkdir()
    text = pretty_json(state.model_dump(mode="json", by_alias=True))
    (directory / _STATE).write_text(text, encoding="utf-8")
    arrays = {
        **{name: getattr(graph, name) for name in _LINKS},
        "key_subject": subject,
        "key_relation": relation,
        "key_layer": kept.layer,
        "key_unit": kept.unit,
        "key_hub": kept.hub,
        "focus": focus,
        "gram": kept.gram.ravel(),
        "levels": kept.levels,
    }
    for name, dtype in (_LINKS | _KEYS | _NUMBERS).items():
        save_array(directory / f"{name}.npy", arrays[name].astype(dtype, copy=False))
    if model is not None:
        save_paths(directory / PATHS, model)


def open_growth(directory: Path) -> GrowthState:
    """What :func:`save_growth` wrote; columns of links stay on disk until they are used.

    Raises:
        IncompatibleError: a missing or damaged file, or arrays that do not fit each other.
    """
    path = directory / _STATE
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError
        state = _State.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise IncompatibleError("is no state of a compiled graph", where=str(path)) from error
    found: dict[str, NDArray[Any]] = {
        name: load_array(directory / f"{name}.npy", (dtype,))
        for name, dtype in (_LINKS | _KEYS | _NUMBERS).items()
    }
    shape = GraphShape(state.family, state.width, state.layers, state.heads, state.keys)
    kept = Kept(
        np.array(state.values, np.float32),
        state.scale,
        state.directed,
        state.answer,
        _square(found["gram"]),
        np.array(found["levels"]),
        *(np.array(found[f"key_{name}"]) for name in ("layer", "unit", "hub")),
    )
    if not _fits(state, found, kept):
        raise IncompatibleError("holds arrays that do not fit each other", where=str(directory))
    return GrowthState(
        state.particles,
        state.relations,
        state.names,
        shape,
        {name: found[name] for name in _LINKS},
        np.array(found["focus"]),
        kept,
        found["key_subject"].astype(np.int64),
        found["key_relation"].astype(np.int64),
    )


def _square(flat: NDArray[Any]) -> NDArray[np.float64]:
    side = int(len(flat) ** 0.5)
    return np.array(flat[: side * side]).reshape(side, side)


def _fits(state: _State, found: dict[str, NDArray[Any]], kept: Kept) -> bool:
    both, links, keys = 2 * state.relations, len(found["subject"]), len(kept.layer)
    within = {
        "subject": (0, state.particles),
        "object": (0, state.particles),
        "relation": (0, state.relations),
        "key_subject": (0, state.particles),
        "key_relation": (0, both),
        "key_layer": (0, state.layers),
        "key_unit": (0, 1 << 31),
        "key_hub": (-1, keys),
    }
    return (
        all(len(found[name]) == links for name in _LINKS)
        and all(len(found[name]) == keys for name in _KEYS)
        and links > 0
        and keys > 0
        and all(_within(found[name], *bounds) for name, bounds in within.items())
        and (len(found["focus"]), len(kept.levels)) == (state.particles, both)
        and all(bool(np.isfinite(found[name]).all()) for name in _NUMBERS)
        and bool((found["weight"] > 0).all() and (found["focus"] >= 0).all())
        and all(0 <= relation < both for relation in state.directed)
        and bool((kept.values > 0).all() and np.isfinite(kept.values).all())
    )


def _within(rows: NDArray[Any], least: int, count: int) -> bool:
    return int(rows.min()) >= least and int(rows.max()) < count
