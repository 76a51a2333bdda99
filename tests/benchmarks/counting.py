"""Speed of counting: against scipy and GloVe, two cores against one, blocks against none.

    python tests/benchmarks/counting.py [--data DIR] [--glove BUILD] [--rounds N]

The ids are ten million words of real text (articles, novels, abstracts, package descriptions,
glosses, notes; no paragraph twice), the 50,000 most frequent ones numbered by frequency; windows
end with their paragraph. Every side is a process of its own on the cores it is given, which loads
the ids, warms up, touches memory and then counts; sides take turns. Printed are medians of
processor seconds and of the ratios (peer over ours), and for two cores of wall seconds. BUILD holds
the compiled ``cooccur`` of GloVe, which reads the same words as text; its table is compared entry
by entry.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from corpus import DATA, paragraphs

TOKENS, VOCABULARY, WINDOW = 10_000_000, 50_000, 5
BALLAST = 1 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--glove", type=Path, metavar="BUILD")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", nargs=2, metavar=("SIDE", "DIR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        side, directory = arguments.once
        run_once(side, Path(directory))
        return
    cores = sorted(os.sched_getaffinity(0))
    one, two = cores[-1:], cores[-2:]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        tokens, used = write_ids(arguments.data, directory)
        print(f"machine: {os.cpu_count()} cores, {platform.machine()}, ", end="")
        print(f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
        print(f"{tokens:,} tokens, {used:,} of {VOCABULARY:,} words, window {WINDOW}")
        compare("directed CSR per offset", "scipy", "directed", directory, one, 2.5, arguments)
        if arguments.glove:
            command = glove_command(arguments.glove.resolve(), directory)
            compare("one symmetric CSR", command, "symmetric", directory, one, 7, arguments)
            check_glove(directory)
        compare("two cores", ("directed", one), "directed", directory, two, 1.8, arguments)
        for memory in ("1G", "128M", "16M"):
            side = f"files-{memory}"
            compare(f"in memory / {side}", "files-8G", side, directory, one, 1 / 1.2, arguments)


def write_ids(data: Path, directory: Path) -> tuple[int, int]:
    """Write ids, document offsets and the words as text; how many tokens and kinds there are."""
    documents = [re.findall(r"\w+|[^\w\s]", text) for text in paragraphs(data)]
    common = Counter(word for document in documents for word in document).most_common(VOCABULARY)
    number = {word: at for at, (word, _) in enumerate(common)}
    ids = [[number[word] for word in document if word in number] for document in documents]
    offsets = np.cumsum([0, *map(len, ids)])
    offsets = offsets[: int(np.searchsorted(offsets, TOKENS)) + 1]
    flat = np.fromiter((token for text in ids for token in text), np.uint16, int(offsets[-1]))
    np.save(directory / "ids.npy", flat)
    np.save(directory / "offsets.npy", offsets)
    counts = np.bincount(flat, minlength=VOCABULARY)
    ranked = np.argsort(-counts, kind="stable")
    with (directory / "words.txt").open("w") as out:
        for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            out.write(" ".join(f"w{token}" for token in flat[start:stop].tolist()) + "\n")
    lines = (f"w{word} {counts[word]}\n" for word in ranked.tolist() if counts[word])
    (directory / "vocabulary.txt").write_text("".join(lines))
    np.save(directory / "ranked.npy", ranked)
    return len(flat), int(np.count_nonzero(counts))


def run_once(side: str, directory: Path) -> None:
    """Count once warm; wall and processor seconds and peak memory as JSON on stdout."""
    work = job(side, directory)
    if side != "scipy":
        work()
    np.ones(BALLAST, np.uint8)
    wall, spent = time.perf_counter(), time.process_time()
    work()
    seconds = time.perf_counter() - wall, time.process_time() - spent
    print(json.dumps(seconds))


def job(side: str, directory: Path) -> Callable[[], Any]:
    ids, offsets = np.load(directory / "ids.npy"), np.load(directory / "offsets.npy")
    if side == "scipy":
        return lambda: by_scipy(ids, offsets)
    from structinit_core.cooc import Distance, count_stream, directed_counts, window_counts
    from structinit_core.corpus import TokenStream

    stream = TokenStream(ids, offsets)
    spans = np.stack((offsets[:-1], offsets[1:]), axis=1)
    if side == "directed":
        return lambda: directed_counts(
            stream, spans, VOCABULARY, offsets=WINDOW, memory_bytes=4 << 30
        )
    if side == "symmetric":

        def symmetric() -> None:
            table = window_counts(
                stream,
                spans,
                VOCABULARY,
                window=WINDOW,
                distance=Distance.HARMONIC,
                memory_bytes=4 << 30,
            )
            table_path = directory / "symmetric.npy"
            if not table_path.exists():
                rows = np.repeat(np.arange(VOCABULARY), np.diff(table.indptr))
                np.save(table_path, np.stack((rows, table.indices, table.data)))

        return symmetric
    memory = {"M": 1 << 20, "G": 1 << 30}[side[-1]] * int(side.split("-")[1][:-1])

    def to_files() -> None:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
            count_stream(stream, spans, VOCABULARY, Path(name), offsets=WINDOW, memory_bytes=memory)

    return to_files


def by_scipy(ids: Any, offsets: Any) -> list[Any]:
    import scipy.sparse as sp

    ends = np.repeat(offsets[1:], np.diff(offsets))
    ends -= np.arange(len(ids))
    tables = []
    for offset in range(1, WINDOW + 1):
        first = np.flatnonzero(ends > offset)
        rows, columns = ids[first].astype(np.int32), ids[first + offset].astype(np.int32)
        ones = np.ones(len(first), np.uint32)
        table = sp.coo_array((ones, (rows, columns)), shape=(VOCABULARY, VOCABULARY)).tocsr()
        table.sort_indices()
        tables.append(table)
    return tables


def glove_command(build: Path, directory: Path) -> list[str]:
    return [
        "sh",
        "-c",
        f"{build / 'cooccur'} -symmetric 1 -window-size {WINDOW} -memory 4 -verbose 0"
        f" -vocab-file {directory / 'vocabulary.txt'} -overflow-file {directory / 'overflow'}"
        f" < {directory / 'words.txt'} > {directory / 'glove.bin'} 2> /dev/null",
    ]


def check_glove(directory: Path) -> None:
    records = np.fromfile(directory / "glove.bin", "i4,i4,f8")
    ranked = np.load(directory / "ranked.npy")
    theirs = ranked[records["f0"] - 1] * VOCABULARY + ranked[records["f1"] - 1]
    rows, columns, values = np.load(directory / "symmetric.npy")
    ours = rows.astype(np.int64) * VOCABULARY + columns.astype(np.int64)
    order = np.argsort(theirs)
    if not np.array_equal(theirs[order], ours):
        raise SystemExit("other pairs than GloVe's")
    off = np.abs(records["f2"][order] / values - 1).max()
    print(f"  {len(ours):,} pairs are GloVe's, values apart by at most {off:.1e}")


def compare(
    name: str,
    peer: Any,
    ours: str,
    directory: Path,
    cores: list[int],
    bar: float,
    arguments: argparse.Namespace,
) -> None:
    """One line: medians of both sides and of their ratio; wall time where the cores differ."""
    peer, peer_cores = peer if isinstance(peer, tuple) else (peer, cores)
    by_wall = len(peer_cores) != len(cores)
    pairs = []
    for _ in range(arguments.rounds):
        pair = (run(peer, directory, peer_cores), run(ours, directory, cores))
        pairs.append([seconds[0 if by_wall else 1] for seconds in pair])
    ratios = sorted(theirs / mine for theirs, mine in pairs)
    theirs, mine = map(statistics.median, zip(*pairs, strict=True))
    label = peer if isinstance(peer, str) else "GloVe"
    print(
        f"{name:28} {statistics.median(ratios):6.2f}x ({ratios[0]:.2f}–{ratios[-1]:.2f}; bar "
        f"{bar:.2f})  {label} {theirs:.2f} s, {ours} {mine:.2f} s {'wall' if by_wall else 'CPU'}",
        flush=True,
    )


def run(side: str | list[str], directory: Path, cores: list[int]) -> tuple[float, float]:
    """Wall and processor seconds of one side in a process of its own on ``cores``."""
    threads = str(len(cores))
    environment = os.environ | {"NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}

    def pin() -> None:
        os.sched_setaffinity(0, cores)

    if isinstance(side, list):
        np.ones(BALLAST, np.uint8)
        before, wall = os.times(), time.perf_counter()
        subprocess.run(side, check=True, preexec_fn=pin)
        after = os.times()
        spent = sum(after[2:4]) - sum(before[2:4])
        return time.perf_counter() - wall, spent
    command = [sys.executable, __file__, "--once", side, str(directory)]
    output = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, env=environment, preexec_fn=pin
    ).stdout
    wall, spent = json.loads(output)
    return wall, spent


if __name__ == "__main__":
    main()
