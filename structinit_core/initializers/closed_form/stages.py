"""The stages of the n-gram method: their names, and what a model must have for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from structinit_core.blueprint import Blueprint, Kind, Norm, Role
from structinit_core.cooc import Counts
from structinit_core.errors import UsageError
from structinit_core.initializers.closed_form.attention import seen
from structinit_core.initializers.closed_form.codes import BLOCK_ELEMENTS
from structinit_core.initializers.closed_form.copying import copy_obstacle
from structinit_core.initializers.closed_form.layout import FILLER_DIMENSIONS, divide
from structinit_core.initializers.closed_form.pair_contexts import PAIRS
from structinit_core.initializers.closed_form.parts import holds
from structinit_core.initializers.closed_form.sampled_moments import FOLLOWERS
from structinit_core.initializers.closed_form.solver import EXACT_VOCABULARY
from structinit_core.model import read_wiring

BIGRAM, OFFSETS, COPY, READOUTS = "bigram", "offsets", "copy", "readouts"
STAGES = (BIGRAM, OFFSETS, COPY, READOUTS)
"""In the order they build on each other; the first is in every compilation."""
DEFAULT_STAGES = (BIGRAM, OFFSETS, COPY)
"""The readouts take longer than all others together, for some hundredths of a nat."""
SAMPLED_TOKENS = 1 << 14
"""Held-out tokens that scalars of the compiled heads are fitted on."""
_HEAD_LAGS = (1, 2, 1, 3, 2, 4, 1, 3)
"""How far each head looks back, the most valuable first."""
_BYTES_PER_ENTRY, _BYTES_PER_TRIGRAM, _COPIES_OF_CODES = 48, 56, 24
_COPIES_OF_ATTENTION = 32
_BYTES_PER_ROW_ENTRY, _COPIES_OF_STATES, _COPIES_OF_COLUMNS = 64, 12, 8


@dataclass(frozen=True)
class TableSizes:
    """Tokens, distinct pairs at each offset from 1, and distinct trigrams of counts."""

    vocabulary: int
    pairs: tuple[int, ...]
    trigrams: int

    @classmethod
    def of(cls, counts: Counts) -> TableSizes:
        """Those of ``counts``."""
        pairs = tuple(int(table.nnz) for table in counts.offsets)
        return cls(counts.vocabulary, pairs, len(counts.trigram_keys))

    @classmethod
    def at_most(cls, tokens: int, vocabulary: int, offsets: int) -> TableSizes:
        """The largest that ``tokens`` counted tokens can have."""
        return cls(vocabulary, (min(vocabulary**2, tokens),) * offsets, tokens)


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
    stages: Sequence[str], blueprint: Blueprint, sizes: TableSizes, *, judged: bool
) -> dict[str, str]:
    """Stages that cannot be compiled, each with the reason; ``judged``: text is held out."""
    left_out = {}
    for name, reason in (
        (OFFSETS, offsets_obstacle(blueprint, sizes)),
        (COPY, copy_obstacle(blueprint)),
        (READOUTS, readouts_obstacle(blueprint, sizes)),
    ):
        if name in stages:
            if not judged:
                left_out[name] = reason or "there is no held-out text to judge them"
            elif reason is not None:
                left_out[name] = reason
    if READOUTS in stages and READOUTS not in left_out and OFFSETS not in {*stages} - {*left_out}:
        left_out[READOUTS] = "without offsets nothing tells what stands before a token"
    return left_out


def head_lags(
    blueprint: Blueprint, counted: int, spare: bool = False
) -> tuple[tuple[int, ...], int]:
    """The lag of each head that reads an earlier token, and how many in a row share a read map.

    Below ``counted``, the offsets in the counts. Heads share where the model's do, keys and values
    too: such heads look at different lags as long as there are any. ``spare`` leaves one set of
    keys and values to others.
    """
    sharing = blueprint.heads // blueprint.kv_heads
    reach = seen(blueprint, read_wiring(blueprint))
    known = min(counted, reach) - 1
    lags = [lag for lag in _HEAD_LAGS if lag <= known]
    sharing = min(sharing, len(set(lags)) or 1)
    groups: list[list[int]] = []
    while lags and len(groups) < blueprint.kv_heads - spare:
        group = sorted(set(lags), key=lags.index)[:sharing]
        for lag in group:
            lags.remove(lag)
        groups.append(group)
    return tuple(lag for group in groups for lag in group), sharing


def offsets_bytes(blueprint: Blueprint, sizes: TableSizes) -> int:
    """Bytes that fitting the offsets takes beyond the bigram: an upper estimate."""
    lags, _ = head_lags(blueprint, len(sizes.pairs))
    codes = 4 * sizes.vocabulary * divide(blueprint).prediction
    return int(
        _BYTES_PER_ENTRY * sum(sizes.pairs[: max(lags, default=0) + 1])
        + _BYTES_PER_TRIGRAM * sizes.trigrams
        + (_COPIES_OF_CODES + len(lags)) * codes
        + drawing_bytes(sizes)
        + _COPIES_OF_ATTENTION * blueprint.context**2
    )


def drawing_bytes(sizes: TableSizes) -> int:
    """Bytes of predictions from drawn columns, 0 where all are taken: an upper estimate."""
    if sizes.vocabulary <= EXACT_VOCABULARY:
        return 0
    return 3 * 4 * BLOCK_ELEMENTS + 8 * FOLLOWERS * sizes.vocabulary


def stage_bytes(stages: Sequence[str], blueprint: Blueprint, sizes: TableSizes) -> dict[str, int]:
    """Bytes that each of ``stages`` takes beyond the bigram, where it takes any to speak of."""
    needed = {OFFSETS: offsets_bytes, READOUTS: readouts_bytes}
    return {name: needed[name](blueprint, sizes) for name in stages if name in needed}


def offsets_obstacle(blueprint: Blueprint, sizes: TableSizes) -> str | None:
    """Why the offsets cannot be compiled into this model from these counts, or ``None``."""
    wiring = read_wiring(blueprint)
    if blueprint.tied and wiring.parallel and blueprint.layers == 1:
        return "the head is tied, and the only feed-forward runs beside the attention"
    if divide(blueprint).identity <= FILLER_DIMENSIONS:
        return f"width {blueprint.width} leaves no room for identity codes"
    rotary = not blueprint.learned_positions
    if blueprint.head_width < 2 or (rotary and len(wiring.frequencies) == 0):
        return f"heads of width {blueprint.head_width} hold no position"
    if not head_lags(blueprint, len(sizes.pairs))[0] or sizes.trigrams == 0:
        return "the counts hold no second offset"
    return None


def readouts_bytes(blueprint: Blueprint, sizes: TableSizes) -> int:
    """Bytes that fitting the readouts takes beyond the bigram: an upper estimate."""
    pairs = min(sizes.trigrams, PAIRS)
    per_pair = blueprint.feed_forward + _COPIES_OF_STATES * blueprint.width
    codes = 4 * sizes.vocabulary * divide(blueprint).prediction
    return (
        _BYTES_PER_ROW_ENTRY * sizes.trigrams
        + 4 * pairs * per_pair
        + _COPIES_OF_COLUMNS * codes
        + drawing_bytes(sizes)
    )


def readouts_obstacle(blueprint: Blueprint, sizes: TableSizes) -> str | None:
    """Why no readouts can be compiled into this model from these counts, or ``None``."""
    if sizes.trigrams == 0:
        return "the counts hold no trigrams"
    if not holds(blueprint, Role.MLP_UP, Kind.BIAS) and blueprint.norm is not Norm.RMS:
        return "feed-forward units have no bias, and the stream no constant"
    return None
