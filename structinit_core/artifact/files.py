"""One file published whole or not at all."""

from __future__ import annotations

import secrets
from pathlib import Path

from structinit_core.errors import NO_SPACE, LimitError


def publish_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 by renaming a temporary sibling; a link keeps its place.

    Raises:
        LimitError: the disk is full. OSError: the place cannot be written.
    """
    target = path.resolve()
    unfinished = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with unfinished.open("x", encoding="utf-8") as out:
            out.write(text)
        unfinished.replace(target)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise LimitError("the disk is full", where=str(path)) from error
        raise
    finally:
        unfinished.unlink(missing_ok=True)
