"""A checkpoint as an ONNX decoder that needs neither torch nor transformers to run."""

from __future__ import annotations

from pathlib import Path

from structinit_core.export.decoder import build_decoder
from structinit_core.export.directory import write_surroundings
from structinit_core.export.onnx_file import INLINE_BYTES, write_onnx
from structinit_core.export.opsets import DEFAULT_OPSET
from structinit_core.export.source import Source
from structinit_core.model import read_wiring
from structinit_core.progress import Progress


def export_onnx(
    source: Source,
    directory: Path,
    dtype: str,
    progress: Progress,
    *,
    past: bool = True,
    opset: int = DEFAULT_OPSET,
    inline_bytes: int = INLINE_BYTES,
    hashes: dict[Path, str] | None = None,
) -> None:
    """Write the model with weights in ``dtype``, the config and the tokenizer files.

    Beside the checkpoint itself those stand already.

    See :func:`~structinit_core.export.decoder.build_decoder` for the graph's inputs and outputs
    and :func:`~structinit_core.export.onnx_file.write_onnx` for the files. Memory: one tensor,
    16 MiB and the libraries.

    Raises:
        UsageError: an operator set that is not supported.
        IncompatibleError: positions that are not the same for every length.
        InputError: a tensor cannot be read. NumericalError: a value that ``dtype`` cannot hold.
    """
    progress.stage("building the graph")
    wiring = read_wiring(source.blueprint)
    graph = build_decoder(source.blueprint, wiring, dtype, past=past, opset=opset)
    progress.stage("writing", len(source.specs))
    write_onnx(
        graph,
        source.specs,
        source.tensors(dtype),
        directory,
        progress,
        inline_bytes=inline_bytes,
        hashes=hashes,
    )
    if directory != source.path:
        write_surroundings(source, dtype, directory)
