"""Cost of ``dpi-init`` at 8 billion parameters' width against the bare calls it cannot do without.

    python tests/benchmarks/dpi.py [--config dpi-8b] [--layers N] [--orthogonal qr|fast] [--to DIR]

The config is cut to N layers and written in bfloat16 shards of 1 GiB by ``initctl dpi-init`` as a
process of its own, on counts made before. The bare side, in a process of its own too, multiplies,
factorises and writes the same shapes once each: the factorisation of the counts, the clusters'
distances, and for every layer the covariance, its eigenvectors, a QR, the orthogonal outputs, the
products of the layer with the sample and the scored text; and the raw bytes, written by aligned
direct writes. CPU seconds (user and system) and wall seconds are given for both; bars: 2 times
bare, 8 GiB. DIR needs twice the checkpoint's size and is left as it was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import initctl, measured

ROOT = Path(__file__).parents[2]
TEXT = ROOT / "fixtures" / "corpora" / "frankenstein.txt.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="dpi-8b")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--variant", default="v14.1")
    parser.add_argument("--orthogonal", default="qr", choices=["qr", "fast"])
    parser.add_argument("--text", type=Path, default=TEXT)
    parser.add_argument("--to", type=Path, default=ROOT)
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        bare(json.loads(arguments.bare), arguments.to)
        return
    with tempfile.TemporaryDirectory(dir=arguments.to, prefix=".dpi-") as directory:
        compare(arguments, Path(directory))


def compare(arguments: argparse.Namespace, work: Path) -> None:
    from structinit_core.blueprint import named_config
    from structinit_core.cooc import open_counts
    from structinit_core.recipes.count_source import CountSource
    from structinit_core.recipes.counting import count_corpus

    config = named_config(Path(arguments.config)) | {"n_layer": arguments.layers}
    (work / "config.json").write_text(json.dumps(config))
    vocabulary = config["vocab_size"]
    count_corpus(CountSource([arguments.text], train_vocabulary=vocabulary), work / "counts")
    command = ["dpi-init", "--config", work / "config.json"]
    command += ["--counts", work / "counts", "--corpus", arguments.text, "-o", work / "out"]
    command += ["--dtype", "bfloat16", "--max-shard-size", "1G", "--memory", "8G", "--json"]
    command += ["--variant", arguments.variant, "--orthogonal", arguments.orthogonal]
    plan = json.loads(initctl(*command, "--plan").output)
    ours = initctl(*command)
    stages = json.loads((work / "out" / "run.json").read_text())["seconds"]
    landmarks = min(int((open_counts(work / "counts").unigram > 0).sum()), config["n_embd"])
    sizes = plan | {"ffn": config["n_inner"], "orthogonal": arguments.orthogonal}
    sizes |= {"landmarks": landmarks, "bytes": written(work / "out")}
    again = [sys.executable, __file__, "--to", work, "--bare", json.dumps(sizes)]
    least = measured(again)
    report = json.loads(ours.output)["report"]
    print(f"machine: {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores, ", end="")
    print(f"{platform.machine()}, load {os.getloadavg()[0]:.1f}")
    print(f"{arguments.config} cut to {arguments.layers} layers, {arguments.variant}, ", end="")
    print(f"--orthogonal {arguments.orthogonal}: {sizes['bytes'] / 2**30:.2f} GiB in bfloat16")
    print(f"dpi-init  wall {ours.wall:7.1f} s  CPU {ours.cpu:7.1f} s  ", end="")
    print(f"peak {ours.peak:.2f} GiB  (bar: 8)")
    print(f"bare      wall {least.wall:7.1f} s  CPU {least.cpu:7.1f} s")
    ratios = ours.wall / least.wall, ours.cpu / least.cpu
    print("ratio     wall {:7.2f}    CPU {:7.2f}    (bar: 2)".format(*ratios))
    print(f"planned   {plan['seconds']:.0f} s, {plan['memory_bytes'] / 2**30:.2f} GiB")
    print("seconds by stage:", ", ".join(f"{name} {spent:.1f}" for name, spent in stages.items()))
    print("bare, seconds:", least.output.strip())
    losses = {c["name"]: c["value"] for c in report["checks"] if c["name"].startswith("loss.")}
    print("nats:", ", ".join(f"{name} {value:.3f}" for name, value in losses.items()))


def written(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*.safetensors"))


def bare(sizes: dict[str, Any], to: Path) -> None:
    """The same shapes, each multiplied or factorised once, and as many bytes written."""
    import mmap

    import torch

    from structinit_core.linalg import generator, haar, structured_orthogonal

    width, wide, layers = sizes["width"], sizes["ffn"], sizes["layers"]
    positions, scored = sizes["sample_tokens"], sizes["scored_tokens"]
    spent: dict[str, float] = {}

    def clock(name: str, work: Any) -> None:
        began = time.perf_counter()
        work()
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - began

    draw = generator(0, "bare")
    stream = torch.randn(positions, width)
    square, up, down = (
        torch.randn(shape) for shape in ((width,) * 2, (width, wide), (wide, width))
    )
    block = torch.randn(sizes["landmarks"], sizes["landmarks"])
    clock("svd", lambda: torch.linalg.svd(block))
    points, centres = torch.randn(2 * width, width), torch.randn(width, width)
    clock("clusters", lambda: [torch.cdist(points, centres) for _ in range(10)])
    make = haar if sizes["orthogonal"] == "qr" else structured_orthogonal
    covariance = stream.T @ stream

    def layer_products(rows: int) -> None:
        part = stream[:rows]
        for _ in range(4):
            part @ square
        hidden = torch.nn.functional.gelu(part @ up)
        hidden @ down

    for _ in range(layers):
        clock("covariances", lambda: stream.T @ stream)
        clock("eigenvectors", lambda: torch.linalg.eigh(covariance))
        clock("qr", lambda: torch.linalg.qr(square))
        clock("orthogonal", lambda: (make(width, width, draw), make(width, wide, draw)))
        # the sample twice, with norm gains before and after calibration; the scored text once
        clock("products", lambda: [layer_products(n) for n in (positions, positions, scored)])
    chunk = mmap.mmap(-1, 128 << 20)
    chunk.write(os.urandom(1 << 20) * 128)

    def write() -> None:
        descriptor = os.open(to / "raw", os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
        for _ in range(-(-sizes["bytes"] // len(chunk))):
            os.write(descriptor, chunk)
        os.fsync(descriptor)
        os.close(descriptor)

    clock("disk", write)
    (to / "raw").unlink()
    print(", ".join(f"{name} {seconds:.1f}" for name, seconds in spent.items()))


if __name__ == "__main__":
    main()
