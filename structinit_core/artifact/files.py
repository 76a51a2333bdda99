"""One file published whole or not at all."""

from __future__ import annotations

import secrets
from pathlib import Path

from structinit_core.errors import NO_SPACE, no_space


def publish_text(path: Path, text: str) -> None:
    """Publish ``text`` as UTF-8; as :func:`publish_bytes`."""
    publish_bytes(path, text.encode("utf-8"))


def publish_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` by renaming a temporary sibling; a link keeps its place.

    Raises:
        LimitError: the disk is full. OSError: the place cannot be written.
    """
    target = path.resolve()
    unfinished = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with unfinished.open("xb") as out:
            out.write(content)
        unfinished.replace(target)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise no_space(path) from error
        raise
    finally:
        unfinished.unlink(missing_ok=True)
