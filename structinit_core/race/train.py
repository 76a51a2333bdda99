"""One training run under the protocol."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from structinit_core.blueprint import Blueprint, Kind
from structinit_core.model import gradient_norms
from structinit_core.progress import Progress
from structinit_core.race.protocol import RaceProtocol
from structinit_core.race.record import Point
from structinit_core.race.text import BatchOrder

_BETAS = (0.9, 0.95)
_CLIP = 1.0
_LAST_RATE = 0.1
OPTIMIZER = (
    f"AdamW, betas {_BETAS[0]} and {_BETAS[1]}, decay on the matrices of the blocks, gradients "
    f"clipped at {_CLIP:g}, cosine to {_LAST_RATE:g} of the rate, no dropout"
)
"""The optimiser in words, beside the protocol's numbers."""


@dataclass(frozen=True)
class Outcome:
    """The curve of a run, where it diverged, and the first step's gradient norms by layer."""

    curve: tuple[Point, ...]
    diverged_at: int | None
    gradient_norms: dict[str, float]


class Trainer:
    """A network with its optimiser and data: one step of ``steps`` at a time.

    Dropout is off. On CUDA the forward pass runs under bfloat16 autocast; weights, gradients
    and moments stay float32.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        blueprint: Blueprint,
        protocol: RaceProtocol,
        order: BatchOrder,
        steps: int,
        rate: float,
        warmup: float,
    ) -> None:
        self.model = model.eval()
        self._order = order
        self._steps, self._rate, self._warmup = steps, rate, warmup
        self._device = next(model.parameters()).device
        self._optimizer = torch.optim.AdamW(
            _groups(model, blueprint, protocol.weight_decay), lr=rate, betas=_BETAS, fused=True
        )

    def loss(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss in nats of predicting ``targets`` from ``ids``, both (rows, context)."""
        network: Any = self.model
        with torch.autocast(self._device.type, torch.bfloat16, self._device.type == "cuda"):
            logits = network(input_ids=ids, use_cache=False).logits
        return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    def gradient(self, step: int) -> float:
        """The training loss of ``step`` (from 0); its gradient is in the network."""
        batch = torch.from_numpy(self._order.batch(step))
        loss = self.loss(batch[:, :-1].to(self._device), batch[:, 1:].to(self._device))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def update(self, step: int) -> bool:
        """Take the step along the clipped gradient; ``False`` where it is not finite."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
        if not math.isfinite(float(norm)):
            return False
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._rate, step, self._steps, self._warmup)
        self._optimizer.step()
        return True


def learning_rate(peak: float, step: int, steps: int, warmup: float) -> float:
    """The rate of ``step`` (from 0): linear to ``peak``, then a cosine to a tenth of it."""
    rising = math.ceil(warmup * steps)
    if step < rising:
        return peak * (step + 1) / rising
    along = (step - rising) / max(1, steps - 1 - rising)
    falling = 0.5 * (1 + math.cos(math.pi * along))
    return peak * (_LAST_RATE + (1 - _LAST_RATE) * falling)


def run(
    trainer: Trainer,
    blueprint: Blueprint,
    steps: int,
    evaluated: tuple[int, ...],
    evaluate: Callable[[torch.nn.Module], float],
    progress: Progress,
) -> Outcome:
    """Train for ``steps`` steps, with the held-out loss after each of the ``evaluated`` ones.

    A loss or gradient that is not finite ends the run: it diverged. Deterministic on one
    machine with a fixed number of threads.
    """
    curve: list[Point] = []
    norms: dict[str, float] = {}
    training: float | None = None
    for step in range(steps + 1):
        if step in evaluated:
            loss = evaluate(trainer.model)
            if not math.isfinite(loss):
                return Outcome(tuple(curve), step, norms)
            curve.append(Point(step=step, loss=loss, training=training))
        if step == steps:
            break
        training = trainer.gradient(step)
        if step == 0:
            norms = gradient_norms(trainer.model, blueprint)
        if not math.isfinite(training) or not trainer.update(step):
            finite = {name: norm for name, norm in norms.items() if math.isfinite(norm)}
            return Outcome(tuple(curve), step, finite)
        progress.advance()
    return Outcome(tuple(curve), None, norms)


def _groups(
    model: torch.nn.Module, blueprint: Blueprint, weight_decay: float
) -> list[dict[str, Any]]:
    """Matrices of the blocks decay; embeddings, head, norms and biases do not."""
    decaying = {
        spec.name
        for spec in blueprint.tensors
        if spec.layer is not None and spec.kind is Kind.WEIGHT and len(spec.shape) > 1
    }
    named = list(model.named_parameters())
    return [
        {"params": [p for name, p in named if name in decaying], "weight_decay": weight_decay},
        {"params": [p for name, p in named if name not in decaying], "weight_decay": 0.0},
    ]
