"""Protocols and arms by name, among them those that repeat the tables of seed 001."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from structinit_core.race.claims import ABOVE, Claim
from structinit_core.race.protocol import RaceProtocol


@dataclass(frozen=True)
class Preset:
    """What is raced where nothing else is said; the first arm is the baseline.

    ``config`` and ``vocabulary``: the network, and the tokenizer trained for it on the text.
    ``claims``: what was published of the arms.
    """

    arms: tuple[str, ...]
    protocol: RaceProtocol = field(default_factory=RaceProtocol)
    config: Path | None = None
    vocabulary: int | None = None
    claims: tuple[Claim, ...] = ()


SMOKE = RaceProtocol(steps=30, batch_tokens=256, eval_tokens=2048, rates=(2e-3, 4e-3), seeds=2)
DPI_PROTOCOL = RaceProtocol(
    steps=100,
    sweep_steps=40,
    batch_tokens=512,
    eval_tokens=4096,
    rates=(2e-3, 4e-3),
    seeds=3,
)
"""As many steps as leave an arm two and a half minutes on one core. The source has 300 to 1,000
of 4,096 tokens, one rate of 1e-4 for every arm, and a network four times as large."""
ZERO_GAIN, XAVIER, DEFAULT, STRONGEST = "xavier-zero-gain", "xavier", "default", "unigram-bias"
"""The source's baseline, whose norm gains are 0; the same with gains of 1; the family's own; and
the strongest we know."""


def _dpi(arms: tuple[str, ...], *claims: Claim) -> Preset:
    return Preset(arms, DPI_PROTOCOL, Path("dpi-5m"), 8192, claims)


PRESETS = {
    "standard": Preset((DEFAULT, STRONGEST, "closed-form")),
    "smoke": Preset((DEFAULT, "closed-form"), SMOKE),
    "dpi-table1": _dpi(
        (STRONGEST, DEFAULT, XAVIER, ZERO_GAIN, "dpi-v16.2", "dpi-best"),
        Claim("table 1, step 1", "dpi-v16.2", -1.66, (ZERO_GAIN, XAVIER), before=True),
        Claim("table 1, step 1,000", "dpi-v16.2", -1.21, (ZERO_GAIN, XAVIER, DEFAULT, STRONGEST)),
    ),
    "dpi-table5-code": _dpi(
        (STRONGEST, XAVIER, ZERO_GAIN, "dpi-v14.1-exact"),
        Claim("table 5, step 500", "dpi-v14.1-exact", -4.15, (ZERO_GAIN, XAVIER, STRONGEST)),
    ),
    "dpi-ablation": _dpi(
        (XAVIER, ZERO_GAIN, "dpi-v14.1", "dpi-v14.1-whitened", "dpi-v14.1-uncalibrated"),
        Claim("table 6, step 300", "dpi-v14.1", -1.21, (ZERO_GAIN, XAVIER)),
        Claim("table 6, step 300", "dpi-v14.1-uncalibrated", -0.20, ("dpi-v14.1",)),
        Claim("4.3.2, step 200", "dpi-v14.1-whitened", +1.39, ("dpi-v14.1",), ABOVE),
    ),
    "dpi-best-ablation": _dpi(
        (
            "dpi-best",
            "dpi-best-no-body",
            "dpi-best-signatures",
            "dpi-best-cosines",
            "dpi-best-calibrated",
            "dpi-best-loud",
        )
    ),
    "dpi-sampling": _dpi(
        ("dpi-v14.1-10000-lines", "dpi-v14.1-100-lines", "dpi-v14.1"),
        Claim(
            "4.3.1, step 300",
            "dpi-v14.1-100-lines",
            +0.053,
            ("dpi-v14.1-10000-lines",),
            (-0.1, 0.1),
        ),
    ),
}
"""``dpi-…``: seed 001's arms, the baseline its scripts train, and correct ones;
``dpi-best-ablation``: ours, with one part taken out or put in."""
