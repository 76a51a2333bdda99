"""Parquet files to checked rows, streamed batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from structinit_core.errors import InputError
from structinit_core.graph.columns import Layout, layout_of
from structinit_core.graph.quarantine import Quarantine
from structinit_core.graph.row_block import RowBlock
from structinit_core.graph.rows import BadRowError, Row, check_row

_BATCH_ROWS = 1 << 12
_BUFFER_BYTES = 1 << 20
"""Read ahead in a column; without a buffer the whole column of a row group would be in memory."""


def read_parquet(path: Path, columns: Mapping[str, str], bad: Quarantine) -> Iterator[RowBlock]:
    """The rows of ``path`` in blocks; bad ones go to ``bad`` with their row, counted from 1.

    Columns hold text, numbers or times; null is nothing said. Cost: some 5 µs a row. Memory: a
    few thousand rows and the pages that hold them. Deterministic: read by one thread.

    Raises:
        InputError: an unreadable or damaged file, columns that are not there or hold neither
            text nor numbers nor times.
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
            schema = table.schema_arrow
            layout = layout_of(schema.names, columns, str(path), named=True)
            chosen = _chosen(schema, layout, path)
            kept = Layout(
                len(chosen), {c: chosen.index(at) for c, at in layout.places.items()}, header=True
            )
            names = [schema.names[at] for at in chosen]
            for batch in table.iter_batches(_BATCH_ROWS, columns=names, use_threads=False):
                rows: list[Row] = []
                values = [_texts(batch.column(batch.schema.get_field_index(n))) for n in names]
                for fields in zip(*values, strict=True):
                    row += 1
                    try:
                        rows.append(check_row(fields, kept))
                    except BadRowError as error:
                        bad.add(path, row, str(error), "\t".join(fields))
                yield RowBlock.of(rows)
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
        reason = (str(error).strip() or "no reason").splitlines()[0][:120]
        if row:
            raise InputError(
                f"damaged Parquet after this row ({reason})", where=f"{path}:{row}"
            ) from error
        raise InputError(f"is not a readable Parquet file ({reason})", where=str(path)) from error


def _chosen(schema: Any, layout: Layout, path: Path) -> list[int]:
    """The fields of the file that are read, checked."""
    from pyarrow import types

    chosen = sorted(set(layout.places.values()))
    for at in chosen:
        kind = schema.field(at).type
        plain = kind.value_type if types.is_dictionary(kind) else kind
        known = (
            types.is_string(plain)
            or types.is_large_string(plain)
            or types.is_string_view(plain)
            or types.is_integer(plain)
            or types.is_floating(plain)
            or types.is_decimal(plain)
            or types.is_temporal(plain)
        )
        if not known:
            raise InputError(
                f"column {schema.names[at]!r} holds {kind}, neither text nor numbers nor times",
                where=str(path),
                hint="name another column",
            )
    return chosen


def _texts(column: Any) -> list[str]:
    """A column as text; null is "", bytes that are no UTF-8 become lone surrogates."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    raw = column.cast(pa.large_string()).cast(pa.large_binary())
    return ["" if v is None else v.decode("utf-8", "surrogateescape") for v in raw.to_pylist()]
