"""Checkpoints on disk: streaming writer, lazy reader, Hugging Face directory."""

from structinit_core.checkpoint.directory import write_directory
from structinit_core.checkpoint.reader import read_tensors, shard_files
from structinit_core.checkpoint.writer import write_safetensors

__all__ = ["read_tensors", "shard_files", "write_directory", "write_safetensors"]
