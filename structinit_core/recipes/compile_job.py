"""What one ``closed-form`` run is asked for, and the fit of tokenizer and network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from structinit_core.artifact import Input, Recipe, file_input, read_manifest
from structinit_core.blueprint import Blueprint, make_blueprint, read_config
from structinit_core.checkpoint import CHECKPOINT_KIND, CHECKPOINT_VERSION, DEFAULT_SHARD_BYTES
from structinit_core.corpus import load_tokenizer, vocabulary_size
from structinit_core.errors import IncompatibleError, UsageError
from structinit_core.initializers.closed_form import (
    DEFAULT_STAGES,
    chosen_stages,
    refuse_unsupported,
)
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import DEFAULT_MEMORY


@dataclass(frozen=True)
class ClosedFormJob:
    """One compilation: a config, and text to count or a counts artifact.

    Text beside counts is the one they are of; its tokenizer is theirs.

    ``stages``: those to try; the first is in every compilation.
    """

    config: Path
    source: CountSource | None = None
    counts: Path | None = None
    seed: int = 0
    device: str = "cpu"
    memory_bytes: int = DEFAULT_MEMORY
    shard_bytes: int = DEFAULT_SHARD_BYTES
    stages: tuple[str, ...] = DEFAULT_STAGES

    def __post_init__(self) -> None:
        chosen_stages(self.stages)
        if self.source is None and self.counts is None:
            raise UsageError("give text with a tokenizer, or counts")
        refuse_other_tokenizer(self.source, self.counts)

    def paths(self) -> list[Path]:
        """Every file and directory read."""
        read = [self.config, *(self.source.paths() if self.source else [])]
        return [*read, self.counts] if self.counts else read

    def blueprint(self) -> Blueprint:
        """The network to compile.

        Raises:
            IncompatibleError: this method cannot compile it. InputError: no such file.
        """
        blueprint = make_blueprint(read_config(self.config))
        refuse_unsupported(blueprint)
        return blueprint

    def recipe(self) -> Recipe:
        """What decides the checkpoint's bytes."""
        inputs = [file_input(self.config)]
        params: dict[str, object] = {
            "method": "ngram",
            "seed": self.seed,
            "shard_bytes": self.shard_bytes,
            "stages": list(chosen_stages(self.stages)),
        }
        if self.source is not None:
            inputs += self.source.inputs()
            params["counts" if self.counts is None else "text"] = self.source.params()
        if self.counts is not None:
            manifest = read_manifest(self.counts)
            if manifest is None:
                raise IncompatibleError("is not a counts artifact", where=str(self.counts))
            inputs.append(Input(name="counts", sha256=manifest.content))
        return Recipe(
            kind=CHECKPOINT_KIND, version=CHECKPOINT_VERSION, params=params, inputs=tuple(inputs)
        )


def refuse_other_tokenizer(source: CountSource | None, counts: Path | None) -> None:
    """Refuse text beside counts that is read with another tokenizer than theirs.

    Raises:
        UsageError: it is.
    """
    if source is not None and counts is not None and source.tokenizer != counts / "tokenizer.json":
        raise UsageError("text beside counts is read with the tokenizer.json among them")


def promised_vocabulary(source: CountSource) -> int:
    """Tokens of the tokenizer ``source`` names, or at most asks for."""
    if source.tokenizer is not None:
        return vocabulary_size(load_tokenizer(source.tokenizer))
    return source.train_vocabulary or 0


def refuse_vocabulary(tokens: int, blueprint: Blueprint) -> None:
    """Refuse a tokenizer that the network has no rows for.

    Raises:
        IncompatibleError: with both sizes.
    """
    if tokens > blueprint.vocabulary:
        raise IncompatibleError(
            f"the tokenizer has {tokens} tokens, the config only vocab_size {blueprint.vocabulary}",
            hint=f'set "vocab_size": {tokens} in the config, or take a smaller tokenizer',
        )
