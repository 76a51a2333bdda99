"""What to diagnose, and on which text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from structinit_core.corpus import Border
from structinit_core.diagnose import Rule
from structinit_core.errors import InputError

DEFAULT_MEMORY = 4 << 30


@dataclass(frozen=True)
class DiagnoseJob:
    """A checkpoint directory or ``.safetensors`` file, and what to score it on.

    With ``texts`` the loss is on them, with ``counts`` alone on the counts' held-out slice;
    references need ``counts``. ``max_tokens`` bounds the scored text by evenly spread windows.
    ``config`` is of a model that has none beside it, which is then looked at by role and run; the
    tokenizer lies beside its config. ``against`` is a second checkpoint to compare with;
    ``rules`` are thresholds. ``dynamic``: a model whose config is known is also run, on that
    text or on tokens drawn by ``seed``.
    """

    path: Path
    config: Path | None = None
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

    def config_of(self, path: Path) -> Path | None:
        """The config of the checkpoint at ``path``, if there is one."""
        own = path / "config.json"
        return own if own.is_file() else self.config


def weights_of(path: Path) -> Path:
    """What to open: ``path``, or the one safetensors file of a directory that is no model.

    Raises:
        InputError: there is nothing.
    """
    if not path.exists():
        raise InputError("is not there", where=str(path))
    if path.is_dir() and not any(path.glob("model.safetensors*")):
        files = sorted(path.glob("*.safetensors"))
        if len(files) == 1:
            return files[0]
    return path
