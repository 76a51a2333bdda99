"""What a compiled graph's checkpoint keeps beside its tensors, for the links that come later."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import isqrt
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from structinit_core.artifact import load_array, pretty_json, save_array
from structinit_core.errors import IncompatibleError
from structinit_core.graph import Graph, PathModel, save_paths
from structinit_core.initializers.graph import Answered, GraphShape, Kept

GROWTH = "growth"
"""The folder of a checkpoint that holds it."""
PATHS = "paths"
_STATE = "state.json"
_MOST_BYTES = 1 << 24
_LINKS = {"subject": "int32", "relation": "int32", "object": "int32", "weight": "float64"}
_KEYS = dict.fromkeys(("subject", "relation", "layer", "unit", "hub", "predicted"), "int32")
_NUMBERS = dict.fromkeys(("focus", "gram", "levels", "maps"), "float64")

_FILES = _LINKS | {f"key_{name}": dtype for name, dtype in _KEYS.items()} | _NUMBERS


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
    longest: float = Field(gt=0, allow_inf_nan=False)
    answer: float = Field(gt=0, allow_inf_nan=False)
    directed: tuple[int, ...]
    values: tuple[float, ...] = Field(min_length=1)


@dataclass(frozen=True)
class GrowthState:
    """What growth begins with.

    particles, relations: how many; names: their digest, :func:`names_digest`. links: subject,
    relation, object, weight in order. focus: float64 (P,), of the last full compilation.
    """

    particles: int
    relations: int
    names: str
    shape: GraphShape
    links: dict[str, NDArray[Any]]
    focus: NDArray[np.float64]
    kept: Kept


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
    model: PathModel | None,
) -> None:
    """Write the folder of a :class:`GrowthState`, and of ``model``; some 30 bytes a link and key.

    Same bytes for equal arguments.
    """
    counts, answered = (len(graph.particles), len(graph.relations)), kept.answered
    state = _State(
        particles=counts[0],
        relations=counts[1],
        names=names_digest(graph, *counts),
        **asdict(shape),
        scale=kept.scale,
        longest=kept.longest,
        answer=answered.scale,
        directed=kept.directed,
        values=tuple(kept.values.tolist()),
    )
    directory.mkdir()
    text = pretty_json(state.model_dump(mode="json", by_alias=True))
    (directory / _STATE).write_text(text, encoding="utf-8")
    arrays = {
        **{name: getattr(graph, name) for name in _LINKS},
        **{f"key_{name}": getattr(answered, name) for name in _KEYS},
        "focus": focus,
        "gram": answered.gram.ravel(),
        "levels": answered.levels,
        "maps": kept.maps.ravel(),
    }
    for name, dtype in _FILES.items():
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
        name: load_array(directory / f"{name}.npy", (dtype,)) for name, dtype in _FILES.items()
    }
    if not _fits(state, found):
        raise IncompatibleError("holds arrays that do not fit each other", where=str(directory))
    columns = {name: np.array(found[f"key_{name}"]) for name in _KEYS}
    columns |= {name: columns[name].astype(np.int64) for name in ("subject", "relation")}
    levels, gram = np.array(found["levels"]), _squares(found["gram"], 1)[0]
    shape = GraphShape(state.family, state.width, state.layers, state.heads, state.keys)
    kept = Kept(
        np.array(state.values, np.float32),
        state.scale,
        state.longest,
        state.directed,
        _squares(found["maps"], len(state.directed)),
        Answered(state.answer, gram, levels, **columns),
    )
    links, focus = {name: found[name] for name in _LINKS}, np.array(found["focus"])
    return GrowthState(state.particles, state.relations, state.names, shape, links, focus, kept)


def _squares(flat: NDArray[Any], count: int) -> NDArray[np.float64]:
    side = isqrt(len(flat) // count)
    return np.array(flat).reshape(count, side, side)


def _fits(state: _State, found: dict[str, NDArray[Any]]) -> bool:
    both, links, keys = 2 * state.relations, len(found["subject"]), len(found["key_subject"])
    within = {
        "subject": (0, state.particles),
        "object": (0, state.particles),
        "relation": (0, state.relations),
        "key_subject": (0, state.particles),
        "key_relation": (0, both),
        "key_layer": (0, state.layers),
        "key_unit": (0, 1 << 31),
        "key_hub": (-1, keys),
        "key_predicted": (0, 1 << 31),
    }
    values = np.array(state.values)
    return (
        all(len(found[name]) == links for name in _LINKS)
        and all(len(found[f"key_{name}"]) == keys for name in _KEYS)
        and links > 0
        and keys > 0
        and all(_within(found[name], *bounds) for name, bounds in within.items())
        and (len(found["focus"]), len(found["levels"])) == (state.particles, both)
        and all(bool(np.isfinite(found[name]).all()) for name in _NUMBERS)
        and bool((found["weight"] > 0).all() and (found["focus"] >= 0).all())
        and sorted(state.directed) == list(range(both))
        and bool((values > 0).all() and np.isfinite(values).all())
        and len(found["maps"]) == both * isqrt(len(found["maps"]) // both) ** 2
        and len(found["gram"]) == isqrt(len(found["gram"])) ** 2
    )


def _within(rows: NDArray[Any], least: int, count: int) -> bool:
    return int(rows.min()) >= least and int(rows.max()) < count
