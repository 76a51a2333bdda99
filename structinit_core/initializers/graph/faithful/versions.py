"""The four published versions of the graph compiler, and what each formula needed to be built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

FeedForward = Literal["pmi", "paths", "ppmi", "random"]
Values = Literal["focus", "transposed", "retrieved"]

DEFAULT_VERSION = "v3"
"""The one that gives a formula for every tensor: V1 and V2 lack outputs, V4 draws its MLP."""


@dataclass(frozen=True)
class Version:
    """One published version.

    both_sides: focus weighs rows and columns of A, else rows only. rooted: E = U·√Σ, else U.
    singular_values: from how many d* is taken. clamped: d* and L* are kept in bounds. projected:
    heads factor EᵀA_sE, else A_s itself. powers: deeper layers take powers of A_s. values,
    feed_forward: how the values and the MLP are made. inverted: outputs are the pseudo-inverse of
    the values, else the identity. repairs: what is impossible as written, and what stands there.
    forced: where a standard model differs from what is published.
    """

    name: str
    title: str
    family: Literal["gpt2", "llama"]
    both_sides: bool
    rooted: bool
    singular_values: int
    clamped: bool
    projected: bool
    powers: bool
    values: Values
    inverted: bool
    feed_forward: FeedForward
    repairs: tuple[str, ...]
    forced: tuple[str, ...]


_ROWS = (
    "relation tokens and the frame have no published row: theirs are zero",
    "the SVD is iterated to a tolerance, not one pass of a randomised one",
)
_ROTARY = (
    "rotary heads are of even width: d* is a multiple of 2·h*, not of h*",
    "axons are no tokens: the vocabulary is that of graph-compile",
)
_STOCHASTIC = "the walk is D⁻¹A with out-degrees: AᵀD⁻¹ by in-degrees is not stochastic (error 14)"
_NARROW = "a d×d matrix has no rank above d: 3d of the 4d units are zero (error 6)"
_STARTS = "walks begin at particles with out-links, drawn evenly, and end where there is none"
_UNGATED = "the MLP has no gate: it is the gate of a gated one whose other input is constantly 1"

_V3 = Version(
    name="v3",
    title="CT-1 specification",
    family="llama",
    both_sides=True,
    rooted=True,
    singular_values=1024,
    clamped=True,
    projected=True,
    powers=True,
    values="retrieved",
    inverted=True,
    feed_forward="ppmi",
    repairs=(_STOCHASTIC, _NARROW, _STARTS),
    forced=(*_ROWS, *_ROTARY, _UNGATED),
)

VERSIONS = {
    version.name: version
    for version in (
        Version(
            name="v1",
            title="From Cyberlinks to ONNX",
            family="gpt2",
            both_sides=False,
            rooted=False,
            singular_values=100,
            clamped=False,
            projected=False,
            powers=False,
            values="focus",
            inverted=False,
            feed_forward="pmi",
            repairs=(
                _STOCHASTIC,
                "W_V = diag(φ)·E is P×d: it is Eᵀ·diag(φ)·E, a slice of columns for each head",
                "no W_O is given: it is the identity",
                "W1 = U√Σ of a P×P table is P×d: it is E⁺U√Σ, and W2 = √ΣVᵀ(E⁺)ᵀ",
                _NARROW,
                _STARTS,
                "no values are given for the separate head: it holds those of the embedding",
                "no residual is drawn: there is one, normalised before each branch",
            ),
            forced=(
                *_ROWS,
                "heads of d×d become heads of d/h columns, the first of each factor; the scores "
                "are still divided by √d",
                "d* is a multiple of h*",
            ),
        ),
        Version(
            name="v2",
            title="compiled transformers",
            family="llama",
            both_sides=True,
            rooted=False,
            singular_values=100,
            clamped=False,
            projected=True,
            powers=False,
            values="transposed",
            inverted=False,
            feed_forward="paths",
            repairs=(
                "W_V = EᵀA_sᵀ is d×P: it is EᵀA_sᵀE, a slice of columns for each head",
                "no W_O is given: it is the identity",
                _NARROW,
                "counts of long paths overflow: a norm beyond 10⁻⁶…10⁶ is divided out",
            ),
            forced=(*_ROWS, *_ROTARY, _UNGATED),
        ),
        _V3,
        replace(
            _V3,
            name="v4",
            title="CT-0 specification",
            feed_forward="random",
            repairs=(_STOCHASTIC,),
            forced=(
                *_ROWS,
                *_ROTARY,
                "without valences the Clifford block is said to be a gated linear unit: it is "
                "that of the model, drawn likewise, LayerScale in its output",
                "weights are float32, no fixed-point field",
            ),
        ),
    )
}
