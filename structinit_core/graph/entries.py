"""Results as entries of a table: each with its formula and what it depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from structinit_core.graph.architecture import (
    CONTRACTIONS,
    DEPTHS,
    EPSILON,
    depth,
    parameters,
    stated_rate,
    vocabulary,
)
from structinit_core.graph.components import Components
from structinit_core.graph.diameter import Diameter
from structinit_core.graph.focus import DAMPING, Floats, Focus
from structinit_core.graph.graph import Graph
from structinit_core.graph.shape import (
    concentration,
    degrees,
    entropy_bits,
    neuron_weight,
    never_a_source,
)
from structinit_core.graph.spectrum import Gap, SingularValues, Weighting
from structinit_core.graph.suggestion import Suggestion
from structinit_core.graph.tri_kernel import stated_contraction

_MATRIX = {"focus": "diag(√φ)·A·diag(√φ)", "rows": "diag(√φ)·A", "none": "A"}


@dataclass(frozen=True)
class Statistic:
    """One number of a graph, or ``None`` where it does not exist, and what it means.

    formula: how it is computed; conditions: what it holds for and depends on.
    """

    name: str
    value: float | int | None
    unit: str = ""
    formula: str = ""
    conditions: str = ""


def of_links(graph: Graph, parts: Components) -> list[Statistic]:
    """Sizes, components and degrees."""
    share = len(parts.rows) / parts.linked if parts.linked else None
    found = [
        Statistic("particles", len(graph.particles)),
        Statistic("links", len(graph), "", "distinct (subject, relation, object)"),
        Statistic("h*", len(graph.relations), "", "relations, that of untyped links included"),
        Statistic("neurons", len(graph.neurons)),
        Statistic("components", parts.count, "", "weakly connected, of particles with a link"),
        Statistic("component.largest", len(parts.rows), "particles"),
        Statistic("component.share", share, "", "largest / particles with a link"),
    ]
    for name, side in zip(("out", "in"), degrees(graph), strict=True):
        held = f"over the {side.particles:,} particles with any"
        found += [
            Statistic(f"degree.{name}.mean", side.mean, "links", "", held),
            Statistic(f"degree.{name}.median", side.median, "links", "", held),
            Statistic(f"degree.{name}.largest", side.largest, "links", "", held),
        ]
    never = "linked particles without out-links / linked particles"
    bare = "left singular vectors alone would leave these without an embedding"
    return [*found, Statistic("never_source", never_a_source(graph), "", never, bare)]


def of_focus(name: str, focus: Focus, formula: str) -> list[Statistic]:
    """What an iteration came to, and how fast."""
    size = len(focus.values)
    steps = f"after {focus.iterations} steps" + ("" if focus.converged else ", not converged")
    most = f"at most log₂ P = {math.log2(size):.2f} bits"
    entropy = entropy_bits(focus.values)
    return [
        Statistic(f"{name}.iterations", focus.iterations, "steps", formula),
        Statistic(f"{name}.residual", focus.residual, "", "Σ|change of φ|", steps),
        Statistic(f"{name}.contraction", focus.contraction, "", "observed", "no proven rate"),
        Statistic(f"{name}.largest", float(np.max(focus.values)), "", "max φ"),
        Statistic(f"{name}.entropy", entropy, "bits", "−Σ φ·log₂ φ", most),
    ]


def of_spectrum(
    parts: Components,
    gap: Gap | None,
    norm: float | None,
    spectrum: SingularValues,
    weighting: Weighting,
) -> list[Statistic]:
    """Spectral gap, the contraction stated for the tri-kernel, singular values and d*."""
    inside = f"largest component without directions, {len(parts.rows):,} particles"
    count, tail = len(spectrum.values), f"{spectrum.tail:.1%} of Σσ² beyond them"
    stated = None if gap is None or norm is None else stated_contraction(norm, gap.value)
    return [
        Statistic(
            "spectral_gap",
            gap.value if gap else None,
            "",
            "λ₂ of I − D^(−½)(A + Aᵀ)D^(−½)",
            f"{inside}; residual {gap.residual:.0e}" if gap else f"{inside}; not found",
        ),
        Statistic(
            "tri_kernel.stated_contraction",
            stated,
            "",
            "κ = λ_d·α + λ_s·‖L‖/(‖L‖ + μ) + λ_h·e^(−τ·λ₂)",
            "heuristic: bounds in different norms, λ₂ of the largest component alone",
        ),
        Statistic(
            "singular_values",
            count,
            "",
            f"the first of {_MATRIX[weighting]}",
            f"largest residual {spectrum.residual:.0e} of the first",
        ),
        Statistic("singular_values.tail", spectrum.tail, "", "1 − Σσ²/‖M‖²", f"k = {count}"),
        Statistic(
            "d*",
            spectrum.effective_rank,
            "",
            "exp(−Σ p·ln p), p = σ/Σσ",
            f"of the first k = {count}, {tail}: grows with k",
        ),
        Statistic(
            "d*.squared",
            spectrum.effective_rank_squared,
            "",
            "exp(−Σ p·ln p), p = σ²/Σσ²",
            f"of the first k = {count}, {tail}: grows with k, but less",
        ),
    ]


def of_depth(reach: Diameter, gap: Gap | None, focus: Focus) -> list[Statistic]:
    """Diameter and L*, by the stated and by the observed contraction."""
    bound = f"a lower bound after {reach.searches} searches, at most {reach.upper}"
    held = "largest component without directions, " + ("exact" if reach.exact else bound)
    found = [Statistic("diameter", reach.lower, "hops", "longest shortest path", held)]
    stated = stated_rate(DAMPING, gap.value) if gap else None
    for name, rate, formula in (
        ("L*", stated, "κ = α·(1 − λ₂)"),
        ("L*.observed", focus.contraction, "κ = observed contraction of PageRank"),
    ):
        formula = f"diameter·⌈ln(1/ε)/ln(1/κ)⌉, ε = {EPSILON}, {formula}"
        if rate is None:
            found.append(Statistic(name, None, "layers", formula, "κ does not exist"))
            continue
        deep = depth(reach.lower, rate)
        conditions = (
            f"κ = {deep.contraction:.4f} (kept within {CONTRACTIONS}), {deep.steps} steps; "
            f"{deep.clamped} when kept within {DEPTHS}; multiplies two notions of depth"
        )
        found.append(Statistic(name, deep.layers, "layers", formula, conditions))
    return found


def of_neurons(graph: Graph, stake: Floats | None) -> list[Statistic]:
    """How unequally stake, or else weight, is held."""
    amounts = neuron_weight(graph) if stake is None else stake
    what = "weight of the links a neuron said first" if stake is None else "stake"
    held = concentration(amounts)
    if held is None:
        names = ("gini", "top", "top_five")
        return [Statistic(f"neurons.{name}", None, "", "", "no neuron holds any") for name in names]
    over = f"{what}, {held.holders:,} neurons"
    gini = "Σ(2i − n − 1)·x_i/(n·Σx), x ascending"
    return [
        Statistic("neurons.gini", held.gini, "", gini, over),
        Statistic("neurons.top", held.top, "", "largest / all", over),
        Statistic("neurons.top_five", held.top_five, "", "five largest / all", over),
    ]


def of_size(graph: Graph, built: Suggestion) -> list[Statistic]:
    """Vocabulary, parameters and bytes of a checkpoint of these sizes."""
    words = vocabulary(len(graph.particles), len(graph.relations))
    count = parameters(words, built.width, built.layers, tied=False)
    sizes = f"d = {built.width}, h = {built.heads}, L = {built.layers}, untied"
    return [
        Statistic("vocabulary", words, "tokens", "particles + 2·relations"),
        Statistic("parameters", count, "", "2·V·d + L·(12·d² + 2·d) + d", sizes),
        Statistic("checkpoint", 4 * count, "bytes", "4·parameters", "float32"),
    ]
