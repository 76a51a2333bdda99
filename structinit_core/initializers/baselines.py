"""The reference starts that a race compares with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, TensorSpec
from structinit_core.errors import IncompatibleError, NumericalError, UsageError
from structinit_core.initializers.draws import RESIDUAL, Draw, gpt2_draw, xavier_draw
from structinit_core.initializers.mimetic import mimetic_draw
from structinit_core.initializers.stream import stored
from structinit_core.initializers.unigram_bias import unigram_bias

Stream = Iterator[tuple[TensorSpec, Tensor]]


@dataclass(frozen=True)
class Baseline:
    """One reference start: drawn part by part, or the family's own with a change.

    ``draw``: ``None`` for what begins with the family's own initialisation. ``zero_out``: what
    writes into the residual stream is zero. ``unit_gains``: every norm gain must be 1.
    """

    draw: Callable[[Blueprint, int], Draw] | None = None
    zero_out: bool = False
    needs_unigram: bool = False
    unit_gains: bool = True

    @property
    def needs_default(self) -> bool:
        """Whether it is made from the family's own initialisation."""
        return self.draw is None


BASELINES = {
    "default": Baseline(),
    "gpt2": Baseline(gpt2_draw),
    "xavier": Baseline(lambda _, seed: xavier_draw(seed)),
    "xavier-zero-gain": Baseline(lambda _, seed: xavier_draw(seed, gain=0.0), unit_gains=False),
    "zero-out": Baseline(zero_out=True),
    "unigram-bias": Baseline(zero_out=True, needs_unigram=True),
    "mimetic": Baseline(lambda blueprint, seed: mimetic_draw(blueprint, seed, value=-0.4)),
    "mimetic-positive": Baseline(lambda blueprint, seed: mimetic_draw(blueprint, seed, value=0.4)),
}
"""``default``: the family's own, as transformers draws it. ``xavier-zero-gain``: the baseline
published with DPI, matrices Xavier and all else 0, norm gains too, so all logits are 0.
``mimetic``: as published, for vision; ``mimetic-positive``: the other sign of the values, which
trained language models show as well."""
BASELINE_NAMES = tuple(BASELINES)


def baseline_stream(
    name: str,
    blueprint: Blueprint,
    seed: int,
    *,
    default: Mapping[str, Tensor] | None = None,
    unigram: NDArray[np.float64] | None = None,
) -> Stream:
    """Every stored tensor of the start ``name`` in blueprint order: (spec, float32 tensor).

    ``default``: the family's own tensors by name, for what ``needs_default``; ``unigram``:
    positive probabilities of the counted tokens, for what ``needs_unigram``. Deterministic for
    name, blueprint, seed and these. Memory: one tensor beyond them.

    Raises:
        UsageError: an unknown name. ValueError: ``default`` or ``unigram`` is needed.
        IncompatibleError: unigram-bias with a tied head; a tensor that ``default`` lacks.
        NumericalError: a norm gain that is not 1, but for xavier-zero-gain.
    """
    baseline = BASELINES.get(name)
    if baseline is None:
        raise UsageError(f"no baseline {name!r}", hint=f"there are: {', '.join(BASELINE_NAMES)}")
    if baseline.draw:
        stream = _drawn(blueprint, baseline.draw(blueprint, seed))
    elif default is None:
        raise ValueError(f"{name} is made from the family's own tensors")
    else:
        stream = _own(blueprint, default, baseline.zero_out)
    if baseline.needs_unigram:
        if unigram is None:
            raise ValueError(f"{name} is made from a unigram")
        stream = unigram_bias(stream, blueprint, seed, unigram)
    return assert_unit_gains(stream) if baseline.unit_gains else stream


def assert_unit_gains(stream: Iterable[tuple[TensorSpec, Tensor]]) -> Stream:
    """``stream`` itself; no start wins or loses by the gains of its norms.

    Raises:
        NumericalError: a norm gain that is not 1 throughout.
    """
    for spec, tensor in stream:
        if spec.kind is Kind.WEIGHT and tensor.ndim == 1 and not bool((tensor == 1).all()):
            raise NumericalError("a norm gain is not 1", where=spec.name)
        yield spec, tensor


def _drawn(blueprint: Blueprint, draw: Draw) -> Stream:
    for spec in blueprint.tensors:
        if not spec.tied_to:
            yield spec, stored(spec, [draw(spec, role) for role in spec.roles])


def _own(blueprint: Blueprint, default: Mapping[str, Tensor], zero_out: bool) -> Stream:
    for spec in blueprint.tensors:
        if spec.tied_to:
            continue
        tensor = default.get(spec.name)
        if tensor is None or tuple(tensor.shape) != spec.shape:
            raise IncompatibleError("the family's own model has no such tensor", where=spec.name)
        tensor = tensor.float()
        # The biases too: they are 0 in every family, and what follows relies on it.
        yield spec, tensor.new_zeros(spec.shape) if zero_out and _residual(spec) else tensor


def _residual(spec: TensorSpec) -> bool:
    return spec.roles[0] in RESIDUAL
