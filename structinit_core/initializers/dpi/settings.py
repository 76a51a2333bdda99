"""The variants of seed 001 as tables of parameters, under the seed's names."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from structinit_core.errors import UsageError

LEXICAL = ("exact", "nystrom", "block", "log-ratio")
KEYS = ("arc", "centres")
ALIGN = ("fall", "arc")
ORTHOGONAL = ("qr", "fast", "none")
SCALES = ("s-dpi", "none")


@dataclass(frozen=True)
class Calibration:
    """How norm gains are set from variances that are measured while a layer is made.

    Each of ``rounds`` multiplies both gains of a layer by the mean over ``batches`` of
    √(target/variance), within ``low`` and ``high``, of what enters the layer or, ``at_output``,
    of what leaves it with the gains so far. The target of layer l is 1 + warm·sin(πl/L).
    """

    rounds: int
    batches: int
    at_output: bool
    warm: float = 0.0
    low: float = 0.0
    high: float = float("inf")


@dataclass(frozen=True)
class DpiSettings:
    """Every switch and constant of a variant; p is the depth l/(L−1) of a layer.

    lexical: phase 0. ``exact``: left singular vectors of next-token counts; ``nystrom``: the
    same from ``landmarks`` frequent tokens; ``block``: of the symmetric counts among the
    landmarks alone; ``log-ratio``: the codes of closed-form, for phases 0 and 4.
    landmarks: ``None`` for the published 2,000, or the width where that is more.
    bands: one technique per depth band, as pid8, instead of all in every layer.
    dct: phase 1, a cosine basis warped by zipf_warp (ζ), in W1 with weight exp(−4p).
    signatures: phases 2 and 3, what W_Q, W_K and W_V are made of; without, each is Haar.
    gamma0, gamma_dip: the exponent of variances is γ = γ₀(1 − dip·sin πp); values use
    value_gamma·γ. keys: ``arc``, a mix of cluster centres and basis that gives way to its own
    orthogonal factor by key_orthogonality·sin πp, or ``centres`` + 0.2·basis. unit_keys: the
    mix is scaled like that factor first. align, align_peak: the share of the keys in the
    queries, falling from the first layer or rising and falling. phase_shift: from this share
    of the depth on, keys are the values and queries share nothing; ``None``: nowhere.
    up_noise: N(0, 1) in W1, by this times p. orthogonal: what writes into the stream is
    exactly Haar, structured, or Gaussian (``none``). scale: ``s-dpi`` divides that by
    √(2L); residual_gain is a factor of our own.
    zero_wait: phase 4, the head is the lexical right factor. whitening: phase 5. morph_alpha:
    phase 7, the share of the previous layer in W1 and W_Q. calibration: phase 6.
    """

    variant: str
    lexical: str = "exact"
    landmarks: int | None = None
    bands: bool = False
    dct: bool = True
    zipf_warp: float = 1.0
    signatures: bool = True
    gamma0: float = 0.25
    gamma_dip: float = 0.5
    value_gamma: float = 0.4
    keys: str = "arc"
    key_orthogonality: float = 1.0
    unit_keys: bool = False
    align: str = "fall"
    align_peak: float = 0.6
    phase_shift: float | None = None
    up_noise: float = 0.0
    orthogonal: str = "qr"
    scale: str = "none"
    residual_gain: float = 1.0
    zero_wait: bool = False
    whitening: bool = False
    morph_alpha: float = 0.0
    calibration: bool = True

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(
                    f"{name} {getattr(self, name)!r} is not known",
                    hint=f"there are: {', '.join(allowed)}",
                )
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} must lie between {low} and {high}, not {value}")

    def params(self) -> dict[str, Any]:
        """Every field as a JSON value."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


_CHOICES = {
    "lexical": LEXICAL,
    "keys": KEYS,
    "align": ALIGN,
    "orthogonal": ORTHOGONAL,
    "scale": SCALES,
}
_RANGES: dict[str, tuple[float, float]] = {
    "landmarks": (1, 1 << 16),
    "zipf_warp": (0.1, 10),
    "gamma0": (-2, 2),
    "gamma_dip": (-2, 2),
    "value_gamma": (-4, 4),
    "key_orthogonality": (0, 1),
    "align_peak": (0, 1),
    "phase_shift": (0, 1),
    "up_noise": (0, 10),
    "residual_gain": (0, 10),
    "morph_alpha": (0, 1),
}
_OF_SIGNATURES = (
    "value_gamma",
    "keys",
    "key_orthogonality",
    "unit_keys",
    "align",
    "align_peak",
    "phase_shift",
)
_NOT_OF_BANDS = (*_OF_SIGNATURES, "signatures", "gamma_dip", "up_noise")
VARIANTS = {
    "pid8": DpiSettings("pid8", lexical="block", bands=True, whitening=True, morph_alpha=0.45),
    "v14.1": DpiSettings("v14.1", lexical="nystrom"),
    "v16.2": DpiSettings(
        "v16.2",
        dct=False,
        gamma_dip=0.2,
        value_gamma=1.0,
        keys="centres",
        align="arc",
        align_peak=0.4,
        phase_shift=0.5,
        up_noise=0.1,
        orthogonal="none",
        scale="s-dpi",
        zero_wait=True,
    ),
    "best": DpiSettings(
        "best",
        lexical="log-ratio",
        dct=False,
        signatures=False,
        unit_keys=True,
        scale="s-dpi",
        residual_gain=0.03,
        zero_wait=True,
        calibration=False,
    ),
}
"""pid8: commit a1b5ef2, with the α that the seed calls best; v14.1: 56f2803, which reads no α;
v16.2: 401c7ac; best: ours, what of the sequential start is worth something where the race
``dpi-best-ablation`` takes it out or puts it in; unit_keys is of the signatures, where they are
asked for. Source: seed 001 with the constants of its repository's history."""
CALIBRATIONS = {
    "pid8": Calibration(rounds=1, batches=1, at_output=True),
    "v14.1": Calibration(rounds=1, batches=11, at_output=False, low=0.1, high=2.0),
    "v16.2": Calibration(rounds=6, batches=1, at_output=True, warm=0.5),
    "best": Calibration(rounds=6, batches=1, at_output=True, low=0.1, high=2.0),
}


def choose(variant: str, **changes: Any) -> DpiSettings:
    """The table of ``variant`` with ``changes``.

    Raises:
        UsageError: an unknown variant, a value out of range, or a change that the variant has
            no use for.
    """
    table = VARIANTS.get(variant)
    if table is None:
        raise UsageError(f"no variant {variant!r}", hint=f"there are: {', '.join(VARIANTS)}")
    if table.bands:
        for name in _NOT_OF_BANDS:
            if name in changes:
                raise UsageError(f"{name} changes nothing in variant {variant}")
    chosen = replace(table, **changes)
    if not chosen.signatures:
        for name in _OF_SIGNATURES:
            if name in changes:
                raise UsageError(
                    f"{name} changes nothing without signatures", hint="give --signatures too"
                )
    if chosen.lexical == "log-ratio" and not chosen.zero_wait:
        raise UsageError(
            "log-ratio codes are for phases 0 and 4 together",
            hint="choose another lexical seeding, or keep the zero-wait head",
        )
    return chosen
