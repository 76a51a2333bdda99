"""Checkpoints on disk: streaming writer, lazy reader, Hugging Face directory."""

from structinit_core.checkpoint.directory import write_directory
from structinit_core.checkpoint.reader import read_tensors, shard_files
from structinit_core.checkpoint.writer import DEFAULT_SHARD_BYTES, write_checkpoint

__all__ = [
    "DEFAULT_SHARD_BYTES",
    "read_tensors",
    "shard_files",
    "write_checkpoint",
    "write_directory",
]
