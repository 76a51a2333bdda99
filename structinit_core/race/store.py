"""Finished runs on disk, one JSON each, there as soon as the run has ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from structinit_core.artifact import canonical_json, pretty_json, publish_text, text_digest
from structinit_core.errors import IncompatibleError
from structinit_core.race.record import RunRecord


class RunStore:
    """The runs below one directory by their keys."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, key: str) -> RunRecord | None:
        """The finished run of this key, or ``None``.

        Raises:
            IncompatibleError: the file there is not such a run.
        """
        path = self._path(key)
        try:
            record = RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (ValidationError, UnicodeDecodeError) as error:
            raise IncompatibleError(
                "is not a run of this program's version", where=str(path), hint="remove it"
            ) from error
        if record.key != key:
            raise IncompatibleError("holds another run", where=str(path), hint="remove it")
        return record

    def put(self, record: RunRecord) -> None:
        """Publish a finished run."""
        content = record.model_dump(mode="json", by_alias=True)
        publish_text(self._path(record.key), pretty_json(content))

    def _path(self, key: str) -> Path:
        return self._directory / f"{key[:24]}.json"


def run_key(what: dict[str, Any]) -> str:
    """The identity of a run: equal for everything that decides its outcome, on one machine."""
    return text_digest(canonical_json(what))


def read_note(path: Path) -> dict[str, Any]:
    """A small JSON object that can be made again: empty where there is none, or no good one."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}
