"""Static metrics of a GPT-2 of 124 M random weights, beside WeightWatcher's.

    python tests/benchmarks/diagnose.py --peer PYTHON [--rounds N] [--no-embedding]

PYTHON is the interpreter of an environment of its own with ``weightwatcher``, ``torch`` and
``safetensors``. Both sides read the same bare file of weights, in turns, as processes of their
own on the same threads, and report the CPU seconds of the analysis alone (no imports) and of the
process. By default WeightWatcher leaves out matrices with a side above 50,000, such as the
embedding; here it is told to take it, or with ``--no-embedding`` the file has none, so that both
sides always look at the same matrices. Compared are all metrics that
both have; the fitted Marchenko-Pastur edge is not among them, since the estimators differ.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

OURS = """
import json, resource, sys, time
from pathlib import Path
from structinit_core.recipes.diagnose_job import DiagnoseJob
from structinit_core.recipes.diagnosing import diagnose_checkpoint
import numpy, torch
began = time.process_time()
report = diagnose_checkpoint(DiagnoseJob(Path(sys.argv[1]), dynamic=False))
spent = time.process_time() - began
rows = {}
for check in report.checks:
    if check.tensor and isinstance(check.value, (int, float)):
        rows.setdefault(check.tensor.removesuffix(".weight"), {})[check.name] = check.value
for row in rows.values():  # WeightWatcher's norms are of squares
    for name in ("norm", "spectral_norm"):
        if name in row:
            row[name] **= 2
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps([spent, time.process_time(), peak, rows]))
"""
THEIRS = """
import json, logging, resource, sys, time
import torch, weightwatcher
logging.disable(logging.CRITICAL)
began = time.process_time()
frame = weightwatcher.WeightWatcher().analyze(model=sys.argv[1], max_N=100_000)
spent = time.process_time() - began
rows = {row.pop("name"): row for row in json.loads(frame.to_json(orient="records"))}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps([spent, time.process_time(), peak, rows]))
"""
METRICS = (
    *("N", "M", "Q", "norm", "log_norm", "spectral_norm", "log_spectral_norm", "stable_rank"),
    *("matrix_rank", "rank_loss", "entropy", "alpha", "D", "sigma", "xmin", "xmax"),
    *("num_pl_spikes", "alpha_weighted", "log_alpha_norm"),
)
Run = tuple[float, float, float, dict[str, dict[str, float]]]


def write_gpt2(path: Path, embedding: bool) -> None:
    """GPT-2's stored matrices and their biases, drawn with its deviations."""
    draw = torch.Generator().manual_seed(0)
    shapes = {"wpe": (1024, 768)} | ({"wte": (50257, 768)} if embedding else {})
    for layer in range(12):
        at = f"h.{layer}"
        shapes |= {f"{at}.attn.c_attn": (768, 2304), f"{at}.attn.c_proj": (768, 768)}
        shapes |= {f"{at}.mlp.c_fc": (768, 3072), f"{at}.mlp.c_proj": (3072, 768)}
    tensors = {}
    for name, shape in shapes.items():
        deviation = 0.02 / (24**0.5 if "c_proj" in name else 1)
        tensors[f"{name}.weight"] = deviation * torch.randn(shape, generator=draw)
        if name.startswith("h."):
            tensors[f"{name}.bias"] = torch.zeros(shape[1])
    save_file(tensors, path)


def run(python: str, code: str, *arguments: object) -> Run:
    """CPU seconds of the analysis and of the process, peak GiB, and metrics by tensor."""
    command = [python, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ)
    spent, whole, peak, rows = json.loads(done.stdout.splitlines()[-1])
    return spent, whole, peak, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True, help="Python with weightwatcher")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-embedding", action="store_true")
    arguments = parser.parse_args()
    ours: list[Run] = []
    theirs: list[Run] = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.safetensors"
        write_gpt2(path, not arguments.no_embedding)
        for _ in range(arguments.rounds):
            ours.append(run(sys.executable, OURS, path))
            theirs.append(run(arguments.peer, THEIRS, directory))
    print(f"machine: {os.cpu_count()} cores, {platform.machine()}, Python {sys.version.split()[0]}")
    for side, runs in (("ours", ours), ("weightwatcher", theirs)):
        analysis, whole = ([f"{one[at]:.2f}" for one in runs] for at in (0, 1))
        print(f"{side}: analysis {', '.join(analysis)}; process {', '.join(whole)} CPU seconds;")
        print(f"    peak {max(one[2] for one in runs):.2f} GiB, {len(runs[0][3])} tensors")
    for what, at in (("analysis", 0), ("process", 1)):
        ratios = [their[at] / our[at] for our, their in zip(ours, theirs, strict=True)]
        print(f"{what}, median of ratios: {statistics.median(ratios):.2f}  (bar: 3)")
    mine, peer = ours[0][3], theirs[0][3]
    print(f"matrices compared: {len(peer)}")
    for metric in METRICS:
        worst, where, absent = 0.0, "", 0
        for name, row in peer.items():
            pair = (mine[name].get(metric), row.get(metric))
            if None in pair:
                absent += 1
                continue
            apart = abs(pair[0] - pair[1]) / max(abs(pair[1]), 1e-12)
            worst, where = max((worst, where), (apart, name))
        missing = f", {absent} without it" if absent else ""
        print(
            f"  {metric:18} largest relative difference {worst:.1e}  {where}{missing}  (bar: 1e-3)"
        )


if __name__ == "__main__":
    main()
