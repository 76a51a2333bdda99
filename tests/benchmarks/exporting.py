"""Speed and memory of exporting a large checkpoint against copying its files.

    OMP_NUM_THREADS=1 python tests/benchmarks/exporting.py [--to DIR] [--rounds N]

The checkpoint is a Llama of 1.1 billion parameters in bfloat16 (2.2 GB), drawn at random. Every
side runs in a process of its own and syncs what it wrote; the sides take turns, and memory is
touched before each, since fresh pages are dear on virtual machines. DIR lies on the disk that is
measured, by default the repository's; it needs 5 GB.

    copy     the safetensors file by shutil.copyfile
    onnx     export_checkpoint to ONNX in its own dtype, published with its hashes
    hf       export_checkpoint to a Hugging Face directory in its own dtype
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from structinit_core.artifact import pretty_json
from structinit_core.blueprint import Blueprint, TensorSpec, make_blueprint
from structinit_core.checkpoint import write_checkpoint
from structinit_core.progress import Silent
from structinit_core.recipes.exporting import ExportFormat, ExportJob, export_checkpoint

ROOT = Path(__file__).parents[2]
CONFIG = {
    "model_type": "llama",
    "vocab_size": 32_000,
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
}
BALLAST = 1 << 30
SIDES = ("copy", "onnx", "hf")
WEIGHTS = "model.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=ROOT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(once(arguments.once, arguments.checkpoint, arguments.to)))
        return
    print(f"machine: {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores, ", end="")
    print(f"{platform.machine()}, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}")
    runs: dict[str, list[tuple[float, float, int]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory(dir=arguments.to, prefix=".exporting-") as source:
        make_checkpoint(Path(source))
        for _ in range(arguments.rounds):
            for side in SIDES:
                with tempfile.TemporaryDirectory(dir=arguments.to, prefix=".exporting-") as to:
                    command = [sys.executable, __file__, "--once", side, "--to", to]
                    command += ["--checkpoint", source]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    runs[side].append(json.loads(done.stdout))
    print("medians: wall s, CPU s, times the copy in the same round (most), peak MiB")
    for side in SIDES:
        wall, cpu, peak = (statistics.median(column) for column in zip(*runs[side], strict=True))
        ratios = [other[0] / one[0] for one, other in zip(runs["copy"], runs[side], strict=True)]
        print(f"{side:5} {wall:6.2f} {cpu:6.2f}", end="")
        print(f" {statistics.median(ratios):6.2f} ({max(ratios):.2f}) {peak / 2**20:8.0f}")
    print("bars: onnx within 2 times the copy, peak 3072 MiB")


def make_checkpoint(directory: Path) -> None:
    """A checkpoint of random numbers, synced."""
    blueprint = make_blueprint(CONFIG)
    specs, stream = blueprint.tensors, drawn(blueprint)
    write_checkpoint(directory, specs, stream, Silent(), dtype=torch.bfloat16)
    (directory / "config.json").write_text(pretty_json(CONFIG))
    os.sync()


def drawn(blueprint: Blueprint) -> Iterator[tuple[TensorSpec, Tensor]]:
    draw = torch.Generator().manual_seed(0)
    for spec in blueprint.tensors:
        yield spec, torch.empty(spec.shape, dtype=torch.bfloat16).normal_(0, 0.02, generator=draw)


def once(side: str, checkpoint: Path, to: Path) -> tuple[float, float, int]:
    """Wall and CPU seconds of one side, and the peak of the process's memory, bytes."""
    np.ones(BALLAST, np.uint8)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    began, cpu = time.perf_counter(), time.process_time()
    if side == "copy":
        shutil.copyfile(checkpoint / WEIGHTS, to / WEIGHTS)
        descriptor = os.open(to / WEIGHTS, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    else:
        export_checkpoint(ExportJob(checkpoint, ExportFormat(side)), to / "out")
    return time.perf_counter() - began, time.process_time() - cpu, peak_bytes()


def peak_bytes() -> int:
    """``ru_maxrss`` would begin with the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
