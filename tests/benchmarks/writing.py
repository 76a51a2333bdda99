"""Speed and memory of checkpoint writing against the raw speed of the disk.

    OMP_NUM_THREADS=1 python tests/benchmarks/writing.py [--to DIR] [--rounds N] [--save-file]

Every side writes 4 GiB of 128 MiB bfloat16 tensors out of one reused buffer, in a process of its
own, and syncs them. The sides take turns; memory is touched before each, since fresh pages are
dear on virtual machines. DIR lies on the disk that is measured, by default the repository's.

    raw           aligned direct writes, a tensor each: what the disk gives
    ours          write_checkpoint
    from float32  the same out of float32 tensors, cast on the way
    published     staged, and hashed while it is written
    hashed after  staged, and read again for its hash
    save_file     safetensors.torch.save_file, which needs all tensors in memory
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from structinit_core.artifact import Recipe, locked, staged
from structinit_core.blueprint import Kind, Role, TensorSpec
from structinit_core.checkpoint import write_checkpoint
from structinit_core.progress import Silent

ROOT = Path(__file__).parents[2]
TENSORS, SHAPE = 32, (8192, 8192)
TENSOR_BYTES = SHAPE[0] * SHAPE[1] * 2
SPECS = [
    TensorSpec(f"layers.{at}.weight", (Role.MLP_UP,), Kind.WEIGHT, at, SHAPE)
    for at in range(TENSORS)
]
BALLAST = 1 << 30
RECIPE = Recipe(kind="checkpoint", version=1, params={}, inputs=())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=ROOT)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save-file", action="store_true", help="the peer too; takes 5 GiB")
    parser.add_argument("--once", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(once(arguments.once, arguments.to)))
        return
    sides = [side for side in SIDES if side != "save_file" or arguments.save_file]
    print(f"machine: {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores, ", end="")
    print(f"{platform.machine()}, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}")
    runs: dict[str, list[tuple[float, float, int]]] = {side: [] for side in sides}
    for _ in range(arguments.rounds):
        for side in sides:
            with tempfile.TemporaryDirectory(dir=arguments.to, prefix=".writing-") as directory:
                command = [sys.executable, __file__, "--once", side, "--to", directory]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                runs[side].append(json.loads(done.stdout))
    print("medians: wall s, CPU s, GiB/s, speed over raw in the same round (least), peak MB")
    for side in sides:
        wall, cpu, peak = (statistics.median(column) for column in zip(*runs[side], strict=True))
        ratios = [one[0] / other[0] for one, other in zip(runs["raw"], runs[side], strict=True)]
        speed = TENSORS * TENSOR_BYTES / 2**30 / wall
        print(f"{side:13} {wall:6.2f} {cpu:6.2f} {speed:6.2f}", end="")
        print(f" {statistics.median(ratios):6.2f} ({min(ratios):.2f}) {peak / 1e6:8.0f}")
    print(f"bars: ours 0.85 of raw, peak {(2 * TENSOR_BYTES + 200e6) / 1e6:.0f} MB")


def once(side: str, to: Path) -> tuple[float, float, int]:
    """Wall and CPU seconds of one side, and its peak of memory beyond the libraries', bytes."""
    np.ones(BALLAST, np.uint8)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmHWM")
    numbers = aligned(np.dtype(np.uint16), SHAPE)
    numbers[:] = np.arange(SHAPE[1])
    tensor = torch.from_numpy(numbers).view(torch.bfloat16)
    run = SIDES[side](to, tensor)
    began, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - began, time.process_time() - cpu, resident("VmHWM") - before


def aligned(dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Memory that direct writes accept, in huge pages: the raw side at its best."""
    memory = mmap.mmap(-1, int(np.prod(shape)) * dtype.itemsize, flags=mmap.MAP_PRIVATE)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype).reshape(shape)


def resident(field: str) -> int:
    """A field of this process's memory in bytes; ``ru_maxrss`` would begin with the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


def stream(tensor: Tensor) -> Iterator[tuple[TensorSpec, Tensor]]:
    return ((spec, tensor) for spec in SPECS)


def write(to: Path, tensor: Tensor, hashes: dict[Path, str] | None = None) -> list[Path]:
    tensors = stream(tensor)
    return write_checkpoint(to, SPECS, tensors, Silent(), dtype=torch.bfloat16, hashes=hashes)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def raw(to: Path, tensor: Tensor) -> Callable[[], None]:
    content = tensor.view(torch.uint8).numpy().data

    def run() -> None:
        descriptor = os.open(to / "raw", os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
        for _ in range(TENSORS):
            if os.write(descriptor, content) != TENSOR_BYTES:
                raise SystemExit("a raw write was cut short")
        os.fsync(descriptor)
        os.close(descriptor)

    return run


def ours(to: Path, tensor: Tensor) -> Callable[[], None]:
    return lambda: [sync(path) for path in write(to, tensor)]


def from_float32(to: Path, tensor: Tensor) -> Callable[[], None]:
    wide = tensor.float()
    return lambda: [sync(path) for path in write(to, wide)]


def published(to: Path, tensor: Tensor, hashes: dict[Path, str] | None) -> Callable[[], None]:
    def run() -> None:
        with locked(to / "out"), staged(to / "out", RECIPE, hashes) as work:
            write(work, tensor, hashes)

    return run


def peer(to: Path, tensor: Tensor) -> Callable[[], None]:
    tensors = {spec.name: tensor.clone() for spec in SPECS}

    def run() -> None:
        save_file(tensors, to / "model.safetensors")
        sync(to / "model.safetensors")

    return run


SIDES: dict[str, Callable[[Path, Tensor], Callable[[], object]]] = {
    "raw": raw,
    "ours": ours,
    "from float32": from_float32,
    "published": lambda to, tensor: published(to, tensor, {}),
    "hashed after": lambda to, tensor: published(to, tensor, None),
    "save_file": peer,
}


if __name__ == "__main__":
    main()
