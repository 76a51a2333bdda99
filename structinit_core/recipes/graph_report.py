"""What a compiled graph holds and is worth, as the written checkpoint shows it."""

from __future__ import annotations

from structinit_core.diagnose import Check, Report
from structinit_core.graph import Focus
from structinit_core.initializers.graph import GraphShape, GraphTokens
from structinit_core.recipes.graph_growth import Since
from structinit_core.recipes.graph_links import ReadLinks
from structinit_core.recipes.graph_made import Made, queries_stored


def graph_report(
    read: ReadLinks, shape: GraphShape, focus: Focus, made: Made, since: Since
) -> Report:
    """``report.json`` of a compilation."""
    graph, facts = read.graph, read.facts
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    known, stored = queries_stored(graph, made)
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
        "keys": len(made.subject),
        "keys.known": known,
        "facts.stored": stored,
        "objects.predicted": made.predicted,
        "facts.per_unit": stored / max(len(made.subject), 1),
    }
    if since.path is not None or since.reason is not None:
        state = since.state
        values |= {
            "growth": "increment" if since.grows else "full",
            "growth.reason": since.reason,
            "growth.focus_distance": since.distance,
            "growth.particles": len(graph.particles) - state.particles if state else None,
            "growth.links": len(graph) - len(state.links["subject"]) if state else None,
            "growth.keys": made.solved,
        }
    return Report(
        subject="graph-compile",
        checks=tuple(Check(name=name, value=value) for name, value in values.items()),
    )
