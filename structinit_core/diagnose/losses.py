"""Step-0 loss beside what counting alone scores on the same tokens."""

from __future__ import annotations

import math

from structinit_core.cooc import ReferenceLosses
from structinit_core.diagnose.report import Check


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
