"""What a compiled graph holds and is worth, as the written checkpoint shows it."""

from __future__ import annotations

import numpy as np

from structinit_core.diagnose import Check, Report
from structinit_core.graph import Focus, PathOptions
from structinit_core.initializers.graph import GraphShape, GraphTokens, Keys
from structinit_core.recipes.graph_links import ReadLinks


def graph_report(
    read: ReadLinks, shape: GraphShape, focus: Focus, keys: Keys, paths: PathOptions | None
) -> Report:
    """``report.json`` of a compilation; ``paths``: how much was looked at, if anything."""
    graph, facts = read.graph, read.facts
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    stored = np.searchsorted(keys.objects.indptr, np.flatnonzero(keys.known), side="right") - 1
    values: dict[str, float | int | str | None] = {
        "particles": len(graph.particles),
        "links": len(graph),
        "relations": len(graph.relations),
        "vocabulary": tokens.vocabulary,
        "rows.read": facts.rows,
        "rows.bad": facts.bad,
        "rows.clipped": facts.clipped,
        "rows.duplicate": facts.duplicates,
        "focus.iterations": focus.iterations,
        "focus.residual": focus.residual,
        "focus.contraction": focus.contraction,
        "width": shape.width,
        "layers": shape.layers,
        "heads": shape.heads,
        "paths.links": paths.links if paths else 0,
        "paths.bodies": paths.bodies if paths else 0,
        "keys": len(keys),
        "keys.known": len(np.unique(stored)),
        "facts.stored": int(keys.known.sum()),
        "objects.predicted": int((~keys.known).sum()),
        "facts.per_unit": float(keys.known.sum() / max(len(keys), 1)),
    }
    return Report(
        subject="graph-compile",
        checks=tuple(Check(name=name, value=value) for name, value in values.items()),
    )
