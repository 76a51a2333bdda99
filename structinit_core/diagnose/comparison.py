"""Two checkpoints side by side: how far apart equal tensors are, and both values of each check."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from structinit_core.checkpoint import StoredTensors
from structinit_core.diagnose.layout import Layout
from structinit_core.diagnose.report import Check, Report
from structinit_core.diagnose.spectrum import safe_scale
from structinit_core.diagnose.tensors import pieces


def difference_checks(
    one: StoredTensors, other: StoredTensors, ours: Layout, theirs: Layout
) -> Iterator[Check]:
    """How each tensor of ``one`` differs from that of the same name and shape in ``other``.

    difference: ‖A − B‖/‖B‖; cosine: of all entries, ``None`` where one is zero; both only of
    finite floating-point tensors. For the whole ``equal``, ``changed``, ``only_here``,
    ``only_there`` and ``other_shape`` count tensors. With a config on both sides names are the
    blueprint's. Cost: two passes over both; 1 MiB of memory.
    """
    here, there = _names(ours), _names(theirs)
    equal = changed = misshapen = 0
    for key, name in here.items():
        if key not in there:
            continue
        if one.header(name)[1] != other.header(there[key])[1]:
            misshapen += 1
            continue
        a, b = one.read(name), other.read(there[key])
        if a.dtype == b.dtype and torch.equal(a, b):
            equal += 1
        else:
            changed += 1
        yield from _apart(name, a, b)
    counts = {
        "equal": equal,
        "changed": changed,
        "other_shape": misshapen,
        "only_here": len(here.keys() - there.keys()),
        "only_there": len(there.keys() - here.keys()),
    }
    for what, count in counts.items():
        yield Check(name=what, value=count, unit="tensors")


def beside(report: Report, other: Report) -> Report:
    """``report`` with the values of ``other`` under ``against``, where it has the same check.

    Its series and grids come along for pictures of both.
    """
    values = {(check.name, check.tensor): check.value for check in other.checks}
    checks = tuple(
        check.model_copy(update={"against": values.get((check.name, check.tensor))})
        for check in report.checks
    )
    return report.model_copy(
        update={
            "checks": checks,
            "against": other.subject,
            "series_against": other.series,
            "grids_against": other.grids,
        }
    )


def _names(layout: Layout) -> dict[str, str]:
    return {spec.name if spec else name: name for name, spec in layout.specs.items()}


def _apart(name: str, one: Tensor, other: Tensor) -> Iterator[Check]:
    if not (one.is_floating_point() and other.is_floating_point() and one.numel()):
        return
    bounds = [abs(float(x)) for t in (one, other) for p in pieces(t) for x in torch.aminmax(p)]
    if not all(map(math.isfinite, bounds)):
        return
    scale = safe_scale(torch.promote_types(one.dtype, other.dtype), max(bounds))
    apart = inner = ours = theirs = 0.0
    for a, b in zip(pieces(one), pieces(other), strict=True):
        x, y = a.double() / scale, b.double() / scale
        ours, theirs, inner = ours + float(x @ x), theirs + float(y @ y), inner + float(x @ y)
        apart += float((x - y).square().sum())
    ratio = math.sqrt(apart / theirs) if theirs else None
    lengths = math.sqrt(ours) * math.sqrt(theirs)
    cosine = max(-1.0, min(1.0, inner / lengths)) if lengths else None
    yield Check(name="difference", value=ratio, tensor=name)
    yield Check(name="cosine", value=cosine, tensor=name)
