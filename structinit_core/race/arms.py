"""The arms of a race: a name, and the start it stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from structinit_core.blueprint import Blueprint
from structinit_core.errors import IncompatibleError, UsageError
from structinit_core.initializers.baselines import BASELINE_NAMES
from structinit_core.initializers.closed_form import DEFAULT_STAGES, refuse_unsupported
from structinit_core.race.dpi_starts import DPI

CLOSED_FORM = "closed-form"
COMPILED = {CLOSED_FORM: DEFAULT_STAGES, "closed-form-bigram": ("bigram",)}
"""Methods of compiling, and the stages each takes."""
SHUFFLED = "shuffled-"
"""Prefix of a method that gets the counts with token identities permuted: a control."""
_COUNTING = (CLOSED_FORM, "unigram-bias")
METHODS = (*BASELINE_NAMES, *COMPILED, *DPI, *(SHUFFLED + name for name in _COUNTING))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")


@dataclass(frozen=True)
class Arm:
    """One start under a name: built by a method of :data:`METHODS`, or read from a checkpoint."""

    name: str
    method: str | None = None
    path: Path | None = None

    @property
    def source(self) -> str:
        """The method, or the checkpoint's name without its directory."""
        return self.method or (self.path.name if self.path else "")

    @property
    def shuffled(self) -> bool:
        """Whether the counts' token identities are permuted first."""
        return self.method is not None and self.method.startswith(SHUFFLED)

    @property
    def maker(self) -> str | None:
        """The method without the prefix of the control."""
        return self.method.removeprefix(SHUFFLED) if self.method else None


def parse_arms(texts: Sequence[str]) -> tuple[Arm, ...]:
    """The arms of ``NAME=METHOD``, ``NAME=CHECKPOINT`` or just ``METHOD``, in order.

    Raises:
        UsageError: an unknown method, a missing directory, a bad or repeated name.
    """
    arms = tuple(map(_parse, texts))
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two arms are called {name!r}")
    return arms


def refuse_arm(arm: Arm, blueprint: Blueprint) -> None:
    """Refuse, before any work, an arm that this network cannot start from.

    Raises:
        IncompatibleError: with the reason.
    """
    if arm.maker in COMPILED:
        refuse_unsupported(blueprint)
    if arm.maker == "unigram-bias" and blueprint.tied:
        raise IncompatibleError(
            f"arm {arm.name}: unigram-bias needs an untied head",
            hint='set "tie_word_embeddings": false in the config, or leave the arm out',
        )


def _parse(text: str) -> Arm:
    name, given, source = text.partition("=")
    if not given:
        name = source = text
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name an arm",
            hint="use NAME=METHOD or NAME=CHECKPOINT; letters, digits and . _ + - in NAME",
        )
    if source in METHODS:
        return Arm(name, method=source)
    if source and Path(source).is_dir():
        return Arm(name, path=Path(source))
    raise UsageError(
        f"arm {name!r}: {source!r} is no method and no checkpoint directory",
        hint=f"methods are {', '.join(METHODS)}",
    )
