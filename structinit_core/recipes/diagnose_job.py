"""What to diagnose, and on which text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from structinit_core.corpus import Border
from structinit_core.diagnose import Rule

DEFAULT_MEMORY = 4 << 30


@dataclass(frozen=True)
class DiagnoseJob:
    """A checkpoint directory or ``.safetensors`` file, and what to score it on.

    With ``texts`` the loss is on them, with ``counts`` alone on the counts' held-out slice;
    references need ``counts``. ``max_tokens`` bounds the scored text by evenly spread windows.
    ``against`` is a second checkpoint to compare with; ``rules`` are thresholds. ``dynamic``:
    a model whose config is known is also run, on that text or on tokens drawn by ``seed``.
    """

    path: Path
    against: Path | None = None
    counts: Path | None = None
    texts: Sequence[Path] = ()
    border: Border = Border.BLANK
    text_field: str | None = None
    max_tokens: int = 1 << 20
    rules: Sequence[Rule] = ()
    dynamic: bool = True
    seed: int = 0
    device: str = "cpu"
    memory_bytes: int = DEFAULT_MEMORY

    @property
    def scored(self) -> bool:
        """Whether there is a text to score the checkpoint on."""
        return bool(self.texts) or self.counts is not None
