"""A compiled graph with new links: new particles folded in, changed keys answered again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Orientation, Role, TensorSpec
from structinit_core.errors import NumericalError
from structinit_core.graph import Graph, PathModel
from structinit_core.initializers.closed_form import LogBilinear
from structinit_core.initializers.closed_form.parts import Units, as_float
from structinit_core.initializers.graph.changed import Changed, changed_keys
from structinit_core.initializers.graph.compile import head_rows
from structinit_core.initializers.graph.earlier import (
    Earlier,
    earlier_heads,
    earlier_maps,
    earlier_rows,
)
from structinit_core.initializers.graph.fold_in import Way, folded_in
from structinit_core.initializers.graph.heads import Sight
from structinit_core.initializers.graph.keys import known_keys
from structinit_core.initializers.graph.layout import (
    GraphStream,
    divide_graph,
    longest_code,
    placed,
)
from structinit_core.initializers.graph.memory import hub_signs, object_signs, regressed
from structinit_core.initializers.graph.parts import GraphParts, Kept
from structinit_core.initializers.graph.storing import (
    affordable,
    answer_rows,
    lacking,
    levels,
    met,
    stored_units,
)
from structinit_core.initializers.graph.tables import neighbours
from structinit_core.initializers.graph.tokens import GraphTokens
from structinit_core.initializers.stream import stored
from structinit_core.model import read_wiring
from structinit_core.progress import Progress

_NONE = np.zeros(0, np.int64)
_NAMED = 0.25
"""Squared length below which an object has no answer code; all others have at least 1."""


@dataclass(frozen=True)
class Grown:
    """A compiled graph that has grown: rows, and what changes in each layer's feed-forward.

    kept, subject and relation as in :class:`Earlier`, of all keys; solved: how many were
    answered again; moved: int64 (n,), earlier tokens whose row of the head changed.
    """

    embed: Tensor
    unembed: Tensor
    units: dict[int, tuple[NDArray[np.int64], Units]]
    earlier: Earlier
    kept: Kept
    subject: NDArray[np.int64]
    relation: NDArray[np.int64]
    solved: int
    moved: NDArray[np.int64]

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

    New particles get codes from their links (:func:`folded_in`), identity codes and fillers as
    a full compilation would draw them; every earlier row of ``embed`` stays as it is. Keys that
    the links change (:func:`changed_keys`) are answered again by the states that the network has
    there, with the objects' answer codes as they are: of the head only rows of objects change
    that had none. Codes of earlier tokens,
    relation maps, the log-prior and all other keys stay; ``value`` (E,) as in choose_keys. Cost
    O(degree·d) a particle, O(nnz·a·min(n, a)) for the changed keys, and a pass over links.
    Source: ours.
    """
    seed, kept, known = earlier.seed, earlier.kept, earlier.tokens.vocabulary
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    rows = earlier_rows(earlier)
    progress.stage("folding in")
    codes = folded_in(
        neighbours(graph, tokens, focus),
        earlier.codes(rows.embed, rows.unembed),
        tokens,
        focus,
        way,
    )
    codes = _clipped(codes, longest_code(kept.scale, blueprint.width), blueprint)
    stream = placed(
        codes.left.double().numpy(), codes, kept.scale, tokens, blueprint, seed, rows.embed
    )
    sight = Sight(stream, blueprint, read_wiring(blueprint))
    head = torch.cat((rows.unembed, head_rows(stream)))
    parts = GraphParts(
        stream.embed, rows.position, head, earlier_heads(earlier, sight), earlier_maps(earlier)
    )
    progress.stage("answers")
    changed = changed_keys(graph, weight, value, earlier)
    if not len(changed.query):
        return Grown(
            stream.embed, head, {}, earlier, kept, earlier.subject, earlier.relation, 0, _NONE
        )
    keys = known_keys(changed.query, changed.objects, model, tokens)
    states, into = met(keys, parts, changed.layer, sight)
    level = kept.levels[tokens.directed(keys.own)]
    if affordable(len(keys), head):
        level = levels(keys.own, states, head)
    missing = lacking(keys, states, head, tokens, level)
    used = np.unique(missing.indices)
    at = tokens.particle(used)
    before = _answer_codes(head[torch.from_numpy(at)], kept.answer, stream)
    after = _joined(before, used, changed, kept, seed, len(graph.particles))
    gram = kept.gram + after.T @ after - before.T @ before
    small = sp.csr_array(
        (missing.data, np.searchsorted(used, missing.indices), missing.indptr),
        shape=(len(keys), len(used)),
    )
    values = kept.answer * regressed(
        small, keys.known, as_float(after), torch.from_numpy(gram / len(graph.particles))
    )
    moved = np.any(after != before, axis=1)
    head[torch.from_numpy(at[moved])] += answer_rows(
        as_float(after[moved] - before[moved]), kept.answer, stream
    )
    units = {}
    for layer in np.unique(changed.layer).tolist():
        some = np.flatnonzero(changed.layer == layer)
        each = torch.from_numpy(some)
        made = stored_units(
            layer, keys.before[some], keys.own[some], values[each], into[each], sight
        )
        units[layer] = (changed.unit[some], made)
    subject, relation, kept = _entered(changed, replace(kept, gram=gram), earlier, tokens)
    moved_tokens = at[moved & (at < known)]
    return Grown(
        stream.embed, head, units, earlier, kept, subject, relation, len(keys), moved_tokens
    )


def _clipped(codes: LogBilinear, longest: float, blueprint: Blueprint) -> LogBilinear:
    """Codes as wide as the stream holds them, the left ones no longer than ``longest``."""
    missing = divide_graph(blueprint).predict - codes.left.shape[1]
    left, right = (
        torch.nn.functional.pad(side, (0, missing)) for side in (codes.left, codes.right)
    )
    factor = (longest / left.norm(dim=1).clamp(min=1e-30)).clamp(max=1)
    return LogBilinear(left * factor[:, None], right, codes.bias)


def _answer_codes(head: Tensor, scale: float, stream: GraphStream) -> NDArray[np.float64]:
    """The answer codes in rows of the head, (n, a)."""
    found: NDArray[np.float64] = head.double().numpy() @ stream.at.answer * (scale * stream.later)
    return found


def _joined(
    codes: NDArray[np.float64],
    objects: NDArray[np.int32],
    changed: Changed,
    kept: Kept,
    seed: int,
    particles: int,
) -> NDArray[np.float64]:
    """``codes`` (n, a) of objects, with signs, their hubs' among them, where they had none."""
    joined, width = codes.copy(), codes.shape[1]
    unnamed = np.square(codes).sum(axis=1) < _NAMED
    joined[unnamed] = object_signs(particles, width, seed)[objects[unnamed]]
    hub = np.where(changed.same, kept.hub[changed.key], -1)
    signs = hub_signs(int(kept.hub.max(initial=-1)) + 1, width, seed)
    key = np.repeat(np.arange(len(hub)), np.diff(changed.new.indptr))
    # An object that has a code keeps it: other keys were answered with it.
    shared = (hub[key] >= 0) & unnamed[np.searchsorted(objects, changed.new.indices)]
    place = np.searchsorted(objects, changed.new.indices[shared])
    np.add.at(joined, place, signs[hub[key[shared]]])
    return joined


def _entered(
    changed: Changed, kept: Kept, earlier: Earlier, tokens: GraphTokens
) -> tuple[NDArray[np.int64], NDArray[np.int64], Kept]:
    """The queries of all keys, and where they are stored."""
    fresh = changed.key < 0
    replaced = ~fresh & ~changed.same
    into = changed.key[replaced]
    query = earlier.subject * (2 * tokens.relations) + earlier.relation
    query[into] = changed.query[replaced]
    query = np.concatenate((query, changed.query[fresh]))
    hub = kept.hub.copy()
    hub[into] = -1
    kept = replace(
        kept,
        layer=np.concatenate((kept.layer, changed.layer[fresh])).astype(np.int32),
        unit=np.concatenate((kept.unit, changed.unit[fresh])).astype(np.int32),
        hub=np.concatenate((hub, np.full(int(fresh.sum()), -1))).astype(np.int32),
    )
    return query // (2 * tokens.relations), query % (2 * tokens.relations), kept
