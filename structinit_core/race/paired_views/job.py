"""The compute-matched protocol of seed 002, and the job that names its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from structinit_core.blueprint import read_config
from structinit_core.corpus import Border
from structinit_core.errors import InputError, LimitError, UsageError
from structinit_core.initializers.paired_views import (
    Compute,
    PairedViewsConfig,
    paired_views_config,
)
from structinit_core.recipes.compile_job import promised_vocabulary
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import DEFAULT_MEMORY

BACKPROP = "backprop"
FINE_TUNE = "closed-form-fine-tune"
CE_HEAD = "closed-form-ce-head"
RANDOM = "random-fine-tune"
ARMS = (BACKPROP, FINE_TUNE, CE_HEAD, RANDOM)
"""The three arms of the source, and the control it lacks: its architecture, started at random."""
STEP = "a thousandth of the arm's own compute budget"
BUDGET = 1000
"""Such steps in a run, whatever the arm."""


class PairedViewsProtocol(BaseModel):
    """The source's settings; nothing is swept, as in the source.

    AdamW (β 0.9, 0.999) at one constant rate, no warm-up, no clipping. The network trained from
    scratch has ``heads`` heads and a feed-forward of ``feed_forward_ratio`` × d. ``windows``:
    trained on; ``valid_windows``: scored, one token each. The source has 16,000 and 4,000, and
    so takes four times as long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    windows: int = Field(4096, ge=2)
    valid_windows: int = Field(2000, ge=1)
    epochs: int = Field(5, ge=1)
    batch: int = Field(128, ge=1)
    rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    heads: int = Field(4, ge=1)
    feed_forward_ratio: int = Field(2, ge=1)
    head_epochs: int = Field(24, ge=1)
    head_batch: int = Field(512, ge=1)
    head_rate: float = Field(5e-3, gt=0)
    head_weight_decay: float = Field(1e-4, ge=0)
    seeds: int = Field(3, ge=1, le=1000)
    seed: int = Field(0, ge=0, lt=2**63)

    @property
    def evidence_seeds(self) -> tuple[int, ...]:
        """Seeds of the runs; of masks, data order and starts. Windows are drawn by ``seed``."""
        return tuple(range(self.seed + 1, self.seed + 1 + self.seeds))

    def steps(self, arm: str, compute: Compute) -> int:
        """Optimiser steps of an arm: those of the epochs, or what their compute leaves."""
        each = -(-compute.examples // self.batch)
        if arm == BACKPROP:
            return self.epochs * each
        if arm == CE_HEAD:
            return self.head_epochs * -(-compute.examples // self.head_batch)
        return compute.matched_steps(self.epochs, each, charged=arm == FINE_TUNE)

    def multiply_adds(self, arm: str, compute: Compute) -> int:
        """What an arm takes by the proxy, its start included."""
        if arm == BACKPROP:
            return self.epochs * compute.backprop_epoch()
        if arm == CE_HEAD:
            frozen = compute.initialisation() + compute.encoding()
            return frozen + compute.head_training(self.head_epochs)
        each = -(-compute.examples // self.batch)
        trained = self.steps(arm, compute) * compute.fine_tune_epoch() // each
        return trained + (compute.initialisation() if arm == FINE_TUNE else 0)


@dataclass(frozen=True)
class PairedViewsRace:
    """One race of :data:`ARMS`. ``config``: a paired-views one, or the source's sizes.

    Of the config's ``windows`` no use is made: the protocol has them.
    """

    corpus: Sequence[Path]
    valid: Sequence[Path]
    config: Path | None = None
    protocol: PairedViewsProtocol = field(default_factory=PairedViewsProtocol)
    tokenizer: Path | None = None
    train_vocabulary: int | None = None
    border: Border = Border.BLANK
    text_field: str | None = None
    device: str = "cpu"
    memory_bytes: int = DEFAULT_MEMORY

    def __post_init__(self) -> None:
        if not self.corpus or not self.valid:
            raise UsageError("a race needs text to train on and other text to score on")
        self.source()  # refuses two tokenizers, or none

    def source(self) -> CountSource:
        """The training text as counting takes it."""
        return CountSource(
            self.corpus,
            tokenizer=self.tokenizer,
            train_vocabulary=self.train_vocabulary,
            offsets=1,
            border=self.border,
            text_field=self.text_field,
            seed=self.protocol.seed,
        )

    def paths(self) -> list[Path]:
        """Every file read."""
        return [path for path in (self.config, *self.corpus, *self.valid, self.tokenizer) if path]

    def checked_config(self, tokens: int | None = None) -> PairedViewsConfig:
        """The sizes, for a tokenizer of ``tokens`` tokens, or of as many as are asked for.

        Raises:
            InputError: a missing file. IncompatibleError: another kind of model's config, or a
                width that the heads do not divide. LimitError: a step beyond the memory allowed.
        """
        for path in self.paths():
            if not path.exists():
                raise InputError("is not there", where=str(path))
        given = paired_views_config(read_config(self.config)) if self.config else None
        config = (given or PairedViewsConfig()).with_vocabulary(
            promised_vocabulary(self.source()) if tokens is None else tokens
        )
        protocol = self.protocol
        if config.hidden_size % protocol.heads:
            raise UsageError(
                f"{protocol.heads} heads do not divide hidden_size {config.hidden_size}"
            )
        needed = step_bytes(config, protocol)
        if needed > self.memory_bytes:
            raise LimitError(
                f"a training step needs about {needed >> 20} MiB, "
                f"allowed are {self.memory_bytes >> 20}",
                hint="raise --memory, or take a smaller vocabulary or context",
            )
        return config.model_copy(update={"windows": protocol.windows})

    def compute(self, config: PairedViewsConfig, examples: int) -> Compute:
        """The proxy for this many windows."""
        return config.compute(examples, self.protocol.feed_forward_ratio * config.hidden_size)


def step_bytes(config: PairedViewsConfig, protocol: PairedViewsProtocol) -> int:
    """Estimated memory of a step: weights, gradients, moments, activations and logits."""
    d, t, layers = config.hidden_size, config.max_position_embeddings, config.num_hidden_layers
    heads = max(protocol.heads, config.num_attention_heads)
    head = max(protocol.batch * layers, protocol.head_batch) * config.tokens
    weights = layers * d * config.tokens + config.tokens * d + layers * 12 * d * d
    frozen = (protocol.windows + protocol.valid_windows) * d * (layers + 1)
    activations = protocol.batch * t * (layers * (24 * d + 4 * heads * t))
    return 16 * weights + 4 * (frozen + activations + 4 * head)
