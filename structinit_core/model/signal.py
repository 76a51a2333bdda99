"""Signal through a model at step 0: activations, attention, logits and the gradient of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Role
from structinit_core.model.loss import check_tokens
from structinit_core.model.wiring import read_wiring
from structinit_core.progress import Progress

_LOGIT_ELEMENTS = 1 << 22
_LOGIT_BYTES = 5 * 4 * _LOGIT_ELEMENTS


@dataclass
class Moments:
    """Mean, variance about it and largest modulus of numbers, summed in float64."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    largest: float = 0.0

    def add(self, values: Tensor) -> None:
        """Take ``values`` in, of any shape."""
        self.count += values.numel()
        self.total += float(values.sum(dtype=torch.float64))
        self.squares += float(values.double().square().sum())
        # max() would lose a NaN.
        self.largest = float(np.maximum(self.largest, float(values.abs().max())))

    @property
    def mean(self) -> float:
        """The mean."""
        return self.total / self.count

    @property
    def square(self) -> float:
        """The mean square."""
        return self.squares / self.count

    @property
    def variance(self) -> float:
        """The mean square less the squared mean."""
        return max(0.0, self.square - self.mean**2)


@dataclass
class Boundary:
    """A place of the residual stream; ``depth`` is in halves of a layer, 0 after the embedding.

    ``name``: ``after embedding``, ``layer 0 after attention``, ``layer 0 after feed-forward``
    (which is the stream before the next layer's attention), …, ``after final norm``.
    """

    name: str
    depth: int
    moments: Moments = field(default_factory=Moments)


@dataclass(frozen=True)
class Signal:
    """What a batch does in a model.

    ``stream``: boundaries in order, ``final``: after the final norm. ``entropy``: float64
    (L, H), each head's mean over queries of the entropy of its attention over that of uniform
    attention to the keys the query sees; 0 is one key, 1 all of them alike. ``logits``: of all
    predictions. ``loss``: nats a token. The model holds the gradient of that where it was
    asked for.
    """

    stream: tuple[Boundary, ...]
    final: Boundary
    entropy: NDArray[np.float64]
    logits: Moments
    loss: float


def signal_rows(blueprint: Blueprint, length: int, memory_bytes: int, *, gradients: bool) -> int:
    """How many sequences of ``length`` tokens at a time fit beside the weights; 0: none.

    Counts float32 weights, their gradient, the activations that the backward pass needs (or
    those of one layer), a layer's attention matrices, and a block of logits.
    """
    heads = blueprint.heads * blueprint.head_width
    a_token = 8 * blueprint.width + 6 * heads + 5 * blueprint.feed_forward
    a_token += 4 * blueprint.heads * length
    layers = blueprint.layers if gradients else 1
    weights = 4 * blueprint.parameters * (2 if gradients else 1)
    free = memory_bytes - weights - _LOGIT_BYTES
    return max(0, free // (4 * length * (layers * a_token + 4 * blueprint.width)))


def measure_signal(
    model: torch.nn.Module,
    blueprint: Blueprint,
    ids: NDArray[np.int64],
    progress: Progress,
    *,
    rows: int,
    gradients: bool = True,
) -> Signal:
    """The signal of ``ids``, int64 (n, T), ``rows`` sequences at a time.

    With ``gradients`` the gradient of the mean loss over all predictions is left in the
    model. Attention is computed eagerly, so that its matrices can be seen. Cost: one forward
    (and backward) pass; memory as :func:`signal_rows` says. Deterministic for a fixed device,
    thread count and ``rows``; ``rows`` changes sums by their rounding only.

    Raises:
        IncompatibleError: a token the model has no row for.
    """
    check_tokens(ids, blueprint.vocabulary)
    network: Any = model
    model.zero_grad(set_to_none=True)
    device = next(model.parameters()).device
    watch = _Watch(blueprint)
    loss, predictions = 0.0, ids.shape[0] * (ids.shape[1] - 1)
    with _eager(network), watch.on(model), torch.set_grad_enabled(gradients):
        for low in range(0, len(ids), rows):
            batch = torch.from_numpy(ids[low : low + rows]).to(device)
            hidden = network.base_model(input_ids=batch, use_cache=False).last_hidden_state
            states = hidden.detach().requires_grad_(gradients)
            head = network.get_output_embeddings()
            for logits, wanted in _blocks(head, states, batch, blueprint.vocabulary):
                part = torch.nn.functional.cross_entropy(logits, wanted, reduction="sum")
                watch.logits.add(logits.detach())
                loss += float(part.detach())
                if gradients:
                    (part / predictions).backward()
            if gradients:
                hidden.backward(states.grad)
            progress.advance(len(batch))
    *stream, final = watch.boundaries
    entropy = np.stack([total / watch.queries for total in watch.entropy])
    return Signal(tuple(stream), final, entropy, watch.logits, loss / predictions)


@contextmanager
def _eager(network: Any) -> Iterator[None]:
    before = network.config._attn_implementation
    network.set_attn_implementation("eager")
    try:
        yield
    finally:
        network.set_attn_implementation(before)


def _blocks(
    head: Any, states: Tensor, ids: Tensor, vocabulary: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits and next tokens, a few positions at a time."""
    flat, wanted = states[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
    size = max(1, _LOGIT_ELEMENTS // vocabulary)
    for block, target in zip(torch.split(flat, size), torch.split(wanted, size), strict=True):
        yield head(block).float(), target


class _Watch:
    """Hooks that see the stream where norms read it, and the attention of every layer."""

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint, wiring = blueprint, read_wiring(blueprint)
        self._windows = wiring.windows
        layers = range(blueprint.layers)
        self.boundaries = [Boundary("after embedding", 0)]
        self._places: dict[tuple[Role, int | None], Boundary] = {}
        for layer in layers:
            self._places[Role.ATTN_NORM, layer] = self.boundaries[-1]
            if not wiring.parallel:
                inner = Boundary(f"layer {layer} after attention", 2 * layer + 1)
                self.boundaries.append(inner)
                self._places[Role.MLP_NORM, layer] = inner
            self.boundaries.append(Boundary(f"layer {layer} after feed-forward", 2 * layer + 2))
        self._places[Role.FINAL_NORM, None] = self.boundaries[-1]
        self.boundaries.append(Boundary("after final norm", 2 * blueprint.layers + 1))
        self.entropy = [np.zeros(blueprint.heads) for _ in layers]
        self.queries = 0
        self.logits = Moments()

    @contextmanager
    def on(self, model: torch.nn.Module) -> Iterator[None]:
        """Watch ``model`` for a while."""
        hooks = []
        for spec in self._blueprint.tensors:
            role, module = spec.roles[0], spec.name.rpartition(".")[0]
            if not spec.name.endswith(".weight"):
                continue
            place = self._places.get((role, spec.layer))
            if place is not None:
                norm = model.get_submodule(module)
                hooks.append(norm.register_forward_pre_hook(_reader(place.moments)))
                if role is Role.FINAL_NORM:
                    hooks.append(norm.register_forward_hook(_writer(self.boundaries[-1].moments)))
            elif role is Role.ATTN_OUT and spec.layer is not None:
                attention = model.get_submodule(module.rpartition(".")[0])
                hooks.append(attention.register_forward_hook(self._attention(spec.layer)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _attention(self, layer: int) -> Callable[..., None]:
        def see(_: torch.nn.Module, __: Any, output: Any) -> None:
            weights = output[1].detach()
            rows, _heads, length, _keys = weights.shape
            seen = torch.arange(1, length + 1, device=weights.device, dtype=torch.float64)
            most = seen.clamp(max=self._windows[layer] or math.inf).log().clamp(min=1e-9)
            shares = torch.special.entr(weights).sum(-1).double()[..., 1:] / most[1:]
            self.entropy[layer] += shares.sum((0, 2)).cpu().numpy()
            if layer == 0:
                self.queries += rows * (length - 1)

        return see


def _reader(moments: Moments) -> Callable[..., None]:
    return lambda _, inputs: moments.add(inputs[0].detach())


def _writer(moments: Moments) -> Callable[..., None]:
    return lambda _, __, output: moments.add(output.detach())
