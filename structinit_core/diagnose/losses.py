"""Step-0 losses: beside what counting alone scores, by frequency, and on repetitions."""

from __future__ import annotations

import math
from collections.abc import Iterable

from structinit_core.cooc import ReferenceLosses
from structinit_core.diagnose.report import Check
from structinit_core.model import Bucket, Induction


def loss_checks(forward: float, vocabulary: int, references: ReferenceLosses | None) -> list[Check]:
    """The model's loss, the references and the gaps to them, in nats per token.

    A loss above that of the uniform guess is a warning: such a start is worse than none.
    """
    uniform = references.uniform if references else math.log(vocabulary)
    checks = [
        Check(
            name="loss.model",
            value=forward,
            unit="nats",
            threshold=uniform,
            verdict="ok" if forward <= uniform + 0.01 else "warn",
        ),
        Check(name="loss.uniform", value=uniform, unit="nats"),
    ]
    if references:
        checks += [
            Check(name="loss.unigram", value=references.unigram, unit="nats"),
            Check(name="loss.kn2", value=references.kn2, unit="nats"),
            Check(name="loss.kn3", value=references.kn3, unit="nats"),
            Check(name="gap.unigram", value=forward - references.unigram, unit="nats"),
            Check(name="gap.kn2", value=forward - references.kn2, unit="nats"),
        ]
    return checks


def bucket_checks(buckets: Iterable[Bucket]) -> list[Check]:
    """The loss and the number of scored tokens of each bucket of frequency."""
    checks = []
    for bucket in buckets:
        name = f"tokens seen {seen(bucket.low, bucket.high)}"
        checks += [
            Check(name="loss.bucket", value=bucket.loss, unit="nats", tensor=name),
            Check(name="scored", value=bucket.tokens, unit="tokens", tensor=name),
        ]
    return checks


def seen(low: int, high: int | None) -> str:
    """The bounds of a bucket of frequency in words; ``high`` is not in it."""
    if high is None:
        return f"{low:,} times or more"
    return f"{low:,} to {high - 1:,} times" if high > low + 1 else f"{low:,} times"


def induction_checks(measured: Induction) -> list[Check]:
    """Losses on tokens that no text foretells and on their repetition, and what that gains.

    No verdict: a gain of about 0 is what every start has that was not made to copy.
    """
    gain = measured.first - measured.second
    return [
        Check(name="induction.first", value=measured.first, unit="nats"),
        Check(name="induction.second", value=measured.second, unit="nats"),
        Check(name="induction.score", value=gain, unit="nats"),
    ]
