"""The runs of one seed: every arm's start, its training, and what both took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from structinit_core.initializers.paired_views import (
    Compute,
    Encoder,
    PairedViewsConfig,
    TextWindows,
    empty_encoder,
    fit_encoder,
    masked,
)
from structinit_core.linalg import Device, generator
from structinit_core.progress import Progress, Silent
from structinit_core.race.paired_views.job import (
    BACKPROP,
    BUDGET,
    CE_HEAD,
    FINE_TUNE,
    PairedViewsProtocol,
)
from structinit_core.race.paired_views.networks import (
    DepthNetwork,
    ScratchNetwork,
    SpectralNetwork,
    linear_head,
    random_blocks,
)
from structinit_core.race.paired_views.training import Batches, Trained, mean_loss, train
from structinit_core.race.record import RunRecord


@dataclass(frozen=True)
class Bench:
    """What the runs of one race share. Token vectors and windows are the same at every seed."""

    config: PairedViewsConfig
    protocol: PairedViewsProtocol
    compute: Compute
    train: TextWindows
    valid: TextWindows
    device: Device
    progress: Progress


class SeedRuns:
    """The runs of one seed; the closed-form fit is made once and charged to each arm."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self._bench, self._seed = bench, seed
        self._fitted: tuple[Encoder, float] | None = None

    def run(self, arm: str, key: str) -> RunRecord:
        """The record of ``arm``: steps are thousandths of its budget, seconds without scoring.

        Raises:
            NumericalError: the closed-form fit failed.
        """
        protocol, seed = self._bench.protocol, self._seed
        steps = protocol.steps(arm, self._bench.compute)
        head = arm == CE_HEAD
        start, done = self._head(arm, steps) if head else self._network(arm, steps)
        return RunRecord(
            key=key,
            source=arm,
            purpose="evidence",
            learning_rate=protocol.head_rate if head else protocol.rate,
            warmup=0.0,
            seed=seed,
            steps=BUDGET,
            curve=done.curve,
            diverged_at=done.diverged_at,
            start_seconds=start,
            wall_seconds=done.seconds,
        )

    def _network(self, arm: str, steps: int) -> tuple[float, Trained]:
        bench, protocol, seed = self._bench, self._bench.protocol, self._seed
        seconds, encoder = 0.0, empty_encoder(bench.config, protocol.seed, bench.device)
        network: DepthNetwork
        if arm == BACKPROP:
            network = ScratchNetwork(encoder, protocol.heads, bench.compute.feed_forward, seed)
        else:
            if arm == FINE_TUNE:
                encoder, seconds = self._fit()
            else:
                encoder = random_blocks(encoder, seed)
            network = SpectralNetwork(encoder, seed).to(bench.device)
        batches = Batches(len(bench.train.starts), protocol.batch, seed)

        def loss(step: int) -> Tensor:
            ids, targets = bench.train.take(batches.take(step))
            draw = generator(seed, "paired views training masks", f"step {step}")
            ids = masked(ids, bench.config.mask_share, bench.config.tokens, draw)
            return network.losses(ids.to(bench.device), targets.to(bench.device))

        @torch.no_grad()
        def evaluate() -> float:
            blocks = ((i.to(bench.device), t.to(bench.device)) for i, t in bench.valid.blocks())
            return mean_loss((network(ids)[-1], targets) for ids, targets in blocks)

        fine_tuned = protocol.steps(FINE_TUNE, bench.compute)
        return seconds, self._train(arm, network, steps, loss, evaluate, (fine_tuned,))

    def _head(self, arm: str, steps: int) -> tuple[float, Trained]:
        bench, protocol = self._bench, self._bench.protocol
        encoder, seconds = self._fit()
        began = time.perf_counter()
        features, targets = _encoded(encoder, bench.train)
        seconds += time.perf_counter() - began
        valid, valid_targets = _encoded(encoder, bench.valid)
        head = linear_head(encoder, self._seed)
        batches = Batches(len(targets), protocol.head_batch, self._seed)

        def loss(step: int) -> Tensor:
            chosen = torch.from_numpy(batches.take(step)).to(bench.device)
            return torch.nn.functional.cross_entropy(head(features[chosen]), targets[chosen])

        @torch.no_grad()
        def evaluate() -> float:
            starts = range(0, len(valid), protocol.head_batch)
            parts = (slice(low, low + protocol.head_batch) for low in starts)
            return mean_loss((head(valid[rows]), valid_targets[rows]) for rows in parts)

        return seconds, self._train(arm, head, steps, loss, evaluate, ())

    def _train(
        self,
        arm: str,
        network: torch.nn.Module,
        steps: int,
        loss: Callable[[int], Tensor],
        evaluate: Callable[[], float],
        also: tuple[int, ...],
    ) -> Trained:
        protocol, head = self._bench.protocol, arm == CE_HEAD
        self._bench.progress.stage(f"{arm}, seed {self._seed}", steps)
        return train(
            network,
            steps,
            loss,
            evaluate,
            rate=protocol.head_rate if head else protocol.rate,
            weight_decay=protocol.head_weight_decay if head else protocol.weight_decay,
            progress=self._bench.progress,
            also=also,
        )

    def _fit(self) -> tuple[Encoder, float]:
        """The encoder and the seconds its fit took."""
        if self._fitted is None:
            bench = self._bench
            bench.progress.stage(f"closed-form fit, seed {self._seed}")
            began = time.perf_counter()
            encoder = fit_encoder(
                bench.config,
                bench.train,
                seed=bench.protocol.seed,
                mask_seed=self._seed,
                device=bench.device,
                progress=Silent(),
            )
            self._fitted = encoder, time.perf_counter() - began
        return self._fitted


@torch.no_grad()
def _encoded(encoder: Encoder, windows: TextWindows) -> tuple[Tensor, Tensor]:
    """Features of all depths (n, d(L + 1)) and targets (n,), on the encoder's device."""
    device = encoder.embedding.device

    def parts() -> Iterator[tuple[Tensor, Tensor]]:
        for ids, targets in windows.blocks():
            yield torch.cat(encoder.features(ids.to(device)), dim=1), targets.to(device)

    rows, labels = zip(*parts(), strict=True)
    return torch.cat(rows), torch.cat(labels)
