"""Link prediction from relation paths: what each part adds, on five data sets.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python tests/benchmarks/graph_paths.py [--data DIR]

DIR holds ``wn18rr/{train,valid,test}.tsv.gz`` and ``small-kgs/*/{train,valid,test}.tsv``. Filtered
ranks in both directions of the test links, or with ``--part valid`` of the validation links; the
model sees the training links alone. Lines: the prior; inverse and symmetric links (bodies of one
relation); bodies of up to two and three, with fitted weights; the same bodies by the most
confident one and by noisy-or, without weights; and of the whole model the best ten and thirty
candidates of a query alone, or only the queries that are most worth storing. Seconds are those of
the processor; nats are of the object among all that are not known.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import resource
import time
from pathlib import Path

import numpy as np

from structinit_core.graph import NO_NEURON, Graph, Names
from structinit_core.graph.prediction import (
    Directed,
    PathModel,
    PathOptions,
    Predictions,
    Ranking,
    both_ways,
    directed,
    filtered_ranks,
    fit_paths,
    valuable,
)
from structinit_core.graph.prediction.bodies import depth_of
from structinit_core.graph.prediction.candidates import ALWAYS

ROOT = Path(__file__).parents[2]
SETS = ("wn18rr", "umls", "kinship", "nations", "countries")
EVERYTHING = 1 << 30
KEYS = (25_000, 50_000, 100_000, 150_000, 200_000)


def read(folder: Path) -> list[Graph]:
    """Train, valid and test as graphs over the same particles and relations."""
    particles: dict[str, int] = {}
    relations: dict[str, int] = {}
    parts = []
    for part in ("train", "valid", "test"):
        plain, packed = folder / f"{part}.tsv", folder / f"{part}.tsv.gz"
        data = plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
        rows = [line.split("\t") for line in data.decode().rstrip("\n").split("\n")]
        numbers = [
            (particles.setdefault(s, len(particles)), relations.setdefault(r, len(relations)),
             particles.setdefault(o, len(particles)))
            for s, r, o in rows
        ]  # fmt: skip
        parts.append(np.array(numbers, np.int32).T)
    names = (Names.of(particles), Names.of(relations), Names.of([]))
    return [
        Graph(*names, *part, np.ones(part.shape[1]), np.full(part.shape[1], NO_NEURON, np.int32),
              np.zeros(part.shape[1], np.int64))
        for part in parts
    ]  # fmt: skip


def unweighted(model: PathModel, noisy: bool) -> PathModel:
    """Scores from confidences alone: noisy-or, or the highest with sums of powers for ties."""
    weights = []
    for bodies, fitted in zip(model.bodies, model.weights, strict=True):
        made = np.zeros_like(fitted)
        # Every candidate stands above all others, whose scores are below 0; ties by the prior.
        made[:2] = 10, 1e-6
        sure = np.clip(bodies.confidence, 0, 1 - 1e-6)
        made[ALWAYS::2] = -np.log1p(-sure) if noisy else sure**16
        weights.append(made)
    return dataclasses.replace(model, weights=tuple(weights))


def ranks_of(model: PathModel, queries: np.ndarray, known: Directed, top: int) -> np.ndarray:
    """Filtered ranks by a model's ``top`` candidates."""
    return filtered_ranks(lambda s, r: model.scores(model.predict(s, r, top)), queries, known)


def nats(model: PathModel, predictions: Predictions, queries: np.ndarray) -> float:
    """Mean negative log-chance of the objects."""
    total = 0.0
    for low in range(0, len(queries), 256):
        rows = np.arange(low, min(low + 256, len(queries)))
        scores = model.scores(predictions.only(rows))[np.arange(len(rows)), queries[rows, 2]]
        possible = np.isfinite(scores)
        chance = np.where(possible, np.exp(scores - predictions.log_normaliser[rows]), 1e-9)
        total -= float(np.log(chance).sum())
    return total / len(queries)


def line(name: str, ranks: np.ndarray, more: str = "") -> None:
    """One row of the table."""
    found = Ranking.of(ranks)
    hits = f"{found.hits_at_1:.3f}  {found.hits_at_3:.3f}  {found.hits_at_10:.3f}"
    print(f"{name:34} {found.mrr:.4f}  {hits}  {more}", flush=True)


def report(name: str, folder: Path, part: str) -> None:
    """The table of one data set."""
    splits = read(folder)
    held = splits[1 if part == "valid" else 2]
    links, known = directed(splits[0]), directed(*splits)
    queries = both_ways(held.subject, held.relation, held.object, len(held.relations))
    deepest = depth_of(links)
    print(f"{name} {part}: {len(queries)} queries, bodies of up to {deepest}")
    print(f"{'':34} MRR     H@1    H@3    H@10")
    fit_paths(directed(splits[0].only(np.arange(len(splits[0])) < 50)))  # compiles
    titles = ("prior", "+ inverse and symmetric", "+ bodies of two", "+ bodies of three")
    for depth in range(deepest + 1):
        began = time.process_time()
        model = fit_paths(links, PathOptions(depth=depth))
        fitted = time.process_time()
        predictions = model.predict(queries[:, 0], queries[:, 1], EVERYTHING)
        asked = time.process_time()
        ranks = ranks_of(model, queries, known, EVERYTHING)
        seconds = f"fit {fitted - began:.1f} s, predict {asked - fitted:.1f} s"
        line(titles[depth], ranks, f"{nats(model, predictions, queries):.3f} nats, {seconds}")
    for title, noisy in (("unweighted: most confident", False), ("unweighted: noisy-or", True)):
        line(title, ranks_of(unweighted(model, noisy), queries, known, EVERYTHING))
    for top in (10, 30):
        line(f"best {top} of a query", ranks_of(model, queries, known, top))
    if links.relations * links.particles > KEYS[0]:
        stored_only(model, queries, known, 30)
    for relation in range(links.relations) if name == "wn18rr" else ():
        of = queries[:, 1] == relation
        side = "" if relation < len(held.relations) else " inverse"
        relation_name = held.relations[relation % len(held.relations)] + side
        print(f"  {relation_name:42} {of.sum():5} {(1 / ranks[of]).mean():.3f}")


def stored_only(model: PathModel, queries: np.ndarray, known: Directed, top: int) -> None:
    """Ranks where all queries but the most valuable have the prior alone."""
    stored, bare = (ranks_of(model, queries, known, n) for n in (top, 0))
    asked = queries[:, 0].astype(np.int64) * model.links.relations + queries[:, 1]
    for count in KEYS:
        began = time.process_time()
        kept = valuable(model, count, top)
        seconds = time.process_time() - began
        keys = kept.subject.astype(np.int64) * model.links.relations + kept.relation
        has = np.isin(asked, keys)
        more = f"{len(kept.object)} scores, {seconds:.1f} s, {has.mean():.3f} of queries stored"
        line(f"{len(kept)} keys, best {top} each", np.where(has, stored, bare), more)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--part", choices=("valid", "test"), default="test")
    parser.add_argument("--only", choices=SETS, action="append")
    arguments = parser.parse_args()
    for name in arguments.only or SETS:
        folder = arguments.data / name
        folder = folder if folder.is_dir() else arguments.data / "small-kgs" / name
        if not folder.is_dir():
            print(f"{name} is not in {arguments.data}: left out")
            continue
        report(name, folder, arguments.part)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of all {peak:.2f} GiB")


if __name__ == "__main__":
    main()
