"""What one ``dpi-init`` run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from structinit_core.artifact import Input, Recipe, canonical_json, read_manifest, text_digest
from structinit_core.blueprint import is_preset, named_config
from structinit_core.checkpoint import (
    CHECKPOINT_KIND,
    CHECKPOINT_VERSION,
    DEFAULT_SHARD_BYTES,
    DTYPES,
)
from structinit_core.errors import IncompatibleError, UsageError
from structinit_core.initializers.dpi import DpiSettings
from structinit_core.recipes.compile_job import refuse_other_tokenizer
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import DEFAULT_MEMORY


@dataclass(frozen=True)
class DpiJob:
    """One initialisation: a config or a preset's name, a variant, and text.

    ``source`` is the text that layers are measured on, and counted unless ``counts`` are given;
    then its tokenizer is theirs. ``dtype``: float32, float16 or bfloat16.
    """

    config: Path
    settings: DpiSettings
    source: CountSource
    counts: Path | None = None
    seed: int = 0
    dtype: str = "float32"
    device: str = "cpu"
    memory_bytes: int = DEFAULT_MEMORY
    shard_bytes: int = DEFAULT_SHARD_BYTES

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UsageError(f"unknown dtype {self.dtype!r}", hint=f"one of {', '.join(DTYPES)}")
        refuse_other_tokenizer(self.source, self.counts)

    def paths(self) -> list[Path]:
        """Every file and directory read."""
        read = self.source.paths() if self.counts is None else [*self.source.texts, self.counts]
        return read if is_preset(self.config) else [self.config, *read]

    def recipe(self) -> Recipe:
        """What decides the checkpoint's bytes."""
        config = canonical_json(named_config(self.config))
        inputs = [Input(name="config", sha256=text_digest(config)), *self.source.inputs()]
        if self.counts is not None:
            manifest = read_manifest(self.counts)
            if manifest is None:
                raise IncompatibleError("is not a counts artifact", where=str(self.counts))
            inputs.append(Input(name="counts", sha256=manifest.content))
        params: dict[str, object] = {
            "method": "dpi",
            "settings": self.settings.params(),
            "seed": self.seed,
            "dtype": self.dtype,
            "shard_bytes": self.shard_bytes,
            "text": self.source.params(),
        }
        return Recipe(
            kind=CHECKPOINT_KIND, version=CHECKPOINT_VERSION, params=params, inputs=tuple(inputs)
        )
