"""What stands around the weights of an export: config, generation config, tokenizer files."""

from __future__ import annotations

import shutil
from pathlib import Path

from structinit_core.artifact import pretty_json
from structinit_core.export.source import Source

_CARRIED = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "ids/tokenizer.json",
    "ids/tokenizer_config.json",
)
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")


def carried_files(path: Path) -> list[Path]:
    """The files beside a checkpoint's weights that an export takes along unchanged."""
    return [path / name for name in _CARRIED if (path / name).is_file()] if path.is_dir() else []


def has_tokenizer(path: Path) -> bool:
    """Whether :func:`carried_files` hold a tokenizer."""
    return any(file.name in _TOKENIZERS for file in carried_files(path))


def write_surroundings(source: Source, dtype: str, directory: Path) -> None:
    """Write ``config.json`` and copy the carried files.

    The config is the source's, unknown keys too, but for what the weights decide: the
    architecture and the dtype.
    """
    config = {key: value for key, value in source.config.items() if key != "torch_dtype"}
    config |= {"architectures": [source.blueprint.architecture], "dtype": dtype}
    (directory / "config.json").write_text(pretty_json(config), encoding="utf-8")
    for file in carried_files(source.path):
        copy = directory / file.relative_to(source.path)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy)
