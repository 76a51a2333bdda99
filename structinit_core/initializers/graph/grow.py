"""A compiled graph with new links: new particles folded in, changed keys answered again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Orientation, Role, TensorSpec
from structinit_core.errors import NumericalError
from structinit_core.graph import Graph, PathModel
from structinit_core.initializers.closed_form.parts import Units, as_float
from structinit_core.initializers.graph.changed import Changed, changed_keys
from structinit_core.initializers.graph.compile import head_rows, with_maps
from structinit_core.initializers.graph.earlier import Earlier
from structinit_core.initializers.graph.fold_in import Way, bounded, folded_in
from structinit_core.initializers.graph.keys import Keys, known_keys
from structinit_core.initializers.graph.layout import GraphStream, longest_code, placed
from structinit_core.initializers.graph.memory import hub_signs, object_signs, regressed
from structinit_core.initializers.graph.parts import Answered, Kept
from structinit_core.initializers.graph.storing import (
    LEAST,
    affordable,
    answer_rows,
    key_answers,
    lacking,
    levels,
    met,
)
from structinit_core.initializers.graph.tables import neighbours
from structinit_core.initializers.graph.tokens import GraphTokens
from structinit_core.initializers.stream import stored
from structinit_core.progress import Progress

_NAMED = 0.25
"""Squared length below which an object has no answer code; all others have at least 1."""


@dataclass(frozen=True)
class Grown:
    """A compiled graph that has grown: rows, and what changes in each layer's feed-forward.

    kept: of all keys; solved: how many were answered again; left_out: how many were not, since
    their units do not fire.
    """

    embed: Tensor
    unembed: Tensor
    earlier: Earlier
    kept: Kept
    units: dict[int, tuple[NDArray[np.int64], Units]] = field(default_factory=dict)
    solved: int = 0
    left_out: int = 0

    def tensors(self, blueprint: Blueprint) -> Iterator[tuple[TensorSpec, Tensor]]:
        """Every stored tensor in blueprint order: the earlier ones but for what has changed.

        Raises:
            NumericalError: a tensor holds NaN or infinity.
        """
        rows = {Role.EMBED: self.embed, Role.HEAD: self.unembed}
        for spec in blueprint.tensors:
            if spec.tied_to:
                continue
            if spec.roles[0] in rows and spec.kind is Kind.WEIGHT:
                tensor = stored(spec, [rows[spec.roles[0]]])
            else:
                tensor = self._patched(spec)
            if not bool(torch.isfinite(tensor).all()):
                raise NumericalError("holds NaN or infinity", where=spec.name)
            yield spec, tensor

    def _patched(self, spec: TensorSpec) -> Tensor:
        tensor = self.earlier.read(spec.name)
        if spec.layer not in self.units:
            return tensor
        places, units = self.units[spec.layer]
        at, role = torch.from_numpy(places), (spec.roles[0], spec.kind)
        fresh = {
            (Role.MLP_UP, Kind.WEIGHT): units.up,
            (Role.MLP_UP, Kind.BIAS): units.bias,
            (Role.MLP_GATE, Kind.WEIGHT): units.gate,
            (Role.MLP_DOWN, Kind.WEIGHT): units.down,
        }.get(role)
        if fresh is None:
            return tensor
        tensor = tensor.clone()
        whole = tensor.T if spec.orientation is Orientation.IN_OUT else tensor
        if role[0] is Role.MLP_DOWN:
            whole[:, at] = fresh
        else:
            whole[at] = fresh
        return tensor


def grow(
    graph: Graph,
    weight: NDArray[np.float64],
    value: NDArray[np.float64],
    focus: NDArray[np.float64],
    model: PathModel | None,
    earlier: Earlier,
    blueprint: Blueprint,
    *,
    way: Way = "svd",
    progress: Progress,
) -> Grown:
    """``earlier`` with the links behind the first n of ``graph``, of ``weight`` (n,) before.

    New particles get codes from their links (:func:`folded_in`), no longer than those of
    earlier ones, identity codes and fillers as a full compilation would draw them; every earlier
    row of ``embed`` stays as it is. Keys that the links change (:func:`changed_keys`) are
    answered again by the states that the network has there, with the objects' answer codes as
    they are: of the head only rows of objects change that had none. A key whose unit does not
    fire is left as it was, or out. Codes of earlier tokens, relation maps, the log-prior and all
    other keys stay; ``value`` (E,) as in choose_keys. Cost O(degree·d) a particle,
    O(nnz·a·min(n, a)) for the changed keys, and a pass over links. Source: ours.
    """
    kept, tokens = earlier.kept, GraphTokens(len(graph.relations), len(graph.particles))
    embed, head = earlier.part(Role.EMBED, None), earlier.part(Role.HEAD, None)
    progress.stage("folding in")
    codes = folded_in(
        neighbours(graph, tokens, focus), earlier.codes(embed, head), tokens, focus, way
    )
    codes = bounded(codes, longest_code(kept.scale, blueprint.width), kept)
    rows = codes.left.double().numpy()
    stream = placed(rows, codes, kept.scale, tokens, blueprint, earlier.seed, embed)
    head = torch.cat((head, head_rows(stream)))
    parts, sight = with_maps(stream, head, kept.directed, [*kept.maps], tokens, blueprint)
    progress.stage("answers")
    changed = changed_keys(graph, weight, value, earlier)
    grown = Grown(stream.embed, head, earlier, kept)
    if not len(changed.query):
        return grown
    keys = known_keys(changed.query, changed.objects, model, tokens)
    states, passed = met(keys, parts, changed.layer, sight)
    fires = (passed > LEAST).numpy()
    left_out = int((~fires).sum())
    if left_out:
        changed, keys = changed.only(fires), keys.only(fires)
        states, passed = states[fires], passed[fires]
    if not len(keys):
        return replace(grown, left_out=left_out)
    answered = kept.answered
    level = answered.levels[tokens.directed(keys.own)]
    if affordable(len(keys), head):
        level = levels(keys.own, states, head)
    missing = lacking(keys, states, head, tokens, level)
    values, gram = _answered_again(missing, keys, changed, answered, head, stream, tokens)
    units = {}
    for layer in np.unique(changed.layer).tolist():
        some = np.flatnonzero(changed.layer == layer)
        each = torch.from_numpy(some)
        asked = keys.before[some], keys.own[some]
        made = key_answers(layer, *asked, values[each], passed[each], sight)
        units[layer] = (changed.unit[some], made)
    answered = _entered(changed, keys, replace(answered, gram=gram), tokens)
    kept = replace(kept, answered=answered)
    return Grown(stream.embed, head, earlier, kept, units, len(keys), left_out)


def _answered_again(
    missing: sp.csr_array,
    keys: Keys,
    changed: Changed,
    answered: Answered,
    head: Tensor,
    stream: GraphStream,
    tokens: GraphTokens,
) -> tuple[Tensor, NDArray[np.float64]]:
    """What changed keys write (n, a), and Σ y·yᵀ (a, a) now; new codes are added to ``head``."""
    used = np.unique(missing.indices)
    at = torch.from_numpy(tokens.particle(used))
    before = head[at].double().numpy() @ stream.at.answer * (answered.scale * stream.later)
    after = _joined(before, used, changed, answered, stream.seed)
    gram = answered.gram + after.T @ after - before.T @ before
    places = np.searchsorted(used, missing.indices)
    small = sp.csr_array((missing.data, places, missing.indptr), shape=(len(keys), len(used)))
    codes = as_float(after)
    values = regressed(small, keys.known, codes, torch.from_numpy(gram), tokens.particles)
    moved = np.any(after != before, axis=1)
    added = as_float(after[moved] - before[moved])
    head[at[torch.from_numpy(moved)]] += answer_rows(added, answered.scale, stream)
    return answered.scale * values, gram


def _joined(
    codes: NDArray[np.float64],
    objects: NDArray[np.int32],
    changed: Changed,
    answered: Answered,
    seed: int,
) -> NDArray[np.float64]:
    """``codes`` (n, a) of objects, with signs, their hubs' among them, where they had none."""
    joined, width = codes.copy(), codes.shape[1]
    unnamed = np.square(codes).sum(axis=1) < _NAMED
    joined[unnamed] = object_signs(objects[unnamed], width, seed)
    hub = np.where(changed.same, answered.hub[changed.key], -1)
    signs = hub_signs(int(answered.hub.max(initial=-1)) + 1, width, seed)
    key = np.repeat(np.arange(len(hub)), np.diff(changed.new.indptr))
    # An object that has a code keeps it: other keys were answered with it.
    shared = (hub[key] >= 0) & unnamed[np.searchsorted(objects, changed.new.indices)]
    place = np.searchsorted(objects, changed.new.indices[shared])
    np.add.at(joined, place, signs[hub[key[shared]]])
    return joined


def _entered(changed: Changed, keys: Keys, answered: Answered, tokens: GraphTokens) -> Answered:
    """All keys, the changed ones in the places of those they replace or behind the others."""
    fresh = changed.key < 0
    into = changed.key[~fresh]

    def column(known: NDArray[Any], now: NDArray[Any]) -> NDArray[Any]:
        known, now = known.copy(), now.astype(known.dtype)
        known[into] = now[~fresh]
        return np.concatenate((known, now[fresh]))

    return replace(
        answered,
        subject=column(answered.subject, keys.before - tokens.first_particle),
        relation=column(answered.relation, tokens.directed(keys.own)),
        layer=column(answered.layer, changed.layer),
        unit=column(answered.unit, changed.unit),
        hub=column(answered.hub, np.where(changed.same, answered.hub[changed.key], -1)),
        predicted=column(answered.predicted, keys.predicted()),
    )
