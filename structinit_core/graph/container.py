"""``.graph`` containers with records of 128 bytes to rows."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import DamagedError, unpacked
from structinit_core.errors import InputError
from structinit_core.graph.quarantine import Quarantine
from structinit_core.graph.row_block import RowBlock
from structinit_core.printable import printable

RECORD = np.dtype(
    [
        *(("neuron", "V32"), ("from", "V32"), ("to", "V32"), ("token", "<u4")),
        *(("amount_low", "<u8"), ("amount_high", "<u8"), ("valence", "i1")),
        *(("height", "<u8"), ("padding", "V3")),
    ]
)
"""One cyberlink of the section ``cyberlinks``; amounts are 128 bits wide."""
_RECORDS = 1 << 13
_MAX_FRONT_BYTES = 1 << 20
_STRIDE = 1 << 20
_HEADING = b"~~~"
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def read_container(path: Path, bad: Quarantine) -> Iterator[RowBlock]:
    """The cyberlinks of ``path``, plain or packed; bad ones go to ``bad`` by number, from 1.

    A container is TOML (``[[files]]`` with name and size), then sections in that order, each
    behind a line ``~~~name``. Names are the 64 hex digits of the 32 bytes that a record holds.
    Amounts of one token can be added, of several they would need prices. Cost: some 100 ns a
    record. Memory: a few MiB. Source: seed 000, the layout that its program reads.

    Raises:
        InputError: no container, one of the layout ``signals``, a section that is missing,
            breaks off or is no multiple of 128 bytes, amounts of several tokens.
    """
    number = 0
    try:
        with unpacked(path) as stream:
            size = _find_section(stream, path)
            token: int | None = None
            while number * RECORD.itemsize < size:
                wanted = min(_RECORDS * RECORD.itemsize, size - number * RECORD.itemsize)
                raw = stream.read(wanted)
                if len(raw) < wanted:
                    raise InputError(
                        f"breaks off: {size // RECORD.itemsize:,} records are announced",
                        where=f"{path}:{number + len(raw) // RECORD.itemsize}",
                    )
                records = np.frombuffer(raw, RECORD)
                token = _one_token(records, token, f"{path}:{number + 1}")
                yield _checked(records, path, number, bad)
                number += len(records)
    except DamagedError as error:
        raise InputError(f"damaged or truncated {error}", where=f"{path}:{number}") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


def _checked(records: NDArray[Any], path: Path, number: int, bad: Quarantine) -> RowBlock:
    high = records["height"] > np.uint64((1 << 63) - 1)
    valence = records["valence"]
    outside = np.abs(valence.astype(np.int64)) > 1
    for at in np.flatnonzero(outside | high).tolist():
        reason = "valence is not -1, 0 or 1" if outside[at] else "height is out of range"
        bad.add(path, number + at + 1, reason, records[at].tobytes().hex())
    good = records[~(outside | high)]
    raw = np.stack([_bytes(good[name]) for name in ("from", "to", "neuron")], axis=1)
    text = np.stack((_HEX[raw >> 4], _HEX[raw & 15]), axis=-1).reshape(-1)
    names = np.zeros((len(good), 4, 2), np.int64)
    first = np.arange(len(good))[:, None] * 192 + np.array([0, 64, 128])
    names[:, [0, 1, 3], 0], names[:, [0, 1, 3], 1] = first, first + 64
    amounts = good["amount_high"] * 2.0**64 + good["amount_low"]
    return RowBlock(
        text, names, np.where(good["valence"] == 1, amounts, 0.0), good["height"].astype(np.int64)
    )


def _bytes(column: NDArray[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(column.tobytes(), np.uint8).reshape(len(column), 32)


def _one_token(records: NDArray[Any], token: int | None, where: str) -> int:
    found = np.unique(records["token"])
    token = int(found[0]) if token is None else token
    if len(found) > 1 or int(found[0]) != token:
        other = int(found[found != token][0])
        raise InputError(
            f"amounts of tokens {token} and {other} cannot be added",
            where=where,
            hint="keep the links of one token in a file",
        )
    return token


def _find_section(stream: IO[bytes], path: Path) -> int:
    """Bytes of the section ``cyberlinks``, at whose beginning the stream stands then."""
    front: list[bytes] = []
    while not (heading := stream.readline(_MAX_FRONT_BYTES)).startswith(_HEADING):
        front.append(heading)
        if not heading or sum(map(len, front)) > _MAX_FRONT_BYTES:
            raise InputError("is no container: no line '~~~name' in sight", where=str(path))
    sizes = _declared(b"".join(front), path)
    size = sizes["cyberlinks"]
    if size is None or size % RECORD.itemsize:
        raise InputError(
            f"section 'cyberlinks' is no multiple of {RECORD.itemsize} bytes: {size}",
            where=str(path),
        )
    while (name := heading[3:].strip()) != b"cyberlinks":
        heading = _next_heading(stream, sizes.get(name.decode("utf-8", "replace")))
        if not heading:
            raise InputError("breaks off before its section 'cyberlinks'", where=str(path))
    return size


def _declared(front: bytes, path: Path) -> dict[str, int | None]:
    """The sections by name and size."""
    try:
        files = tomllib.loads(front.decode()).get("files", [])
        sizes = {file["name"]: file.get("size") for file in files}
        known = all(
            isinstance(name, str) and (size is None or (type(size) is int and size >= 0))
            for name, size in sizes.items()
        )
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            "is no container: its head is no list of files", where=str(path)
        ) from error
    if not known:
        raise InputError("is no container: a name or size in its head is none", where=str(path))
    if "signals" in sizes:
        raise InputError(
            "holds its links in a section 'signals', a layout this program does not read",
            where=str(path),
            hint="write them as records of 128 bytes in a section 'cyberlinks', or as CSV",
        )
    if "cyberlinks" not in sizes:
        found = ", ".join(repr(printable(name[:40])) for name in list(sizes)[:8]) or "nothing"
        raise InputError(f"has no section 'cyberlinks' (found: {found})", where=str(path))
    return sizes


def _next_heading(stream: IO[bytes], size: int | None) -> bytes:
    """Skip a section, of so many bytes or of text; the line that begins the next one."""
    if size is None:
        while (line := stream.readline(_STRIDE)) and not line.startswith(_HEADING):
            pass
        return line
    while size and (skipped := len(stream.read(min(size, _STRIDE)))):
        size -= skipped
    line = stream.readline(_STRIDE)
    return stream.readline(_STRIDE) if line in (b"\n", b"\r\n") else line
