"""Checkpoints on disk: streaming writer, lazy reader, Hugging Face directory."""

from structinit_core.checkpoint.directory import (
    CHECKPOINT_KIND,
    CHECKPOINT_VERSION,
    linked_directory,
    write_directory,
)
from structinit_core.checkpoint.paired_views import load_paired_views, write_paired_views
from structinit_core.checkpoint.reader import StoredTensors, open_tensors, read_tensors, shard_files
from structinit_core.checkpoint.writer import (
    DEFAULT_SHARD_BYTES,
    DTYPES,
    plan_shards,
    write_checkpoint,
    write_tensor,
)

__all__ = [
    "CHECKPOINT_KIND",
    "CHECKPOINT_VERSION",
    "DEFAULT_SHARD_BYTES",
    "DTYPES",
    "StoredTensors",
    "linked_directory",
    "load_paired_views",
    "open_tensors",
    "plan_shards",
    "read_tensors",
    "shard_files",
    "write_checkpoint",
    "write_directory",
    "write_paired_views",
    "write_tensor",
]
