"""The protocol every arm runs under, and the job that names it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from structinit_core.blueprint import Blueprint, is_preset
from structinit_core.corpus import Border
from structinit_core.errors import UsageError
from structinit_core.race.arms import Arm
from structinit_core.race.claims import Claim
from structinit_core.race.result import MILESTONES, TARGETS
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import DEFAULT_MEMORY


class RaceProtocol(BaseModel):
    """What is the same in every arm; every field is part of a run's identity.

    AdamW (β 0.9, 0.95) with decay on the matrices of the blocks only, gradients clipped at
    norm 1, linear warm-up over ``warmup`` of the steps, cosine to a tenth, no dropout.
    ``batch_tokens`` trained tokens a step in windows of the model's context; ``eval_tokens``
    held-out tokens behind every loss. A run of the sweep takes ``sweep_steps``, with a schedule
    of that length; ``None`` is as many as a run that counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    steps: int = Field(1000, ge=1)
    sweep_steps: int | None = Field(None, ge=1)
    batch_tokens: int = Field(1024, ge=1)
    eval_tokens: int = Field(32768, ge=2)
    warmup: float = Field(0.05, ge=0, lt=1)
    weight_decay: float = Field(0.1, ge=0)
    rates: tuple[float, ...] = (1e-3, 2e-3, 4e-3)
    warmups: tuple[float, ...] = ()
    seeds: int = Field(3, ge=1, le=1000)
    seed: int = Field(0, ge=0, lt=2**63)

    @property
    def trial_steps(self) -> int:
        """Steps of a run of the sweep."""
        return self.sweep_steps or self.steps

    @property
    def evidence_seeds(self) -> tuple[int, ...]:
        """Seeds of the runs that count; the sweep has the seed before them to itself."""
        return tuple(range(self.seed + 1, self.seed + 1 + self.seeds))

    def evaluated_steps(self) -> tuple[int, ...]:
        """Steps after which the held-out loss is measured: dense early, each tenth later."""
        decades = (m * 10**e for e in range(len(str(self.steps))) for m in (1, 1.5, 2, 3, 5, 7))
        early = {round(step) for step in decades if step == round(step)}
        shares = {round(share * self.steps) for share in (*MILESTONES, *TARGETS)}
        tenths = {round(self.steps * tenth / 10) for tenth in range(11)}
        return tuple(sorted(step for step in early | shares | tenths if step <= self.steps))


def batch_windows(batch_tokens: int, context: int) -> int:
    """Windows of ``context`` tokens in a batch: as many as fit, one at least."""
    return max(1, batch_tokens // context)


@dataclass(frozen=True)
class RaceJob:
    """One race: the network, the text, the arms and the protocol.

    Exactly one of ``tokenizer`` and ``train_vocabulary`` is given. ``baseline`` names the arm
    the others are compared with: the first, unless another is named. ``claims``: published
    differences that the result is held against, where their arms are raced.
    """

    config: Path
    corpus: Sequence[Path]
    valid: Sequence[Path]
    arms: tuple[Arm, ...]
    protocol: RaceProtocol = field(default_factory=RaceProtocol)
    tokenizer: Path | None = None
    train_vocabulary: int | None = None
    border: Border = Border.BLANK
    text_field: str | None = None
    baseline: str | None = None
    claims: tuple[Claim, ...] = ()
    budget_seconds: float | None = None
    device: str = "cpu"
    memory_bytes: int = DEFAULT_MEMORY

    def __post_init__(self) -> None:
        if not self.arms:
            raise UsageError("a race needs an arm")
        if not self.corpus or not self.valid:
            raise UsageError("a race needs text to train on and other text to score on")
        if self.baseline is not None and self.baseline not in {arm.name for arm in self.arms}:
            raise UsageError(f"the baseline {self.baseline!r} is no arm")
        self.source()  # refuses two tokenizers, or none
        rates = self.protocol.rates
        if not rates or any(not 0 < rate < 100 for rate in rates) or len(set(rates)) < len(rates):
            raise UsageError("learning rates must be distinct numbers between 0 and 100")

    @property
    def compared_with(self) -> str:
        """The baseline's name."""
        return self.baseline or self.arms[0].name

    def source(self) -> CountSource:
        """The training text as counting takes it."""
        return CountSource(
            self.corpus,
            tokenizer=self.tokenizer,
            train_vocabulary=self.train_vocabulary,
            border=self.border,
            text_field=self.text_field,
            seed=self.protocol.seed,
        )

    @property
    def expected_trials(self) -> int:
        """Sweep runs of an arm whose sweep grows by one rate; some grow by none, some by more."""
        return len(self.protocol.rates) + 1 + len(self.protocol.warmups)

    @property
    def expected_runs(self) -> int:
        """All runs."""
        return len(self.arms) * (self.expected_trials + self.protocol.seeds)

    @property
    def expected_steps(self) -> int:
        """Steps of all runs."""
        protocol = self.protocol
        swept = self.expected_trials * protocol.trial_steps
        return len(self.arms) * (swept + protocol.seeds * protocol.steps)

    def step_tokens(self, blueprint: Blueprint) -> int:
        """Tokens trained in a step: whole windows, one at least."""
        return blueprint.context * batch_windows(self.protocol.batch_tokens, blueprint.context)

    def multiply_adds(self, blueprint: Blueprint) -> int:
        """Work of one run: forward, and twice as much back."""
        return 3 * blueprint.parameters * self.step_tokens(blueprint) * self.protocol.steps

    def step_bytes(self, blueprint: Blueprint) -> int:
        """Estimated memory of a step: weights, gradients, moments, logits and activations."""
        inside = 16 * blueprint.width + 4 * blueprint.feed_forward
        activations = blueprint.layers * inside + 3 * blueprint.vocabulary
        return 16 * blueprint.parameters + 4 * activations * self.step_tokens(blueprint)

    def paths(self) -> list[Path]:
        """Every file and directory read."""
        read = [*self.corpus, *self.valid]
        read += [] if is_preset(self.config) else [self.config]
        read += [self.tokenizer] if self.tokenizer else []
        return read + [arm.path for arm in self.arms if arm.path]
