"""A link list of the size of the Bostrom chain, and what reading it costs beside pandas.

    python tests/benchmarks/graph_links.py write FILE [--links N] [--particles N] [--every]
        [--seed N]
    python tests/benchmarks/graph_links.py read FILE [--rounds 3]

``write`` makes a CSV ``neuron,particle_from,particle_to,semcon,amount`` with particle names of 46
characters; subjects fall off as rank^-0.9, objects as rank^-0.8 (the seed's power law). ``read``
needs pandas, and prints CPU seconds and peak memory of a process each for ``read_graph`` and for
``read_csv`` with ``factorize`` of every name; both must number the particles alike.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from measure import measured
from numpy.typing import NDArray

from structinit_core.linalg import generator

ALPHABET = np.frombuffer(b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", np.uint8)
ROWS = 1 << 17

OURS = """
from pathlib import Path
from structinit_core.graph import LinkSource, read_graph
warm = Path(sys.argv[2])
read_graph(LinkSource([warm]))
began = time.process_time()
graph, _ = read_graph(LinkSource([Path(sys.argv[1])]))
spent = time.process_time() - began
print(len(graph.particles), graph.particles[0], graph.particles[len(graph.particles) - 1])
"""
PANDAS = """
import numpy as np
import pandas
began = time.process_time()
table = pandas.read_csv(sys.argv[1], engine="c")
ends = np.stack((table["particle_from"], table["particle_to"]), axis=1).ravel()
_, names = pandas.factorize(ends)
for column in ("neuron", "semcon"):
    pandas.factorize(table[column])
spent = time.process_time() - began
print(len(names), names[0], names[-1])
"""


def names(rows: NDArray[np.int64], prefix: bytes, length: int, seed: int) -> NDArray[np.uint8]:
    """Names of ``length`` characters by row: uint8 (n, length); base-58 digits of a mixed row."""
    text = np.empty((len(rows), length), np.uint8)
    text[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
    state = rows.astype(np.uint64) + np.uint64(seed)
    for at in range(len(prefix), length):
        state = (state ^ (state >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(at)
        text[:, at] = ALPHABET[(state >> np.uint64(40)) % np.uint64(58)]
    return text


def zipf(count: int, exponent: float, size: int, random: np.random.Generator) -> NDArray[np.int64]:
    """``size`` ranks from 0 below ``count``, of probability (rank + 1)^-exponent."""
    mass = np.cumsum(np.arange(1, count + 1) ** -exponent)
    return np.searchsorted(mass, random.random(size) * mass[-1])


def write_links(
    path: Path,
    *,
    particles: int = 3_100_000,
    links: int = 2_700_000,
    semcons: int = 12,
    neurons: int = 1_240,
    every: bool = False,
    seed: int = 0,
) -> None:
    """Write the link list to ``path``: the same bytes for the same arguments.

    With ``every`` each particle is at one end at least; by the power law alone half of them are.
    """
    random = generator(seed, "graph links")
    subjects = random.permutation(particles)[zipf(particles, 0.9, links, random)]
    objects = random.permutation(particles)[zipf(particles, 0.8, links, random)]
    if every:
        ends = np.concatenate((subjects, objects))
        ends[random.permutation(2 * links)[:particles]] = np.arange(particles)
        subjects, objects = ends[:links], ends[links:]
    kinds = zipf(semcons, 1.0, links, random)
    people = zipf(neurons, 1.0, links, random)
    amounts = random.integers(1, 1_000_000, links)
    with path.open("wb") as out:
        out.write(b"neuron,particle_from,particle_to,semcon,amount\n")
        for low in range(0, links, ROWS):
            part = slice(low, min(low + ROWS, links))
            count = part.stop - part.start
            comma = np.full((count, 1), ord(","), np.uint8)
            digits = np.char.mod("%d", amounts[part]).astype("S6")
            fields = (
                *(names(people[part], b"bostrom1", 43, seed), comma),
                *(names(subjects[part], b"Qm", 46, seed), comma),
                *(names(objects[part], b"Qm", 46, seed), comma),
                *(names(kinds[part], b"type-", 12, seed), comma),
                *(digits.view(np.uint8).reshape(count, 6), np.full((count, 1), 10, np.uint8)),
            )
            text = np.concatenate(fields, axis=1).ravel()
            out.write(text[text != 0].tobytes())


def cost(code: str, *arguments: Path) -> tuple[str, float, float]:
    """What a process printed, its CPU seconds for the work, and its peak memory in GiB."""
    script = "import sys, time\n" + code + "print(spent)"
    done = measured((sys.executable, "-c", script, *arguments))
    said, spent = done.output.strip().rsplit("\n", 1)
    return said, float(spent), done.peak


def compare(path: Path, rounds: int) -> None:
    """Print the cost of reading ``path`` in turn."""
    warm = path.with_name(path.name + ".warm.csv")
    with path.open("rb") as stream:
        warm.write_bytes(b"".join(stream.readline() for _ in range(100)))
    found: dict[str, list[tuple[str, float, float]]] = {"read_graph": [], "pandas": []}
    for _ in range(rounds):
        found["read_graph"].append(cost(OURS, path, warm))
        found["pandas"].append(cost(PANDAS, path))
    warm.unlink()
    for name, runs in found.items():
        seconds = ", ".join(f"{spent:.2f}" for _, spent, _ in runs)
        print(f"{name:11} CPU s: {seconds}   peak GiB: {max(peak for *_, peak in runs):.2f}")
    alike = len({said for runs in found.values() for said, *_ in runs}) == 1
    ratio = min(s for _, s, _ in found["pandas"]) / min(s for _, s, _ in found["read_graph"])
    print(f"particles numbered alike: {alike}; pandas / read_graph: {ratio:.2f}  (bar: 1.5)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write")
    write.add_argument("file", type=Path)
    write.add_argument("--links", type=int, default=2_700_000)
    write.add_argument("--particles", type=int, default=3_100_000)
    write.add_argument("--every", action="store_true", help="each particle has a link")
    write.add_argument("--seed", type=int, default=0)
    read = commands.add_parser("read")
    read.add_argument("file", type=Path)
    read.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.command == "write":
        write_links(
            arguments.file,
            particles=arguments.particles,
            links=arguments.links,
            every=arguments.every,
            seed=arguments.seed,
        )
    else:
        compare(arguments.file, arguments.rounds)


if __name__ == "__main__":
    main()
