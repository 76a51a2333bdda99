"""The stages of the n-gram method: their names, and what a model must have for them."""

from __future__ import annotations

from collections.abc import Sequence

from structinit_core.blueprint import Blueprint
from structinit_core.cooc import Counts
from structinit_core.errors import UsageError
from structinit_core.initializers.closed_form.attention import lag_beam, seen
from structinit_core.initializers.closed_form.copying import copy_obstacle
from structinit_core.initializers.closed_form.layout import FILLER_DIMENSIONS, divide
from structinit_core.initializers.closed_form.solver import EXACT_VOCABULARY
from structinit_core.model import Wiring, read_wiring

BIGRAM, OFFSETS, COPY = "bigram", "offsets", "copy"
STAGES = (BIGRAM, OFFSETS, COPY)
"""In the order they build on each other; the first is in every compilation."""
DEFAULT_STAGES = (BIGRAM,)
"""The offsets take minutes, and pay on text of several hundred tokens a vocabulary entry."""
_HEAD_LAGS = (1, 2, 1, 3, 2, 4, 1, 3)
"""How far each head looks back, the most valuable first."""
_LEAST_MASS = 0.5
"""Of the attention that must reach the token looked at."""
_BYTES_PER_ENTRY, _BYTES_PER_TRIGRAM, _COPIES_OF_CODES = 48, 56, 24
_COPIES_OF_ATTENTION = 32


def chosen_stages(stages: Sequence[str], without: Sequence[str] = ()) -> tuple[str, ...]:
    """The stages asked for, in their order.

    Raises:
        UsageError: an unknown name, or no bigram to build on.
    """
    for name in (*stages, *without):
        if name not in STAGES:
            raise UsageError(
                f"{name!r} is no stage of closed-form", hint=f"stages: {', '.join(STAGES)}"
            )
    chosen = tuple(name for name in STAGES if name in stages and name not in without)
    if BIGRAM not in chosen:
        raise UsageError("every compilation begins with the stage bigram")
    return chosen


def obstacles(
    stages: Sequence[str], blueprint: Blueprint, counts: Counts, *, judged: bool
) -> dict[str, str]:
    """Stages that cannot be compiled, each with the reason; ``judged``: text is held out."""
    left_out = {}
    for name in stages:
        if name != BIGRAM:
            of_offsets = name == OFFSETS
            reason = offsets_obstacle(blueprint, counts) if of_offsets else copy_obstacle(blueprint)
            if reason is None and not judged:
                reason = "there is no held-out text to judge them"
            if reason is not None:
                left_out[name] = reason
    return left_out


def head_lags(blueprint: Blueprint, counts: Counts, sharing: int = 1) -> tuple[int, ...]:
    """The lag of each head that reads an earlier token, at most as far as was counted.

    ``sharing``: heads in a row that have one read map, and so never one lag.
    """
    reach = seen(blueprint, read_wiring(blueprint))
    known = min(len(counts.offsets), reach) - 1
    lags = [lag for lag in _HEAD_LAGS if lag <= known]
    sharing = min(sharing, len(set(lags)) or 1)
    groups: list[list[int]] = []
    while lags and len(groups) < blueprint.kv_heads:
        group = sorted(set(lags), key=lags.index)[:sharing]
        for lag in group:
            lags.remove(lag)
        groups.append(group)
    return tuple(lag for group in groups for lag in group)


def offsets_bytes(blueprint: Blueprint, counts: Counts) -> int:
    """Bytes that fitting the offsets takes beyond the bigram: an upper estimate."""
    furthest = max(head_lags(blueprint, counts), default=0)
    entries = sum(int(table.nnz) for table in counts.offsets[: furthest + 1])
    codes = 4 * counts.vocabulary * divide(blueprint).prediction
    return int(
        _BYTES_PER_ENTRY * entries
        + _BYTES_PER_TRIGRAM * len(counts.trigram_keys)
        + _COPIES_OF_CODES * codes
        + _COPIES_OF_ATTENTION * blueprint.context**2
    )


def offsets_obstacle(blueprint: Blueprint, counts: Counts) -> str | None:
    """Why the offsets cannot be compiled into this model from these counts, or ``None``."""
    wiring = read_wiring(blueprint)
    if blueprint.tied and wiring.parallel and blueprint.layers == 1:
        return "the head is tied, and the only feed-forward runs beside the attention"
    if divide(blueprint).identity <= FILLER_DIMENSIONS:
        return f"width {blueprint.width} leaves no room for identity codes"
    if counts.vocabulary > EXACT_VOCABULARY:
        return f"the vocabulary is above {EXACT_VOCABULARY}"
    lags = head_lags(blueprint, counts)
    if not lags or len(counts.trigram_keys) == 0:
        return "the counts hold no second offset"
    return lag_obstacle(blueprint, wiring, max(lags))


def lag_obstacle(blueprint: Blueprint, wiring: Wiring, lag: int) -> str | None:
    """Why no head of the first layer can look ``lag`` tokens back, or ``None``."""
    if blueprint.head_width < 2 or (
        not blueprint.learned_positions and not wiring.frequencies.numel()
    ):
        return f"heads of width {blueprint.head_width} hold no position"
    looking = lag_beam(blueprint, wiring, lag, seed=0)
    mass = 1 / (1 + looking.others(seen(blueprint, wiring), lag))
    if mass < _LEAST_MASS:
        return (
            f"heads of width {blueprint.head_width} with {len(looking.frequencies)} position "
            f"frequencies can give a token {lag} back {mass:.0%} of their attention at most"
        )
    return None
