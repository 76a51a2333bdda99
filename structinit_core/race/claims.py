"""Published differences between two starts, held against a race's own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from structinit_core.race.result import ArmResult, Estimate
from structinit_core.race.statistics import paired
from structinit_core.race.wording import difference_text, interval

BELOW, ABOVE = (-math.inf, 0.0), (0.0, math.inf)


@dataclass(frozen=True)
class Claim:
    """``where`` it says that ``arm`` is ``difference`` nats from its baseline.

    Arms go by their method; ``against``: those that may stand for that baseline. ``claimed``:
    the differences for which it holds, :data:`BELOW`, :data:`ABOVE` or a range of its own.
    ``before``: it is of the loss before training, else of the loss at the end.
    """

    where: str
    arm: str
    difference: float
    against: tuple[str, ...]
    claimed: tuple[float, float] = BELOW
    before: bool = False


def claim_notes(claims: Sequence[Claim], arms: Sequence[ArmResult]) -> Iterator[str]:
    """A sentence for each claim and arm it is held against, where the race has both.

    A claim holds, or does not, where the 95 % interval of the paired difference lies wholly
    within the claimed range, or wholly outside; otherwise it is not shown.
    """
    known = {arm.source: arm for arm in arms}
    for claim in claims:
        for name in claim.against:
            if claim.arm in known and name in known:
                found = paired_difference(known[claim.arm], known[name], before=claim.before)
                if found is not None:
                    yield _sentence(claim, name, found)


def paired_difference(arm: ArmResult, other: ArmResult, *, before: bool) -> Estimate | None:
    """Loss of ``arm`` − ``other`` before or after training over common seeds, if there are any."""
    mine, theirs = (_losses(one, before=before) for one in (arm, other))
    common = [seed for seed in mine if seed in theirs]
    if not common:
        return None
    return paired([mine[seed] for seed in common], [theirs[seed] for seed in common])


def _losses(arm: ArmResult, *, before: bool) -> dict[int, float]:
    if arm.curve is None:
        return {}
    live = [seed for seed in arm.seeds if seed not in arm.diverged_seeds]
    at = 0 if before else -1
    return {seed: run[at] for seed, run in zip(live, arm.curve.runs, strict=True)}


def _sentence(claim: Claim, name: str, found: Estimate) -> str:
    moment = "before training" if claim.before else "at the end"
    mean, between = interval(found, difference_text)
    return (
        f"published, {claim.where}: {claim.arm} {claim.difference:+.3g} nats; here {moment}, "
        f"to {name}: {f'{mean} {between}'.strip()}: {_holds(claim, found)}"
    )


def _holds(claim: Claim, found: Estimate) -> str:
    least, most = claim.claimed
    if found.low is None or found.high is None:
        return "one seed shows nothing"
    if least < found.low and found.high < most:
        if 0 not in claim.claimed:
            return "holds"
        return f"the sign holds, {found.mean / claim.difference:.0%} of the size"
    if found.high <= least or found.low >= most:
        return "does not hold"
    return "not shown"
