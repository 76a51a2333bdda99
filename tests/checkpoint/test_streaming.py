"""Tensors on their way to the disk: block borders, casts in pieces, faults in the middle."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from structinit_core.artifact import Recipe, direct, file_digest, locked, read_manifest, staged
from structinit_core.blueprint import Kind, Role, TensorSpec
from structinit_core.checkpoint import read_tensors, write_checkpoint
from structinit_core.errors import LimitError
from structinit_core.progress import Silent

CHUNK = 1 << 16
RECIPE = Recipe(kind="checkpoint", version=1, params={}, inputs=())


@pytest.fixture(autouse=True, scope="module")
def small_chunks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "_CHUNK_BYTES", CHUNK)
        yield


def plan(sizes: list[int]) -> list[TensorSpec]:
    return [
        TensorSpec(f"t{at:03}", (Role.EMBED,), Kind.WEIGHT, None, (size,))
        for at, size in enumerate(sizes)
    ]


def values(spec: TensorSpec) -> Tensor:
    return torch.arange(spec.parameters, dtype=torch.float32) % 255 - len(spec.name)


def stream(specs: list[TensorSpec]) -> Iterator[tuple[TensorSpec, Tensor]]:
    return ((spec, values(spec)) for spec in specs)


def write(directory: Path, sizes: list[int], hashes: dict[Path, str] | None = None, **options):
    specs = plan(sizes)
    return write_checkpoint(directory, specs, stream(specs), Silent(), hashes=hashes, **options)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(
        st.sampled_from([0, 1, 2047, 2048, CHUNK // 2 - 1, CHUNK // 2, CHUNK // 4 + 1])
        | st.integers(0, 2 * CHUNK),
        min_size=1,
        max_size=6,
    ),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    shard_bytes=st.sampled_from([1, CHUNK, 3 * CHUNK + 1, 1 << 30]),
)
def test_any_sizes_are_read_back(sizes: list[int], dtype: torch.dtype, shard_bytes: int) -> None:
    with TemporaryDirectory() as name:
        directory, hashes = Path(name), dict[Path, str]()
        files = write(directory, sizes, hashes, dtype=dtype, shard_bytes=shard_bytes)
        read = dict(read_tensors(directory))
        for spec in plan(sizes):
            assert torch.equal(read[spec.name], values(spec).to(dtype))
        shards = [file for file in files if file.suffix == ".safetensors"]
        assert hashes == {file: file_digest(file) for file in shards}
        first = [file.read_bytes() for file in files]
        write(directory, sizes, dtype=dtype, shard_bytes=shard_bytes)
        assert [file.read_bytes() for file in files] == first


@pytest.mark.parametrize("offset", range(-9, 10, 3))
def test_a_file_may_end_at_a_border(tmp_path: Path, offset: int) -> None:
    (file,) = write(tmp_path, [1])
    size = (CHUNK * 3 - file.stat().st_size) // 4 + offset
    (file,) = write(tmp_path, [size])
    with safe_open(file, framework="pt") as handle:
        assert torch.equal(handle.get_tensor("t000"), values(plan([size])[0]))


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that an operation allocates."""

    bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        if isinstance(result, Tensor):
            old = {a.untyped_storage().data_ptr() for a in arguments if isinstance(a, Tensor)}
            if result.untyped_storage().data_ptr() not in old:
                self.bytes = max(self.bytes, result.untyped_storage().nbytes())
        return result


def test_a_cast_needs_no_second_tensor(tmp_path: Path) -> None:
    specs = plan([1 << 24])
    tensors = list(stream(specs))
    with Largest() as largest:
        write_checkpoint(tmp_path, specs, tensors, Silent(), dtype=torch.bfloat16)
    assert 0 < largest.bytes <= 8 << 20


def test_a_stream_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    specs = plan([CHUNK, CHUNK, CHUNK])

    def failing() -> Iterator[tuple[TensorSpec, Tensor]]:
        yield from list(stream(specs))[:2]
        raise RuntimeError("the third tensor")

    def open_things() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/dev/fd").iterdir()))

    before = open_things()
    with pytest.raises(RuntimeError, match="third"):
        write_checkpoint(tmp_path, specs, failing(), Silent(), hashes={})
    assert open_things() == before


def test_published_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    output, hashes = tmp_path / "out", dict[Path, str]()
    with locked(output), staged(output, RECIPE, hashes) as work:
        write(work, [CHUNK, CHUNK], hashes, shard_bytes=4 * CHUNK)
    manifest = read_manifest(output)
    assert manifest is not None
    assert len(manifest.files) == 3
    for name, entry in manifest.files.items():
        assert entry.sha256 == file_digest(output / name)


@pytest.mark.parametrize("chunks", [0, 1, 4])
def test_a_full_disk_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    left, system_write = [chunks], os.write

    def full(descriptor: int, data: memoryview) -> int:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        return system_write(descriptor, data)

    def publish() -> None:
        with locked(output), staged(output, RECIPE) as work:
            monkeypatch.setattr(os, "write", full)
            write(work, [CHUNK, CHUNK])

    output = tmp_path / "out"
    with pytest.raises(LimitError, match="full") as caught:
        publish()
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from structinit_core.artifact import Recipe, locked, staged
from structinit_core.blueprint import Kind, Role, TensorSpec
from structinit_core.checkpoint import write_checkpoint
from structinit_core.errors import LimitError
from structinit_core.progress import Silent
output = Path(sys.argv[1])
spec = TensorSpec("a", (Role.EMBED,), Kind.WEIGHT, None, (8 << 20,))
with locked(output):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
    try:
        with staged(output, Recipe(kind="demo", version=1, params={}, inputs=())) as work:
            write_checkpoint(work, [spec], [(spec, torch.ones(spec.shape))], Silent())
    except LimitError as error:
        sys.exit(f"limit: {error.hint}")
"""


@pytest.mark.parametrize("most", [1000, (12 << 20) + 1234])
def test_a_file_that_may_not_grow_is_a_limit(tmp_path: Path, most: int) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "out"), str(most)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("limit: free space")
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]
