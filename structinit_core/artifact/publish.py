"""All-or-nothing publication of a directory: lock, stage beside it, fsync, rename."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from structinit_core.artifact.digest import pretty_json
from structinit_core.artifact.manifest import (
    MANIFEST,
    Manifest,
    Recipe,
    describe_files,
    read_manifest,
)
from structinit_core.errors import IncompatibleError, InputError, LimitError, LockedError


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold the lock of ``output`` (a hidden file beside it); the kernel frees it on death.

    What a killed run left beside ``output`` is put back or removed first.

    Raises:
        LockedError: another run holds it.
        InputError: the parent directory cannot be written.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(output.parent / f".{output.name}.lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LockedError(
            "is being written by another run", where=str(output), hint="try again later"
        ) from error
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(output)) from error
    try:
        _recover(output)
        yield
    finally:
        lock.release()


@contextmanager
def scratch(output: Path) -> Iterator[Path]:
    """A private temporary directory beside ``output``, removed on every exit.

    The caller holds :func:`locked`; after ``kill -9`` the next run's lock removes it.
    """
    work = Path(tempfile.mkdtemp(prefix=f".{output.name}.tmp-", dir=output.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def is_up_to_date(output: Path, recipe: Recipe) -> bool:
    """Whether ``output`` holds the whole result of ``recipe``: same key, all files in size."""
    manifest = read_manifest(output)
    if manifest is None or manifest.key != recipe.key:
        return False
    files = ((output / name, entry) for name, entry in manifest.files.items())
    return all(path.is_file() and path.stat().st_size == entry.bytes for path, entry in files)


def refuse_foreign(output: Path, force: bool) -> None:
    """Refuse to replace something this program did not publish, unless ``force``.

    Raises:
        IncompatibleError: ``output`` is a file, or a non-empty directory without our manifest.
    """
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise IncompatibleError("exists and is not a directory", where=str(output))
    if force or not output.exists() or not any(output.iterdir()):
        return
    if read_manifest(output) is None:
        raise IncompatibleError(
            "exists and was not made by this program",
            where=str(output),
            hint="name another output, or replace it with --force",
        )


@contextmanager
def staged(output: Path, recipe: Recipe) -> Iterator[Path]:
    """A temporary sibling directory that becomes ``output`` on a clean exit, else vanishes.

    The caller holds :func:`locked`. The manifest is written last; an existing ``output`` is
    moved aside first and removed after the rename, so a reader sees the old or the new one.

    Raises:
        LimitError: the disk is full.
    """
    with scratch(output) as work:
        try:
            yield work
            manifest = Manifest(recipe=recipe, key=recipe.key, files=describe_files(work))
            (work / MANIFEST).write_text(
                pretty_json(manifest.model_dump(mode="json", by_alias=True, exclude_none=True)),
                encoding="utf-8",
            )
            _sync_tree(work)
            work.chmod(0o777 & ~_umask())
            _replace(output, work)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise LimitError("the disk is full", where=str(output)) from error
            raise


def _recover(output: Path) -> None:
    """Undo what a killed run left: the lock is ours, so no sibling can be in use."""
    for old in sorted(output.parent.glob(f".{output.name}.old-*")):
        if not output.exists():
            old.rename(output)
        else:
            shutil.rmtree(old, ignore_errors=True)
    for stale in output.parent.glob(f".{output.name}.tmp-*"):
        shutil.rmtree(stale, ignore_errors=True)


def _replace(output: Path, work: Path) -> None:
    aside = output.parent / f".{output.name}.old-{os.getpid()}"
    had_old = output.exists()
    if had_old:
        output.rename(aside)
    work.rename(output)
    _sync(output.parent)
    if had_old:
        shutil.rmtree(aside, ignore_errors=True)


def _sync_tree(root: Path) -> None:
    for path in sorted(root.rglob("*"), reverse=True):
        _sync(path)
    _sync(root)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
