"""Bytes on disk: manifests, digests, atomic publication, memory-mapped arrays."""

from structinit_core.artifact.arrays import (
    ArrayWriter,
    index_dtype,
    load_array,
    load_csr,
    save_array,
)
from structinit_core.artifact.digest import canonical_json, file_digest, pretty_json, text_digest
from structinit_core.artifact.direct import DirectWriter
from structinit_core.artifact.files import publish_bytes, publish_text
from structinit_core.artifact.manifest import (
    MANIFEST,
    FileEntry,
    Input,
    Manifest,
    Recipe,
    file_input,
    open_artifact,
    read_manifest,
)
from structinit_core.artifact.packed import DamagedError, unpacked
from structinit_core.artifact.publish import (
    is_up_to_date,
    locked,
    refuse_foreign,
    refuse_overlap,
    scratch,
    staged,
)
from structinit_core.artifact.resumable import Resumable, resumable

__all__ = [
    "MANIFEST",
    "ArrayWriter",
    "DamagedError",
    "DirectWriter",
    "FileEntry",
    "Input",
    "Manifest",
    "Recipe",
    "Resumable",
    "canonical_json",
    "file_digest",
    "file_input",
    "index_dtype",
    "is_up_to_date",
    "load_array",
    "load_csr",
    "locked",
    "open_artifact",
    "pretty_json",
    "publish_bytes",
    "publish_text",
    "read_manifest",
    "refuse_foreign",
    "refuse_overlap",
    "resumable",
    "save_array",
    "scratch",
    "staged",
    "text_digest",
    "unpacked",
]
