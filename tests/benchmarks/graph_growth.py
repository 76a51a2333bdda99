"""What an increment of a compiled graph costs beside a full compilation, and how near it is.

    python tests/benchmarks/graph_growth.py [LINKS] [--share 0.01] [--scratch DIR] [--width D]
        [--particles 300000 --links 260000]

LINKS is a list of links; without it the power law of graph_links.py is written, of the size asked
for. Its last ``share`` of rows is the growth: the rest is compiled in full, all of it in full,
and all of it ``--since`` the first. Prints CPU seconds of each run by stage, each in a process of
its own, the ratio (bar: 5), the focus distance, and for up to 2,000 queries recall of the known
objects, of all links and of the new ones.
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

QUERIES = 2000

RUN = """
import sys, time
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
        print(message)

links, out, since, width = sys.argv[1:5]
job = GraphCompileJob(
    LinkSource([Path(links)]), since=Path(since) if since else None, full_beyond=2.0,
    width=int(width) or None, memory_bytes=16 << 30,
)
stages, began = Stages(), time.process_time()
graph_compile(job, Path(out), progress=stages)
stages.stage("end")
print({name: round(spent, 1) for name, spent in stages.spent.items()})
print(time.process_time() - began)
"""


def compiled(links: Path, out: Path, since: Path | None, width: int) -> float:
    """CPU seconds of one compilation, without imports."""
    command = [sys.executable, "-c", RUN, links, out, since or "", width]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    *said, spent = done.stdout.strip().split("\n")
    print(f"{out.name:10} {float(spent):8.1f} CPU s  {' '.join(said)}", flush=True)
    return float(spent)


def recall(directory: Path, links: Path, first: int) -> tuple[float, float]:
    """Share of known objects among as many best: of all links, and of those from ``first``."""
    import torch
    from transformers import AutoModelForCausalLM

    from structinit_core.graph import LinkSource, both_ways, directed, read_graph
    from structinit_core.initializers.graph import FRAME_ID, GraphTokens
    from structinit_core.recipes.graph_state import GROWTH, open_growth

    graph, _ = read_graph(LinkSource([links]))
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    model, table = AutoModelForCausalLM.from_pretrained(directory).eval(), directed(graph)
    state, relations = open_growth(directory / GROWTH), 2 * len(graph.relations)
    stored = state.subject * relations + state.relation
    ends = both_ways(graph.subject, graph.relation, graph.object, len(graph.relations))
    asked = ends[:, 0].astype(np.int64) * relations + ends[:, 1]
    found = []
    for some in (asked, asked.reshape(2, -1)[:, first:].ravel()):
        queries = np.intersect1d(some, stored)
        queries = np.sort(np.random.default_rng(0).permutation(queries)[:QUERIES])
        subject, relation = np.divmod(queries, relations)
        frame = np.full(len(queries), FRAME_ID)
        ids = np.stack((frame, tokens.particle(subject), tokens.relation(relation)), axis=1)
        hits = total = 0
        for low in range(0, len(ids), 50):
            with torch.no_grad():
                logits = model(torch.from_numpy(ids[low : low + 50]), logits_to_keep=1).logits
            for row, query in zip(
                logits[:, -1, tokens.first_particle :], range(low, len(ids)), strict=False
            ):
                known = table.objects(int(subject[query]), int(relation[query]))
                best = torch.topk(row, len(known)).indices.numpy()
                hits, total = hits + len(np.intersect1d(best, known)), total + len(known)
        found.append(hits / max(total, 1))
    return found[0], found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--width", type=int, default=0)
    parser.add_argument("--particles", type=int, default=300_000)
    parser.add_argument("--links", type=int, default=260_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        home = Path(scratch)
        whole, most = home / "whole.csv", home / "most.csv"
        if arguments.file:
            whole, most = home / "whole.tsv", home / "most.tsv"
            data = arguments.file.read_bytes()
            whole.write_bytes(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
        else:
            write_links(whole, particles=arguments.particles, links=arguments.links)
        lines = whole.read_bytes().splitlines(keepends=True)
        first = round(len(lines) * (1 - arguments.share))
        most.write_bytes(b"".join(lines[:first]))
        compiled(most, home / "earlier", None, arguments.width)
        full = compiled(whole, home / "full", None, arguments.width)
        part = compiled(whole, home / "increment", home / "earlier", arguments.width)
        checks = json.loads((home / "increment" / "report.json").read_text())["checks"]
        said = {check["name"]: check["value"] for check in checks}
        print({name: value for name, value in said.items() if name.startswith("growth")})
        print(f"full / increment: {full / part:.1f}  (bar: 5)")
        links = int(said["links"]) - int(said["growth.links"] or 0)
        for name in ("full", "increment"):
            every, new = recall(home / name, whole, links)
            print(f"{name:10} recall of stored facts {every:.4f}, of new links {new:.4f}")


if __name__ == "__main__":
    main()
