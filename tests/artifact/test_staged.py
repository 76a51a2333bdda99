"""A staged directory becomes the output whole, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from structinit_core.artifact import (
    MANIFEST,
    Recipe,
    file_digest,
    is_up_to_date,
    locked,
    manifest,
    read_manifest,
    scratch,
    staged,
)
from structinit_core.errors import InputError, LimitError


class BoomError(Exception):
    pass


def test_the_manifest_names_every_file_and_its_hash(output: Path, recipe: Recipe) -> None:
    contents = {"a.bin": b"abc", "sub/b.txt": "ö".encode(), "empty": b""}
    with locked(output), staged(output, recipe) as work:
        (work / "sub").mkdir()
        for name, content in contents.items():
            (work / name).write_bytes(content)
        assert not (work / MANIFEST).exists()
        assert not output.exists()
    manifest = read_manifest(output)
    assert manifest is not None
    assert manifest.key == recipe.key
    assert manifest.recipe == recipe
    assert {name: entry.sha256 for name, entry in manifest.files.items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
    }
    assert {name: entry.bytes for name, entry in manifest.files.items()} == {
        name: len(content) for name, content in contents.items()
    }


def test_a_file_hashed_by_the_caller_is_not_read_again(
    output: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def record(path: Path) -> str:
        read.append(path.name)
        return file_digest(path)

    monkeypatch.setattr(manifest, "file_digest", record)
    hashes: dict[Path, str] = {}
    with locked(output), staged(output, recipe, hashes) as work:
        for name in ("known", "unknown"):
            (work / name).write_bytes(b"abc")
        hashes[work / "known"] = hashlib.sha256(b"abc").hexdigest()
    assert read == ["unknown"]
    published = read_manifest(output)
    assert published is not None
    assert len({entry.sha256 for entry in published.files.values()}) == 1


def test_only_what_may_differ_between_equal_runs_is_unhashed(publish, output: Path) -> None:
    publish(**{"run.json": b"{}", "report.json": b"{}"})
    manifest = read_manifest(output)
    assert manifest is not None
    assert set(manifest.files) == {"report.json"}


def test_equal_recipes_and_files_give_equal_bytes(publish, output: Path) -> None:
    publish(b=b"2", a=b"1")
    first = (output / MANIFEST).read_bytes()
    publish(a=b"1", b=b"2")
    assert (output / MANIFEST).read_bytes() == first


@pytest.mark.parametrize("error", [BoomError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_nothing(
    output: Path, recipe: Recipe, leftovers, error: type[BaseException]
) -> None:
    def fail() -> None:
        with locked(output), staged(output, recipe) as work:
            (work / "half").write_bytes(b"x")
            raise error

    with pytest.raises(error):
        fail()
    assert not output.exists()
    assert leftovers() == []


def test_a_file_that_cannot_be_described_is_not_published(
    output: Path, recipe: Recipe, leftovers
) -> None:
    with pytest.raises(ValueError, match=r"."), locked(output), staged(output, recipe) as work:
        (work / "broken.npy").write_bytes(bytes(128))
    assert not output.exists()
    assert leftovers() == []


def test_everything_is_on_disk_before_the_rename(
    output: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[int | str] = []
    fsync, rename = os.fsync, os.rename

    def record_sync(descriptor: int) -> None:
        events.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def record_rename(source: Path, target: Path) -> None:
        events.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "rename", record_rename)
    with locked(output), staged(output, recipe) as work:
        (work / "sub").mkdir()
        (work / "sub" / "data").write_bytes(b"x")
    before = set(events[: events.index("rename")])
    after = set(events[events.index("rename") + 1 :])
    for path in [output, *output.rglob("*")]:
        assert path.stat().st_ino in before, path
    assert output.parent.stat().st_ino in after


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_mode_follows_the_umask(publish, mask: int) -> None:
    before = os.umask(mask)
    try:
        path = publish()
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o777 & ~mask
    assert (path / "data").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_limit(output: Path, recipe: Recipe, leftovers, code: int) -> None:
    with pytest.raises(LimitError) as caught, locked(output), staged(output, recipe):
        raise OSError(code, os.strerror(code))
    assert caught.value.exit_code == 6
    assert caught.value.where == str(output)
    assert not output.exists()
    assert leftovers() == []


def test_a_disk_that_fills_up_at_the_sync_is_a_limit(
    publish, output: Path, leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LimitError):
        publish()
    assert not output.exists()
    assert leftovers() == []


def test_a_fault_of_publishing_names_the_output(
    publish, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(InputError, match="denied") as caught:
        publish()
    assert caught.value.where == str(output)


def test_a_fault_of_the_caller_stays_the_caller_s(output: Path, recipe: Recipe) -> None:
    with pytest.raises(FileNotFoundError), locked(output), staged(output, recipe):
        raise FileNotFoundError(errno.ENOENT, "an input went away")


@pytest.mark.parametrize("error", [None, BoomError])
def test_scratch_is_removed_on_every_exit(
    output: Path, leftovers, error: type[Exception] | None
) -> None:
    try:
        with locked(output), scratch(output) as work:
            (work / "spill").write_bytes(b"x")
            assert work.parent == output.parent
            if error:
                raise error
    except BoomError:
        pass
    assert leftovers() == []


def test_two_scratches_of_one_run_do_not_meet(output: Path, recipe: Recipe) -> None:
    with locked(output), staged(output, recipe) as work, scratch(output) as spill:
        assert work != spill
        (spill / "spill").write_bytes(b"x")
    assert is_up_to_date(output, recipe)
    assert not (output / "spill").exists()
