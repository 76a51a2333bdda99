"""A checkpoint as a Hugging Face directory again: another dtype, other shards."""

from __future__ import annotations

from pathlib import Path

from structinit_core.checkpoint import DEFAULT_SHARD_BYTES, DTYPES, write_checkpoint
from structinit_core.export.directory import write_surroundings
from structinit_core.export.source import Source
from structinit_core.progress import Progress


def export_hugging_face(
    source: Source,
    directory: Path,
    dtype: str,
    progress: Progress,
    *,
    shard_bytes: int = DEFAULT_SHARD_BYTES,
    hashes: dict[Path, str] | None = None,
) -> None:
    """Write the weights in ``dtype``, the config and the tokenizer files into ``directory``.

    Names and order are the family's, whatever they were; buffers that follow from the config
    are left out. In the checkpoint's own dtype every value stays as it is. Memory: one tensor
    and 16 MiB.

    Raises:
        InputError: a tensor cannot be read. NumericalError: a value that ``dtype`` cannot hold.
    """
    progress.stage("writing", len(source.specs))
    write_checkpoint(
        directory,
        source.specs,
        source.tensors(dtype),
        progress,
        dtype=DTYPES[dtype],
        shard_bytes=shard_bytes,
        hashes=hashes,
    )
    write_surroundings(source, dtype, directory)
