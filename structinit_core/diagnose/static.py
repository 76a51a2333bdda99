"""One pass over a stored checkpoint: every static finding, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Role, TensorSpec
from structinit_core.checkpoint import StoredTensors
from structinit_core.diagnose.embeddings import cosine_of_rows, row_findings
from structinit_core.diagnose.heads import Projection, head_findings
from structinit_core.diagnose.layout import Layout, is_weight, layout_of, logical_parts
from structinit_core.diagnose.matrices import RANDOM_LIKE, spectrum_findings
from structinit_core.diagnose.report import Check, Grid, Part, Series
from structinit_core.diagnose.spectrum import EXACT_WIDTH, gram, safe_scale, spectrum
from structinit_core.diagnose.tensors import Values, norm_checks, read_values, value_checks
from structinit_core.errors import LimitError
from structinit_core.progress import Progress

Finding = Check | Series | Grid | Part
_ATTENTION = (Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V, Role.ATTN_OUT)
_NORMS = (Role.ATTN_NORM, Role.MLP_NORM, Role.FINAL_NORM, Role.Q_NORM, Role.K_NORM)
_PRODUCTS = (
    (Role.ATTN_Q, Role.ATTN_K),
    (Role.ATTN_V, Role.ATTN_OUT),
    (Role.MLP_UP, Role.MLP_DOWN),
)
_PIECES = 3 << 26


def static_findings(
    stored: StoredTensors,
    blueprint: Blueprint | None,
    *,
    device: torch.device,
    memory_bytes: int,
    unigram: NDArray[np.int64] | None = None,
    progress: Progress,
) -> Iterator[Finding]:
    """Everything the tensors of a checkpoint say on their own; see the functions it calls.

    By role where ``blueprint`` is given, its fused tensors taken apart; any other tensor as it
    lies. Verdicts are such as are true of a start: NaN or infinity fails. These warn:
    ``missing``, ``misshapen``: tensors that are not as the config says; ``zero_gain``: a norm
    that lets nothing through; ``zero_pair``: two maps that multiply each other and are both
    zero, so that no gradient reaches either; ``heads.identical``; ``duplicate_of``: a random
    matrix that holds the bytes of another; ``head_cosine``: a head that its config ties and that is
    stored otherwise. Tensors are mapped, one at a time; memory beside that: 4·n² float64 for
    the longest of the shorter sides up to 4,096, and those of one layer's heads. Cost: m·n²
    multiply-adds a matrix and its eigenvalues. Deterministic for one BLAS and device.

    Raises:
        LimitError: that is more than ``memory_bytes``; nothing was read then.
        InputError: a tensor cannot be read.
    """
    layout = layout_of(stored, blueprint)
    _check_memory(stored, layout, blueprint, memory_bytes)
    progress.stage("looking at tensors", len(stored.names))
    yield Check(name="tensors", value=len(stored.names))
    if blueprint is not None:
        yield _listed("missing", layout.missing)
        yield _listed("misshapen", layout.misshapen)
    one = _Pass(stored, layout, blueprint, device, unigram)
    for name in layout.specs:
        yield from one.tensor(name)
        progress.advance()
    yield from one.whole()


def static_notes(blueprint: Blueprint) -> list[str]:
    """What is not looked at in a model so large."""
    span = blueprint.heads * blueprint.head_width
    if span <= EXACT_WIDTH:
        return []
    return [f"heads are held against each other up to {EXACT_WIDTH:,} wide, not {span:,}"]


def static_work(stored: StoredTensors) -> int:
    """Multiply-adds of the Gram matrices of a checkpoint, for the choice of a device."""
    shapes = (stored.header(name)[1] for name in stored.names)
    sides = [sorted(shape) for shape in shapes if len(shape) == 2]
    return sum(short * short * long for short, long in sides if short <= EXACT_WIDTH)


@dataclass
class _Pass:
    stored: StoredTensors
    layout: Layout
    blueprint: Blueprint | None
    device: torch.device
    unigram: NDArray[np.int64] | None
    seen: dict[object, list[str]] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)
    zero: set[tuple[Role, int | None]] = field(default_factory=set)
    held: dict[Role, Projection] = field(default_factory=dict)
    layer: int | None = None

    def tensor(self, name: str) -> Iterator[Finding]:
        """What one stored tensor says, and its layer's heads once their four maps were read."""
        tensor, spec = self.stored.read(name), self.layout.specs[name]
        values = read_values(tensor) if tensor.is_floating_point() else None
        yield from value_checks(name, tensor, values)
        usable = values is not None and values.finite and tensor.numel() > 0
        for part, role, matrix in logical_parts(name, tensor, spec):
            yield part
            if values is None or not usable or not is_weight(spec):
                continue
            if values.constant and values.high == 0 and role is not None:
                self.zero.add((role, part.layer))
                if role in _NORMS:
                    yield Check(name="zero_gain", value=1, verdict="warn", tensor=name)
            if matrix.ndim == 2 and min(matrix.shape) > 1:
                yield from self._matrix(part, spec, role, matrix, values)
        if values is not None and usable and tensor.ndim > 1 and not values.constant:
            yield from self._duplicate(name, tensor, values)

    def whole(self) -> Iterator[Finding]:
        """What several tensors say together."""
        for layer in sorted({layer for _, layer in self.zero if layer is not None}):
            for one, other in _PRODUCTS:
                if (one, layer) in self.zero and (other, layer) in self.zero:
                    pair = f"{one.value}, {other.value}"
                    where = f"layer {layer}"
                    yield Check(name="zero_pair", value=pair, verdict="warn", tensor=where)
        names = {
            spec.roles[0]: name
            for name, spec in self.layout.specs.items()
            if spec is not None and spec.roles[0] in (Role.EMBED, Role.HEAD)
        }
        tied = self.layout.tied
        if tied is not None:
            yield Check(name="tied", value="tied" if tied else "untied")
        if len(names) == 2:
            cosine = cosine_of_rows(*(self.stored.read(name) for name in names.values()))
            if cosine is not None and np.isfinite(cosine):
                verdict = "warn" if tied and cosine < 1 - 1e-6 else "info"
                yield Check(name="head_cosine", value=cosine, verdict=verdict)

    def _matrix(
        self, part: Part, spec: TensorSpec | None, role: Role | None, matrix: Tensor, values: Values
    ) -> Iterator[Finding]:
        along = {Role.ATTN_OUT: 1}.get(role, 0) if role in _ATTENTION else None
        scale = safe_scale(matrix.dtype, values.largest)
        found, products = spectrum(matrix, scale, self.device, name=part.name, along=along)
        if spec is not None and len(spec.roles) > 1:
            yield from norm_checks(part.name, math.sqrt(found.energy) * scale, matrix.numel())
        for finding in spectrum_findings(part.name, found):
            yield finding
            if isinstance(finding, Check) and finding.value == RANDOM_LIKE:
                self.drawn.add(part.name.partition("[")[0])
        if role in (Role.EMBED, Role.HEAD):
            yield from row_findings(part.name, matrix, self.unigram)
        if along is not None and part.layer is not None and matrix.shape[along] <= EXACT_WIDTH:
            if products is None:
                products = gram(matrix, along, scale, self.device)
            yield from self._heads(part.layer, role, matrix, products.float())

    def _heads(
        self, layer: int, role: Role | None, matrix: Tensor, products: Tensor
    ) -> Iterator[Finding]:
        """The layer's heads, once its four maps are there."""
        if self.blueprint is None or role is None:
            return
        if layer != self.layer:
            self.held.clear()
            self.layer = layer
        shared = role in (Role.ATTN_K, Role.ATTN_V)
        heads = self.blueprint.kv_heads if shared else self.blueprint.heads
        self.held[role] = Projection(matrix, products, heads, self.blueprint.head_width)
        if len(self.held) == len(_ATTENTION):
            yield from head_findings(layer, self.held)
            self.held.clear()

    def _duplicate(self, name: str, tensor: Tensor, values: Values) -> Iterator[Check]:
        """Whether the tensor is one that came before: candidates have the very same sums."""
        alike = self.seen.setdefault((tensor.dtype, tensor.shape, values), [])
        first = next((one for one in alike if torch.equal(self.stored.read(one), tensor)), None)
        alike.append(name)
        if first is not None:
            spec = self.layout.specs[name]
            tie = spec is not None and spec.roles[0] is Role.HEAD
            verdict = "warn" if name in self.drawn and not tie else "info"
            yield Check(name="duplicate_of", value=first, verdict=verdict, tensor=name)


def _listed(what: str, names: tuple[str, ...]) -> Check:
    """A count of names that should not be there."""
    return Check(
        name=what,
        value=len(names),
        unit="tensors",
        threshold=0,
        verdict="warn" if names else "ok",
        tensor=None,
    )


def _check_memory(
    stored: StoredTensors, layout: Layout, blueprint: Blueprint | None, memory_bytes: int
) -> None:
    squares, widest = 0, ""
    for name, spec in layout.specs.items():
        shape = stored.header(name)[1] if spec is None else spec.logical_shape
        if len(shape) == 2 and squares < min(shape) ** 2 and min(shape) <= EXACT_WIDTH:
            squares, widest = min(shape) ** 2, name
    need = _PIECES + 32 * squares
    if blueprint is not None:
        span = blueprint.heads * blueprint.head_width
        need += 16 * span**2 if span <= EXACT_WIDTH else 0
    if need > memory_bytes:
        raise LimitError(
            f"its spectrum takes {need / 2**20:,.0f} MiB of working memory",
            where=widest or None,
            hint=f"raise --memory, now {memory_bytes / 2**20:,.0f} MiB",
        )
