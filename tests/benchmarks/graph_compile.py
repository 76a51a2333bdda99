"""``initctl graph-compile`` at the size of the Bostrom chain, from CSV to safetensors.

    python tests/benchmarks/graph_compile.py FOLDER [--links N] [--particles N] [--memory 8G]
        [--twice] [-- OPTIONS OF graph-compile]

Writes FOLDER/links.csv if it is not there (``graph_links.py``: 3.1 M particles, each with a link,
2.7 M links, 12 semcons), compiles it in a process of its own, and prints its seconds by stage, CPU
seconds, peak memory, parameters, the size of the checkpoint and the recall of what is stored; the
checkpoint is removed again. ``--twice`` compiles once more into another folder and compares all
files but ``run.json``. Bar: 180 s on two cores and 8 GiB; the folder needs 4 GB, twice as much with
``--twice``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from graph_links import write_links
from measure import initctl


def compile_into(links: Path, output: Path, memory: str, options: list[str]) -> None:
    """Run the command in a process of its own and print what it took."""
    done = initctl("graph-compile", links, "-o", output, "--memory", memory, "--quiet", *options)
    run = json.loads((output / "run.json").read_text(encoding="utf-8"))
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    for stage, seconds in run["seconds"].items():
        print(f"{stage:20} {seconds:8.1f} s")
    print(f"{'all':20} {done.wall:8.1f} s   (bar: 180)")
    print(f"CPU: {done.user:.1f} s user, {done.system:.1f} s system")
    print(f"peak memory: {run['peak_memory_bytes'] / 2**30:.2f} GiB   (bar: 8)")
    files = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    weights = sum(path.stat().st_size for path in output.glob("*.safetensors"))
    print(f"parameters: {weights // 4:,}; checkpoint: {files / 1e9:.2f} GB")
    shown = ("particles", "links", "width", "layers", "heads", "keys", "facts.stored", "recall")
    values = {check["name"]: check["value"] for check in report["checks"]}
    print(", ".join(f"{name} {values[name]:,}" for name in shown))


def hashes(output: Path) -> dict[str, str]:
    """The sha256 of every file but ``run.json``."""
    found = {}
    for path in sorted(output.rglob("*")):
        if path.is_file() and path.name != "run.json":
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256")
            found[str(path.relative_to(output))] = digest.hexdigest()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--links", type=int, default=2_700_000)
    parser.add_argument("--particles", type=int, default=3_100_000)
    parser.add_argument("--memory", default="8G")
    parser.add_argument("--twice", action="store_true")
    arguments, others = parser.parse_known_args()
    options = [text for text in others if text != "--"]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    links = arguments.folder / "links.csv"
    if not links.exists():
        write_links(links, particles=arguments.particles, links=arguments.links, every=True)
    outputs = [arguments.folder / name for name in ("one", "two")[: 1 + arguments.twice]]
    found = []
    for output in outputs:
        compile_into(links, output, arguments.memory, options)
        found.append(hashes(output))
    if arguments.twice:
        print(f"two runs, same bytes: {found[0] == found[1]}")
    for output in outputs:
        shutil.rmtree(output)


if __name__ == "__main__":
    main()
