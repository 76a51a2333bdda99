"""Publication of what takes long to make: a killed run is taken up where its journal ends."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from structinit_core.artifact.digest import pretty_json
from structinit_core.artifact.files import publish_text
from structinit_core.artifact.manifest import Recipe
from structinit_core.artifact.publish import publish_directory, sync, writing
from structinit_core.errors import NO_SPACE, StructinitError, no_space

_JOURNAL = "journal.json"


@dataclass
class Resumable:
    """The unfinished making of one output.

    ``work`` becomes the output; ``kept`` holds what a resumed run needs and is removed at the
    end; ``entries`` are the journal so far, each a finished file of ``work``.
    """

    work: Path
    kept: Path
    entries: list[dict[str, Any]] = field(default_factory=list)

    def note(self, entry: dict[str, Any]) -> None:
        """Enter a file of ``work``, by its ``"file"``: from now on it counts as finished."""
        sync(self.work / str(entry["file"]))
        self.entries.append(entry)
        publish_text(self.kept / _JOURNAL, pretty_json({"entries": self.entries}))


@contextmanager
def resumable(output: Path, recipe: Recipe, hashes: dict[Path, str]) -> Iterator[Resumable]:
    """Directories beside ``output`` that survive a kill; on a clean exit ``work`` is published.

    The caller holds :func:`locked`. What a run of the same ``recipe`` left is found again, of
    another one removed. An expected failure removes everything; an interruption, by a signal
    too, keeps it: ``.NAME.part`` beside the output. ``hashes`` as for :func:`staged`.

    Raises:
        LimitError: the disk is full. InputError: the place cannot be written.
    """
    part = output.parent / f".{output.name}.part"
    with writing(output):
        found = _open(part, recipe)
    try:
        yield found
        publish_directory(found.work, output, recipe, hashes)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        if error.errno in NO_SPACE:
            raise no_space(output) from error
        raise
    except StructinitError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(part, ignore_errors=True)


def _open(part: Path, recipe: Recipe) -> Resumable:
    found = Resumable(part / "out", part / "kept")
    key = part / "key"
    if part.is_symlink() or not key.is_file() or key.read_text(encoding="utf-8") != recipe.key:
        if part.is_symlink() or part.is_file():
            part.unlink()
        shutil.rmtree(part, ignore_errors=True)
        found.work.mkdir(parents=True)
        found.kept.mkdir()
        publish_text(key, recipe.key)
        return found
    journal = found.kept / _JOURNAL
    if journal.is_file():
        found.entries = json.loads(journal.read_text(encoding="utf-8"))["entries"]
    finished = {str(entry["file"]) for entry in found.entries}
    for path in found.work.iterdir():
        if path.name not in finished:
            path.unlink()
    return found
