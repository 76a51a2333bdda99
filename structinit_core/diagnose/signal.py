"""What a batch says of a start: the stream along depth, attention, logits, gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch

from structinit_core.blueprint import Blueprint, Norm, TensorSpec
from structinit_core.diagnose.layout import logical_parts
from structinit_core.diagnose.report import Check, Grid, Series
from structinit_core.model import Signal, gradient_norms, tensor_gradients

MOST_HALF = 65504.0
"""The largest float16."""
_UNIFORM, _SINGLE = 0.99, 0.01
_UNEVEN = 1e4

Finding = Check | Series | Grid


def signal_findings(signal: Signal, blueprint: Blueprint) -> Iterator[Finding]:
    """Stream, attention and logits of a batch as checks, curves and a grid.

    ``activation_mean`` and ``activation_variance`` of every boundary. For the whole:
    activation_max, the largest modulus, warns beyond float16. variance_growth, the variance
    after the last layer over that after the first, warns above 10·L²: that is ten times what
    branches of equal size give if all point the same way, so branches grow with depth.
    variance_least, the least that a norm has to divide by, warns below the norm's epsilon,
    which then damps the signal. attention_entropy of every head, and its mean over a layer's
    heads, as shares of uniform attention's: no verdict, since near 1 is what small queries and
    keys give at initialisation and near 0 is what a head made for one place gives. A loss or
    an activation that is not finite is a failure.
    """
    for place in (*signal.stream, signal.final):
        yield _check("activation_mean", place.moments.mean, place.name)
        yield _check("activation_variance", place.moments.variance, place.name)
    largest = max(place.moments.largest for place in signal.stream)
    finite = math.isfinite(signal.loss) and all(
        math.isfinite(place.moments.square) for place in (*signal.stream, signal.final)
    )
    yield Check(
        name="loss.batch",
        value=signal.loss if math.isfinite(signal.loss) else None,
        unit="nats",
        verdict="info" if finite else "fail",
    )
    if not finite:
        return
    verdict = "warn" if largest > MOST_HALF else "ok"
    yield Check(name="activation_max", value=largest, threshold=MOST_HALF, verdict=verdict)
    yield from _along_depth(signal, blueprint)
    yield from _attention(signal)
    yield _check("logit_mean", signal.logits.mean)
    yield _check("logit_rms", math.sqrt(signal.logits.square))
    yield _check("logit_max", signal.logits.largest)


def gradient_findings(
    model: torch.nn.Module, blueprint: Blueprint, names: Mapping[str, str]
) -> Iterator[Finding]:
    """Norms of the present gradient: of each logical part, of layers, and along depth by role.

    ``names`` are the stored names of the blueprint's tensors. gradient_norm of a ``layer``
    warns where it is 0: nothing in that layer will be trained by the first step.
    gradient_spread, the largest over the smallest of the layers, warns above 10⁴. Series are
    ``gradient_norm`` and those of each role's weights, a value a layer.
    """
    layers = gradient_norms(model, blueprint)
    for layer, norm in layers.items():
        verdict = "info" if norm > 0 else "warn"
        yield _check("gradient_norm", norm, layer, verdict=verdict)
    depth = [layers[f"layer {layer}"] for layer in range(blueprint.layers)]
    if not all(math.isfinite(norm) for norm in depth):
        return
    if min(depth) > 0:
        spread = max(depth) / min(depth)
        verdict = "warn" if spread > _UNEVEN else "ok"
        yield Check(name="gradient_spread", value=spread, threshold=_UNEVEN, verdict=verdict)
    yield Series(name="gradient_norm", values=tuple(depth))
    roles: dict[str, dict[int, float]] = {}
    for spec, gradient in tensor_gradients(model, blueprint):
        for name, role, norm in _parts(spec, gradient, names.get(spec.name, spec.name)):
            yield _check("gradient_norm", norm, name)
            if spec.layer is not None and spec.name.endswith(".weight") and math.isfinite(norm):
                roles.setdefault(role, {})[spec.layer + 1] = norm
    for role, found in roles.items():
        yield Series(name=f"gradient_norm.{role}", values=tuple(found.values()), at=tuple(found))


def signal_notes(signal: Signal) -> list[str]:
    """What attention's entropy means before training, in words."""
    count, notes = signal.entropy.size, []
    uniform = int((signal.entropy >= _UNIFORM).sum())
    single = int((signal.entropy <= _SINGLE).sum())
    if uniform:
        notes.append(
            f"attention is nearly uniform in {uniform} of {count} heads: normal before training, "
            "where queries and keys are small"
        )
    if single:
        notes.append(
            f"attention goes to one token in {single} of {count} heads: by design in heads made "
            "for one place; in random ones softmax is saturated and lets little gradient through"
        )
    return notes


def _along_depth(signal: Signal, blueprint: Blueprint) -> Iterator[Finding]:
    stream = signal.stream
    for name in ("mean", "variance"):
        yield Series(
            name=f"activation_{name}",
            values=tuple(getattr(place.moments, name) for place in stream),
            at=tuple(place.depth + 1 for place in stream),
        )
    first = next(place.moments.variance for place in stream if place.depth == 2)
    most = 10.0 * blueprint.layers**2
    if first > 0:
        growth = stream[-1].moments.variance / first
        verdict = "warn" if growth > most else "ok"
        yield Check(name="variance_growth", value=growth, threshold=most, verdict=verdict)
    least = min(
        place.moments.square if blueprint.norm is Norm.RMS else place.moments.variance
        for place in stream
    )
    small = blueprint.norm_epsilon
    verdict = "warn" if least < small else "ok"
    yield Check(name="variance_least", value=least, threshold=small, verdict=verdict)


def _attention(signal: Signal) -> Iterator[Finding]:
    rows = tuple(tuple(round(float(share), 4) for share in row) for row in signal.entropy)
    yield Grid(name="attention_entropy", rows=rows)
    for layer, shares in enumerate(signal.entropy):
        yield _check("attention_entropy", float(shares.mean()), f"layer {layer}")
        for head, share in enumerate(shares):
            yield _check("attention_entropy", float(share), f"layer {layer} head {head}")


def _parts(spec: TensorSpec, gradient: torch.Tensor, name: str) -> Iterator[tuple[str, str, float]]:
    for part, role, matrix in logical_parts(name, gradient, spec):
        if role is not None:
            yield part.name, role.value, float(matrix.double().norm())


def _check(name: str, value: float, tensor: str | None = None, **more: str) -> Check:
    shown = value if math.isfinite(value) else None
    return Check(name=name, value=shown, tensor=tensor, **more)
