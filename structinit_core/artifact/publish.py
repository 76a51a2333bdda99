"""All-or-nothing publication of a directory: lock, stage beside it, fsync, rename."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
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
from structinit_core.errors import (
    NO_SPACE,
    IncompatibleError,
    InputError,
    LockedError,
    UsageError,
    no_space,
)


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold the lock of ``output`` (a hidden file beside it); the kernel frees it on death.

    What a killed run left beside ``output`` is put back or removed first. The empty lock file
    stays: removing it would let two runs hold two locks of one name.

    Raises:
        LockedError: another run holds it.
        UsageError: ``output`` cannot be a directory of its own, such as ``.``.
        InputError: the parent directory cannot be written.
    """
    if output.name in ("", "..") or output.resolve() in (Path.cwd(), Path.home(), Path("/")):
        raise UsageError(f"{str(output)!r} cannot be replaced as a whole", hint="name another")
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(output.parent / f".{output.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise LockedError(
                "is being written by another run", where=str(output), hint="try again later"
            ) from error
    try:
        with writing(output):
            _recover(output)
        yield
    finally:
        lock.release()


@contextmanager
def scratch(output: Path) -> Iterator[Path]:
    """A private temporary directory beside ``output``, removed on every exit.

    The caller holds :func:`locked`; after ``kill -9`` the next run's lock removes it.
    """
    with writing(output):
        work = Path(tempfile.mkdtemp(prefix=f".{output.name}.tmp-", dir=output.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def is_up_to_date(output: Path, recipe: Recipe) -> bool:
    """Whether ``output`` holds the whole result of ``recipe``: same key, all files in size."""
    manifest = _own_manifest(output)
    if manifest is None or manifest.key != recipe.key:
        return False
    try:
        sizes = {name: (output / name).stat().st_size for name in manifest.files}
    except OSError:
        return False
    return sizes == {name: entry.bytes for name, entry in manifest.files.items()}


def refuse_overlap(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that would replace or spoil what it is made from.

    Raises:
        UsageError: the output is one of the inputs, holds one or lies in one.
    """
    target = output.resolve()
    for path in inputs:
        source = path.resolve()
        if source == target or target in source.parents or source in target.parents:
            raise UsageError(f"the output {str(output)!r} and the input {str(path)!r} overlap")


def refuse_foreign(output: Path, kind: str, force: bool) -> None:
    """Refuse to replace anything but an artifact of the same ``kind``, unless ``force``.

    Raises:
        IncompatibleError: ``output`` is a file, or a non-empty directory of another kind.
    """
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise IncompatibleError("exists and is not a directory", where=str(output))
    if force or not output.exists() or not any(output.iterdir()):
        return
    manifest = _own_manifest(output)
    if manifest is None or manifest.recipe.kind != kind:
        what = f"holds {manifest.recipe.kind}" if manifest else "was not made by this program"
        raise IncompatibleError(
            f"exists and {what}",
            where=str(output),
            hint="name another output, or replace it with --force",
        )


@contextmanager
def staged(
    output: Path, recipe: Recipe, hashes: Mapping[Path, str] | None = None
) -> Iterator[Path]:
    """A temporary sibling directory that becomes ``output`` on a clean exit, else vanishes.

    The caller holds :func:`locked`. The manifest is written last; an existing ``output`` is
    moved aside before the rename and removed after it. Between the two renames there is no
    ``output``; a run killed there is put right by the next one's lock. ``hashes`` are read
    last: the caller may enter there the sha256 of files it hashed while writing them.

    Raises:
        LimitError: the disk is full.
        InputError: the place cannot be written for another reason.
    """
    with scratch(output) as work:
        try:
            yield work
        except OSError as error:
            if error.errno in NO_SPACE:
                raise no_space(output) from error
            raise
        publish_directory(work, output, recipe, hashes or {})


def publish_directory(work: Path, output: Path, recipe: Recipe, hashes: Mapping[Path, str]) -> None:
    """Complete ``work`` with its manifest, sync it, and rename it to ``output``."""
    with writing(output):
        manifest = Manifest(recipe=recipe, key=recipe.key, files=describe_files(work, hashes))
        (work / MANIFEST).write_text(
            pretty_json(manifest.model_dump(mode="json", by_alias=True, exclude_none=True)),
            encoding="utf-8",
        )
        _sync_tree(work)
        work.chmod(0o777 & ~_umask())
        _replace(output, work)


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Faults of the file system as errors that name the output."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise no_space(output) from error
        raise InputError(f"cannot be written: {error.strerror}", where=str(output)) from error


def _own_manifest(output: Path) -> Manifest | None:
    """The output's manifest; ``None`` where there is none, or another program's."""
    try:
        return read_manifest(output)
    except IncompatibleError:
        return None


def _recover(output: Path) -> None:
    """Undo what a killed run left: the lock is ours, so no sibling can be in use."""
    prefix = re.escape(f".{output.name}.")
    for path in sorted(output.parent.iterdir()):
        kind = re.fullmatch(rf"{prefix}(old-\d+|tmp-[a-z0-9_]{{8}})", path.name)
        if kind is None or path.is_symlink() or not path.is_dir():
            continue
        if kind[1].startswith("old") and not output.exists():
            path.rename(output)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _replace(output: Path, work: Path) -> None:
    aside = output.parent / f".{output.name}.old-{os.getpid()}"
    had_old = output.exists()
    if had_old:
        output.rename(aside)
    try:
        work.rename(output)
    except BaseException:
        if had_old:
            aside.rename(output)
        raise
    sync(output.parent)
    if had_old:
        shutil.rmtree(aside, ignore_errors=True)


def _sync_tree(root: Path) -> None:
    for path in sorted(root.rglob("*"), reverse=True):
        sync(path)
    sync(root)


def sync(path: Path) -> None:
    """Have the disk hold a file, or the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
