"""A checkpoint in other forms: re-sharded, cast, or as an ONNX graph."""

from structinit_core.export.directory import carried_files, has_tokenizer
from structinit_core.export.hugging_face import export_hugging_face
from structinit_core.export.opsets import DEFAULT_OPSET, refuse_opset
from structinit_core.export.source import Source, read_source

__all__ = [
    "DEFAULT_OPSET",
    "Source",
    "carried_files",
    "export_hugging_face",
    "has_tokenizer",
    "read_source",
    "refuse_opset",
]
