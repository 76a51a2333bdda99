"""What a compiled graph holds and is worth, as the written checkpoint shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint, Kind, Role
from structinit_core.diagnose import Check, Report
from structinit_core.diagnose.links import (
    LinkFigures,
    LinkLosses,
    link_figures,
    recall,
    walk_losses,
)
from structinit_core.graph import Focus, directed
from structinit_core.initializers.graph import GraphShape
from structinit_core.linalg import Device, generator
from structinit_core.model import load_model, silenced
from structinit_core.progress import Progress
from structinit_core.recipes.graph_growth import Since
from structinit_core.recipes.graph_links import ReadLinks, graph_values
from structinit_core.recipes.graph_made import Made

_RECALLED, _RANKED, _ABLATED = 1 << 11, 1 << 13, 1 << 8
"""At most so many facts and links are drawn to be scored."""
_OF_GROWN = 1 << 8
"""The same of facts where an earlier checkpoint has grown, which is to cost little."""
_LOGITS, _FEW = 1 << 30, 1 << 6
"""Logits that scoring them may take, unless they are few."""
_PARTS = {
    "codes": (Role.ATTN_OUT, Role.MLP_DOWN),
    "heads": (Role.MLP_DOWN,),
}
"""What is silenced so that these and no later parts speak."""

Values = dict[str, float | int | str | None]


def graph_report(
    directory: Path,
    read: ReadLinks,
    shape: GraphShape,
    blueprint: Blueprint,
    focus: Focus,
    made: Made,
    since: Since,
    *,
    seed: int,
    device: Device,
    progress: Progress,
) -> Report:
    """``report.json`` of the checkpoint in ``directory``: sizes, recall, and held-out figures.

    Figures are of transformers' logits. Where there are more facts or links than a bound, so
    many are drawn by ``seed``. What ``since`` adds is named growth.
    """
    graph = read.graph
    progress.stage("loading the checkpoint")
    model = load_model(directory, device)
    affordable = max(_FEW, _LOGITS // blueprint.vocabulary)
    stored, paths = made.facts, made.paths
    most = _OF_GROWN if since.grows else _RECALLED
    drawn = _drawn(stored, min(most, affordable), seed, "facts")
    recalled = recall(model, graph, drawn, directed(graph), progress)
    values = (
        _sizes(read, shape, focus, made, len(stored))
        | _growth(read, made, since)
        | {
            "paths.links": paths.links if paths else 0,
            "paths.bodies": paths.bodies if paths else 0,
            "recall": recalled.share,
            "recall.facts": recalled.facts,
        }
    )
    notes = ["all logits are those of the written checkpoint in transformers"]
    if len(drawn) < len(stored):
        notes.append(f"{len(drawn)} of {len(stored)} stored facts are drawn and asked for")
    held_out = read.held_out
    if held_out is not None and len(held_out):
        asked = np.stack((held_out.subject, held_out.relation, held_out.object), axis=1)
        lacking = read.left_out.links if read.left_out else 0
        known = directed(graph, held_out, *read.also_true)
        drawn = _drawn(asked, min(_RANKED, affordable), seed, "links")
        if len(drawn) < len(asked):
            notes.append(f"{len(drawn)} of {len(asked)} held-out links are drawn and ranked")
            lacking = round(lacking * len(drawn) / len(asked))
        figures = link_figures(model, graph, drawn, known, progress, lacking=lacking)
        values |= _ranks(figures) | _losses("link", figures.losses)
        values |= _losses("walk", walk_losses(model, graph, drawn[:, [0, 2]], progress))
        some = _drawn(asked, min(_ABLATED, affordable), seed, "ablation")
        for name, silent in _PARTS.items():
            with silenced(model, _outputs(blueprint, silent)):
                alone = link_figures(model, graph, some, known, progress)
            values[f"ablation.{name}.mrr"] = alone.known.both.mrr
        whole = link_figures(model, graph, some, known, progress)
        values["ablation.whole.mrr"] = whole.known.both.mrr
        notes.append(
            f"ablation: {len(some)} held-out links ranked by codes alone, with attention, and whole"
        )
    checks = tuple(Check(name=name, value=value) for name, value in values.items())
    return Report(subject="graph-compile", checks=checks, notes=tuple(notes))


def _sizes(read: ReadLinks, shape: GraphShape, focus: Focus, made: Made, stored: int) -> Values:
    answered = made.kept.answered
    return graph_values(read, focus) | {
        "width": shape.width,
        "layers": shape.layers,
        "heads": shape.heads,
        "keys": len(answered),
        "keys.left_out": made.left_out,
        "facts.stored": stored,
        "facts.of_graph": stored / max(2 * len(read.graph), 1),
        "facts.per_unit": stored / max(len(answered), 1),
        "objects.predicted": int(answered.predicted.sum()),
    }


def _growth(read: ReadLinks, made: Made, since: Since) -> Values:
    """What became of the checkpoint to go on from, where there was to be one."""
    if since.path is None and since.reason is None:
        return {}
    graph, state = read.graph, since.state
    return {
        "growth": "increment" if since.grows else "full",
        "growth.reason": since.reason,
        "growth.focus_distance": since.distance,
        "growth.particles": len(graph.particles) - state.particles if state else None,
        "growth.links": len(graph) - len(state.links["subject"]) if state else None,
        "growth.keys": made.solved,
    }


def _drawn(rows: NDArray[np.int32], most: int, seed: int, name: str) -> NDArray[np.int32]:
    """At most so many of the rows, in their order."""
    if len(rows) <= most:
        return rows
    drawn = generator(seed, "graph", "scored", name).choice(len(rows), most, replace=False)
    chosen: NDArray[np.int32] = rows[np.sort(drawn)]
    return chosen


def _outputs(blueprint: Blueprint, roles: tuple[Role, ...]) -> list[str]:
    """Weights and biases by which layers add to the stream."""
    kinds = (Kind.WEIGHT, Kind.BIAS)
    return [
        spec.name
        for spec in blueprint.tensors
        if spec.kind in kinds and set(spec.roles) & set(roles)
    ]


def _ranks(figures: LinkFigures) -> Values:
    values: Values = {"links.held_out": figures.links, "links.lacking": figures.lacking}
    for scope, ranks in (("", figures.all_links), (".known_names", figures.known)):
        for side in ("both", "objects", "subjects"):
            ranking = getattr(ranks, side)
            end = "" if side == "both" else f".{side}"
            values[f"mrr{scope}{end}"] = ranking.mrr
            if side == "both":
                for k in (1, 3, 10):
                    values[f"hits_at_{k}{scope}"] = getattr(ranking, f"hits_at_{k}")
    return values


def _losses(name: str, losses: LinkLosses) -> Values:
    return {
        f"loss.{name}.model": losses.model,
        f"loss.{name}.among_particles": losses.among_particles,
        f"loss.{name}.uniform": losses.uniform,
        f"loss.{name}.prior": losses.prior,
        f"loss.{name}.exact_graph": losses.exact_graph,
    }
