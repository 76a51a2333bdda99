"""A Hugging Face directory around the weights: config, generation config, tokenizer."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from structinit_core.artifact import pretty_json
from structinit_core.blueprint import Blueprint
from structinit_core.checkpoint.reader import shard_files
from structinit_core.corpus import Frame, write_tokenizer

CHECKPOINT_KIND = "checkpoint"
CHECKPOINT_VERSION = 1
"""Of the artifact that a published checkpoint is."""


def write_directory(
    directory: Path,
    blueprint: Blueprint,
    tokenizer_json: str | None,
    frame: Frame | None,
    dtype: str = "float32",
) -> None:
    """Write ``config.json``, ``generation_config.json`` and the tokenizer files.

    The user's config is kept, unknown keys too; what the weights decide is set: the
    architecture, the dtype, and the begin and end ids of the tokenizer that was counted with
    (``null`` where it has none). Without ``tokenizer_json`` no tokenizer is written.
    """
    ids: dict[str, Any] = {
        "bos_token_id": frame.begin_id if frame else None,
        "eos_token_id": frame.end_id if frame else None,
    }
    config = {key: value for key, value in blueprint.config.items() if key != "torch_dtype"}
    config |= ids | {"architectures": [blueprint.architecture], "dtype": dtype}
    (directory / "config.json").write_text(pretty_json(config), encoding="utf-8")
    generation = ids | {"pad_token_id": ids["eos_token_id"]}
    (directory / "generation_config.json").write_text(
        pretty_json({key: value for key, value in generation.items() if value is not None}),
        encoding="utf-8",
    )
    if tokenizer_json is not None:
        write_tokenizer(tokenizer_json, directory, blueprint.context)


@contextmanager
def linked_directory(weights: Path, config: Mapping[str, Any]) -> Iterator[Path]:
    """A temporary directory that transformers loads: ``config`` and links to the tensor files.

    ``weights``: a ``.safetensors`` file, or a directory of shards with their index. Raises as
    :func:`~structinit_core.checkpoint.reader.shard_files`.
    """
    with tempfile.TemporaryDirectory(prefix="initctl-") as temporary:
        directory = Path(temporary)
        (directory / "config.json").write_text(pretty_json(config), encoding="utf-8")
        if weights.is_file():
            (directory / "model.safetensors").symlink_to(shard_files(weights)[0].resolve())
        else:
            for file in [*shard_files(weights), *weights.glob("*.safetensors.index.json")]:
                (directory / file.name).symlink_to(file.resolve())
        yield directory
