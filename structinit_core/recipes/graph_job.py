"""What ``graph-compile`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from structinit_core.artifact import Input, Recipe, file_input
from structinit_core.checkpoint import CHECKPOINT_KIND, CHECKPOINT_VERSION, DEFAULT_SHARD_BYTES
from structinit_core.errors import UsageError
from structinit_core.graph import LinkSource
from structinit_core.initializers.graph.fold_in import Way
from structinit_core.recipes.counting import DEFAULT_MEMORY

FULL_BEYOND = 0.05


@dataclass(frozen=True)
class GraphCompileJob:
    """One compilation of link lists.

    holdout: a share of the links to leave out and score on, or a file of such links; also_true:
    files of other true links, which do not stand in the way of those ranked. width,
    layers, heads, keys: sizes in place of those that the graph suggests. predict: keys also
    hold what relation paths predict. onnx: also as ``model.onnx``. since: a checkpoint of an
    earlier state of the same links, which may be the output itself; full_beyond: how far, in L1,
    focus may have moved since the last full compilation before there is another; fold_in: how
    new particles get their codes.
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
    since: Path | None = None
    full_beyond: float = FULL_BEYOND
    fold_in: Way = "svd"
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
        if not self.full_beyond >= 0:
            raise UsageError(f"{self.full_beyond} is no distance", hint="such as 0.05; at most 2")
        if self.faithful and self.since is not None:
            raise UsageError("a published version does not grow", hint="leave out --since")
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

    def recipe(self, since: dict[str, object] | None = None) -> Recipe:
        """What decides the checkpoint's bytes; ``since`` is :meth:`growing` from an earlier one."""
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
        if since is not None:
            params["since"] = since
        return Recipe(
            kind=CHECKPOINT_KIND, version=CHECKPOINT_VERSION, params=params, inputs=tuple(inputs)
        )

    def growing(self, content: str | None) -> dict[str, object]:
        """How an earlier checkpoint is used that hashes to ``content``; ``None``: there is none."""
        return {"content": content, "full_beyond": self.full_beyond, "fold_in": self.fold_in}


def _columns(file: object) -> list[str] | None:
    """Which columns of a file of stakes or labels are read; ``None`` without the file."""
    return None if file is None else [getattr(file, "key", ""), getattr(file, "value", "")]
