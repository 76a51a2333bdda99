"""What ``graph-compile`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from structinit_core.artifact import Input, Recipe, file_input
from structinit_core.checkpoint import CHECKPOINT_KIND, CHECKPOINT_VERSION, DEFAULT_SHARD_BYTES
from structinit_core.errors import UsageError
from structinit_core.graph import LinkSource
from structinit_core.recipes.counting import DEFAULT_MEMORY


@dataclass(frozen=True)
class GraphCompileJob:
    """One compilation of link lists.

    holdout: a share of the links to leave out and score on, or a file of such links; also_true:
    files of other true links, which do not stand in the way of those ranked. width,
    layers, heads, keys: sizes in place of those that the graph suggests. predict: keys also
    hold what relation paths predict. onnx: also as ``model.onnx``.
    """

    source: LinkSource
    holdout: float | Path | None = None
    also_true: tuple[Path, ...] = ()
    family: str = "gpt2"
    width: int | None = None
    layers: int | None = None
    heads: int | None = None
    keys: int | None = None
    predict: bool = True
    faithful: str | None = None
    onnx: bool = False
    seed: int = 0
    device: str = "cpu"
    memory_bytes: int = DEFAULT_MEMORY
    shard_bytes: int = DEFAULT_SHARD_BYTES

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "keys"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} {value} is below 1")
        if self.faithful and (self.keys is not None or not self.predict or self.onnx):
            raise UsageError(
                "a published version stores no keys and is not written as ONNX",
                hint="leave out --keys, --no-paths and --onnx; initctl export writes ONNX",
            )
        if isinstance(self.holdout, float) and not 0 < self.holdout < 1:
            raise UsageError(f"{self.holdout} is no share of the links", hint="such as 0.05")
        if self.also_true and self.holdout is None:
            raise UsageError("links that are also true matter to held-out ones only")

    def paths(self) -> list[Path]:
        """Every file read."""
        source = self.source
        keyed = [file.path for file in (source.stakes, source.labels) if file is not None]
        scored = [self.holdout] if isinstance(self.holdout, Path) else []
        return [*source.paths, *keyed, *scored, *self.also_true]

    def recipe(self) -> Recipe:
        """What decides the checkpoint's bytes."""
        inputs: list[Input] = [file_input(path) for path in self.paths()]
        source = self.source
        params: dict[str, object] = {
            "method": "graph",
            "columns": dict(sorted(source.columns.items())),
            "stakes": _columns(source.stakes),
            "labels": _columns(source.labels),
            "holdout": self.holdout
            if isinstance(self.holdout, float)
            else self.holdout is not None,
            "also_true": len(self.also_true),
            "family": self.family,
            "width": self.width,
            "layers": self.layers,
            "heads": self.heads,
            "keys": self.keys,
            "predict": self.predict,
            "faithful": self.faithful,
            "onnx": self.onnx,
            "seed": self.seed,
            "shard_bytes": self.shard_bytes,
        }
        return Recipe(
            kind=CHECKPOINT_KIND, version=CHECKPOINT_VERSION, params=params, inputs=tuple(inputs)
        )


def _columns(file: object) -> list[str] | None:
    """Which columns of a file of stakes or labels are read; ``None`` without the file."""
    return None if file is None else [getattr(file, "key", ""), getattr(file, "value", "")]
