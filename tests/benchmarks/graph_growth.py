"""What an increment of a compiled graph costs beside a full compilation, and how near it is.

    python tests/benchmarks/graph_growth.py [LINKS] [--shares 0.001 0.01 0.05 0.1 0.25]
        [--holdout FILE] [--also-true FILE] [--scratch DIR] [--width D] [--fold-in svd]
        [--particles 300000 --links 260000]

LINKS is a list of links; without it the power law of graph_links.py is written, of the size asked
for. All of it is compiled in full; for each share the rows before the last ones are, and then all
``--since`` those, however far focus has moved. Prints CPU and wall seconds of each run by stage,
without imports and each in a process of its own, their ratio to the full compilation (bar: 5 at a
share of 0.01), the focus distance, and recall and filtered MRR of each report: every run scores its
checkpoint, so this is in all seconds. Recall of new links is of up to 2,000 facts of the growth.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from graph_links import write_links

FACTS = 2000

RUN = """
import json, sys, time
from pathlib import Path
from structinit_core.graph import LinkSource
from structinit_core.recipes.graph_compile import graph_compile
from structinit_core.recipes.graph_job import GraphCompileJob

class Stages:
    def __init__(self):
        self.name, self.began, self.spent = None, time.process_time(), {}
    def stage(self, name, total=None):
        now = time.process_time()
        if self.name:
            self.spent[self.name] = self.spent.get(self.name, 0) + now - self.began
        self.name, self.began = name.split(" ")[0], now
    def advance(self, steps=1):
        pass
    def warn(self, message):
        print(message, file=sys.stderr)

asked = json.loads(sys.argv[1])
path = lambda name: Path(asked[name]) if asked[name] else None
job = GraphCompileJob(
    LinkSource([path("links")]), holdout=path("holdout"),
    also_true=(path("also_true"),) if asked["also_true"] else (), since=path("since"),
    full_beyond=2.0, fold_in=asked["fold_in"], width=asked["width"], memory_bytes=16 << 30,
)
stages, cpu, wall = Stages(), time.process_time(), time.perf_counter()
graph_compile(job, path("out"), progress=stages)
stages.stage("end")
spent = {name: round(spent, 1) for name, spent in stages.spent.items()}
print(json.dumps([time.process_time() - cpu, time.perf_counter() - wall, spent]))
"""


def compiled(out: Path, links: Path, since: Path | None, options: dict[str, object]) -> list[float]:
    """CPU and wall seconds of one compilation, without imports."""
    paths = {"out": str(out), "links": str(links), "since": str(since) if since else None}
    command = [sys.executable, "-c", RUN, json.dumps(options | paths)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    cpu, wall, stages = json.loads(done.stdout)
    print(f"{out.name:16} {cpu:7.1f} CPU s {wall:7.1f} s  {stages}", flush=True)
    return [cpu, wall]


def new_recall(directory: Path, links: Path, first: int) -> float:
    """Share of facts of links from row ``first`` that the checkpoint recalls."""
    from structinit_core.diagnose.links import recall
    from structinit_core.graph import LinkSource, both_ways, directed, read_graph
    from structinit_core.linalg import Device
    from structinit_core.model import load_model
    from structinit_core.progress import Silent

    graph, _ = read_graph(LinkSource([links]))
    ends = (graph.subject[first:], graph.relation[first:], graph.object[first:])
    facts = both_ways(*ends, len(graph.relations))
    facts = facts[np.random.default_rng(0).permutation(len(facts))[:FACTS]]
    model = load_model(directory, Device("cpu"))
    return recall(model, graph, facts, directed(graph), Silent()).share


def checks(directory: Path) -> dict[str, float]:
    """The figures of a report by name."""
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    return {check["name"]: check["value"] for check in report["checks"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01])
    parser.add_argument("--holdout", type=Path)
    parser.add_argument("--also-true", type=Path)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--width", type=int)
    parser.add_argument("--fold-in", default="svd")
    parser.add_argument("--particles", type=int, default=300_000)
    parser.add_argument("--links", type=int, default=260_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.scratch) as scratch:
        home = Path(scratch)
        whole = home / ("whole.tsv" if asked.file else "whole.csv")
        if asked.file:
            data = asked.file.read_bytes()
            whole.write_bytes(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
        else:
            write_links(whole, particles=asked.particles, links=asked.links)
        options = {"width": asked.width, "fold_in": asked.fold_in}
        for name in ("holdout", "also_true"):
            file = getattr(asked, name)
            options[name] = str(file) if file else None
        lines = whole.read_bytes().splitlines(keepends=True)
        full = compiled(home / "full", whole, None, options)
        rows = []
        for share in asked.shares:
            most = home / f"most{whole.suffix}"
            most.write_bytes(b"".join(lines[: round(len(lines) * (1 - share))]))
            earlier, increment = home / f"earlier-{share:g}", home / f"increment-{share:g}"
            compiled(earlier, most, None, options)
            part = compiled(increment, whole, earlier, options)
            said, before, now = checks(increment), checks(earlier), checks(home / "full")
            first = int(before["links"])
            recalls = [new_recall(at, whole, first) for at in (increment, home / "full")]
            rows.append(
                f"{share:7g} {said['growth.links']:7} {said['growth.particles']:7} "
                f"{said['growth.focus_distance']:8.4f} {said['growth.keys']:7} "
                f"{said['keys.left_out']:4} {full[0] / part[0]:6.1f} {full[1] / part[1]:6.1f}  "
                f"{said['recall']:.4f} {now['recall']:.4f}  {recalls[0]:.4f} {recalls[1]:.4f}"
                + "".join(f"  {figures.get('mrr', 0):.4f}" for figures in (said, now))
            )
        print(
            "\n  share   links   parts distance    keys  out  x CPU x wall  recall (full)  "
            "of new (full)  MRR (full)",
            *rows,
            sep="\n",
        )


if __name__ == "__main__":
    main()
