"""Parquet files to documents: one column of strings, streamed batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from structinit_core.errors import InputError

_BATCH_ROWS = 64
_BUFFER_BYTES = 1 << 20
"""Read ahead in a column; without a buffer, or with the library's own pre-buffering, the whole
column of a row group would be in memory."""


def read_parquet(path: Path, text_field: str) -> Iterator[str]:
    """The texts in column ``text_field`` of ``path`` in order; null and blank ones left out.

    Faults name the row, counted from 1 over all row groups. Memory: a few rows and the pages
    that hold them, however large a row group is. Deterministic: read by one thread.

    Raises:
        InputError: an unreadable or damaged file, no such column or one that holds no
            strings, invalid UTF-8.
    """
    import pyarrow as pa
    from pyarrow import parquet

    row = 0
    try:
        with path.open("rb") as stream:
            table = parquet.ParquetFile(
                stream,
                buffer_size=_BUFFER_BYTES,
                pre_buffer=False,
                page_checksum_verification=True,
            )
            _check_column(table.schema_arrow, text_field, path)
            for batch in table.iter_batches(_BATCH_ROWS, columns=[text_field], use_threads=False):
                for value in batch.column(text_field):
                    row += 1
                    text = value.as_py()
                    if text and not text.isspace():
                        yield text
    except UnicodeDecodeError as error:
        raise InputError(
            f"invalid UTF-8 at byte {error.start} of the text", where=f"{path}:{row}"
        ) from error
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
        reason = (str(error).strip() or "no reason").splitlines()[0][:120]
        if row:
            raise InputError(
                f"damaged Parquet after this row ({reason})", where=f"{path}:{row}"
            ) from error
        raise InputError(f"is not a readable Parquet file ({reason})", where=str(path)) from error


def _check_column(schema: Any, text_field: str, path: Path) -> None:
    places = schema.get_all_field_indices(text_field)
    if not places:
        found = ", ".join(sorted(map(repr, schema.names))[:8]) or "nothing"
        raise InputError(
            f"column {text_field!r} is missing (found: {found})",
            where=str(path),
            hint="name the column with --text-field",
        )
    if len(places) > 1:
        raise InputError(f"there are {len(places)} columns {text_field!r}", where=str(path))
    kind = schema.field(places[0]).type
    if not _holds_strings(kind):
        raise InputError(
            f"column {text_field!r} holds {kind}, not strings",
            where=str(path),
            hint="name the column with --text-field",
        )


def _holds_strings(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
