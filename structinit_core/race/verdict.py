"""Each arm in a sentence or two, derived from intervals and nothing else.

Words with a direction (below, above, sooner, later) stand only where an interval excludes
zero; whatever is not shown is a signed number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from structinit_core.race.result import Estimate, Status
from structinit_core.race.statistics import excludes_zero

_MOST_PLACES = 6


@dataclass(frozen=True)
class Comparison:
    """An arm against the baseline, paired by seed.

    ``difference``: final loss of arm − baseline in nats; ``saved``: seconds saved on the way to
    the baseline's final loss; ``whole_seconds``: the baseline's own mean time to it.
    ``missed`` of ``seeds`` never got to the baseline's final loss. ``lost_at``: the step after
    which a lead that an interval had shown was gone.
    """

    difference: Estimate | None = None
    saved: Estimate | None = None
    whole_seconds: float | None = None
    missed: int = 0
    seeds: int = 0
    lost_at: int | None = None


def verdict(
    *,
    status: Status,
    baseline: str,
    is_baseline: bool,
    done: int,
    planned: int,
    learning_rate: float | None,
    tried: Sequence[float],
    diverged_seeds: Sequence[int],
    comparison: Comparison,
) -> str:
    """Plain English on one arm: ``done`` of ``planned`` seeds, ``tried`` learning rates."""
    if status == "unfinished":
        return f"Unfinished: {done} of {_count(planned)}."
    if status == "diverged":
        return _diverged(done, learning_rate, tried)
    if is_baseline:
        sentences = ["The baseline: the others are compared with it."]
    else:
        sentences = _compared(baseline, comparison)
    if diverged_seeds:
        sentences.append(_left_out(diverged_seeds))
    return " ".join(sentences)


def _compared(baseline: str, found: Comparison) -> list[str]:
    difference = found.difference
    if difference is None:
        return [f"Nothing to compare with: {baseline} has no evidence at the same seeds."]
    if difference.low is None or difference.high is None:
        (mean,) = _signed(2, difference.mean)
        return [f"One seed: {mean} nats relative to {baseline}, without an interval; no verdict."]
    shown = excludes_zero(difference)
    below, above = shown and difference.mean < 0, shown and difference.mean > 0
    sooner = excludes_zero(found.saved) and found.saved is not None and found.saved.mean > 0
    main = _ending(baseline, difference)
    if below and sooner:
        return [f"{main} and {_time(baseline, found, 'its')}"]
    sentences = [f"{main}."]
    timed = found.saved is not None and found.saved.low is not None
    if timed and found.missed == 0:
        sentences.append(_capital(_time(baseline, found, f"{baseline}'s")))
    elif 0 < found.missed == found.seeds and not above:
        sentences.append(f"Does not reach {baseline}'s final loss in any seed.")
    elif 0 < found.missed < found.seeds:
        where = f"in {found.missed} of {_count(found.seeds)}"
        sentences.append(
            f"Does not reach {baseline}'s final loss {where}, so it is not called faster."
        )
    if found.lost_at is not None:
        sentences.append(f"Led until step {found.lost_at}, then lost the lead.")
    return sentences


def _ending(baseline: str, difference: Estimate) -> str:
    """The difference at the end, without a full stop; it has an interval."""
    low, high, n = difference.low or 0.0, difference.high or 0.0, _count(difference.n)
    if not excludes_zero(difference):
        mean, *bounds = _signed(2, difference.mean, low, high)
        return (
            f"Ends {mean} nats relative to {baseline}; the interval "
            f"({' to '.join(bounds)}, {n}) does not exclude no difference"
        )
    word = "below" if difference.mean < 0 else "above"
    mean, *bounds = _plain(2, difference.mean, *sorted((low, high), key=abs))
    interval = f"(95 % interval {' to '.join(bounds)}, {n})"
    return f"Ends {mean} nats {word} {baseline} {interval}"


def _time(baseline: str, found: Comparison, whose: str) -> str:
    """The seconds saved, as a whole sentence but for its capital; they have an interval."""
    saved = found.saved
    if saved is None or saved.low is None or saved.high is None:
        return ""
    whole = found.whole_seconds
    itself = (
        "" if whole is None else f"; {baseline} itself takes {_plain(_digits(whole), whole)[0]} s"
    )
    digits = _digits(max(abs(saved.mean), abs(saved.low), abs(saved.high)))
    if not excludes_zero(saved):
        mean, *bounds = _signed(digits, -saved.mean, -saved.high, -saved.low)
        return (
            f"the time to {baseline}'s final loss differs by {mean} s; the interval "
            f"({' to '.join(bounds)}) does not exclude no difference{itself}."
        )
    word = "sooner" if saved.mean > 0 else "later"
    mean, *bounds = _plain(digits, saved.mean, *sorted((saved.low, saved.high), key=abs))
    interval = " to ".join(bounds)
    return f"reaches {whose} final loss {mean} s {word} ({interval}), start included{itself}."


def _diverged(done: int, learning_rate: float | None, tried: Sequence[float]) -> str:
    if learning_rate is not None and done:
        where = "its one seed" if done == 1 else f"all {_count(done)}"
        return f"Diverged in {where} at learning rate {_rate(learning_rate)}."
    rates = sorted(set(tried))
    if len(rates) == 1:
        return f"Diverged at the one learning rate tried ({_rate(rates[0])})."
    return f"Diverged at every learning rate tried ({_rate(rates[0])} … {_rate(rates[-1])})."


def _left_out(seeds: Sequence[int]) -> str:
    names = [str(seed) for seed in seeds]
    if len(names) == 1:
        return f"Seed {names[0]} diverged and is left out."
    return f"Seeds {', '.join(names[:-1])} and {names[-1]} diverged and are left out."


def _digits(seconds: float) -> int:
    """Decimals of a time: none from ten seconds on."""
    return 0 if abs(seconds) >= 10 else 2


def _plain(least: int, *values: float) -> list[str]:
    """Magnitudes with the same number of places, enough for the smallest not to read as zero."""
    sizes = [abs(value) for value in values]
    smallest = min((size for size in sizes if size > 0), default=1.0)
    places = min(_MOST_PLACES, max(least, -math.floor(math.log10(smallest))))
    return [f"{size:.{places}f}" for size in sizes]


def _signed(least: int, *values: float) -> list[str]:
    """As :func:`_plain`, with a sign on every number that does not read as zero."""
    return [
        text if float(text) == 0 else ("−" if value < 0 else "+") + text
        for text, value in zip(_plain(least, *values), values, strict=True)
    ]


def _rate(value: float) -> str:
    """A learning rate as people write it: 5e-4, 1.5e-3."""
    mantissa, exponent = f"{value:e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def _count(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
