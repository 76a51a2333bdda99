"""Kernels from the ends of paths to rows of features, and to scores (numba).

Features of a candidate: 0 always one; 1 its prior log P(o | r); 2 whether it is the subject
itself; then of each body whether it ends there, and the log of its chance to.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from structinit_core.graph.prediction.walks import LONGEST, Array, Arrays, find_run, follow

Link = tuple[int, int, int]
Room = tuple[Arrays, Arrays, Arrays]

ALWAYS = 3
SCALE = 1 / 3
"""Logarithms are written so small that one ridge suits them and what is zero or one."""
_FREE, _BARRED = -1, -2
_LEAST = 1e-9
"""The chance left to all that are no candidates is no less."""


def features_of(bodies: int) -> int:
    """F, for so many bodies."""
    return ALWAYS + 2 * bodies


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def room_for(particles: int, bodies: int, most: int) -> Room:
    """Working memory: the walk by length; ends of bodies; slots, mass and names by particle."""
    walk = (
        np.zeros((LONGEST + 1, most), np.int32),
        np.zeros((LONGEST + 1, most)),
        np.zeros(LONGEST + 1, np.int64),
        np.zeros(particles),
    )
    places = bodies * most
    ends = (np.zeros(places, np.int32), np.zeros(places, np.int32), np.zeros(places, np.float32))
    names = (np.full(particles, _FREE, np.int32), np.zeros(particles, np.int32))
    return walk, ends, names


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ends(table: Arrays, tree: Arrays, link: Link, back: int, walk: Arrays, ends: Arrays) -> int:
    """How many (body, end, log chance) the bodies of a tree give; they are written to ``ends``."""
    at, chances, size, mass = walk
    body, end, chance = ends
    relation, level, body_here, behind = tree
    at[0, 0], chances[0, 0], size[0] = link[0], 1.0, 1
    node = written = 0
    while node < len(relation):
        deep = level[node]
        here = size[deep - 1]
        found = follow(
            table, relation[node], link, back, at[deep - 1, :here], chances[deep - 1], mass,
            at[deep], chances[deep],
        )  # fmt: skip
        if found <= 0:
            node = behind[node]
            continue
        size[deep] = found
        if body_here[node] >= 0:
            for place in range(found):
                body[written] = body_here[node]
                end[written] = at[deep, place]
                chance[written] = np.log(chances[deep, place])
                written += 1
        node += 1
    return written


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _name(
    table: Arrays, link: Link, asked: int, prior: Array, loops: bool,
    written: int, end: Array, names: Arrays,
) -> tuple[int, float]:  # fmt: skip
    """How many candidates a query has, and the prior chance of all that are none.

    They are the ends that are no known objects but the link's own, and with ``loops`` the
    subject; ``names`` gets the slot of each particle and the particle of each slot.
    """
    runs, run_relation, run_start, neighbour = table
    slot, candidate = names
    subject, answer = link[0], link[2]
    outside, count = 1.0, 0
    run = find_run(runs, run_relation, subject, asked)
    if run >= 0:
        for place in range(run_start[run], run_start[run + 1]):
            if neighbour[place] != answer:
                slot[neighbour[place]] = _BARRED
                outside -= np.exp(prior[neighbour[place]])
    if slot[subject] == _FREE:
        outside -= np.exp(prior[subject])
        if loops:
            slot[subject], candidate[0], count = 0, subject, 1
    for place in range(written):
        particle = end[place]
        if slot[particle] == _FREE:
            slot[particle], candidate[count] = count, particle
            count += 1
            outside -= np.exp(prior[particle])
    return count, max(outside, _LEAST)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _forget(table: Arrays, subject: int, asked: int, count: int, names: Arrays) -> None:
    """Free the slots of candidates and of known objects."""
    runs, run_relation, run_start, neighbour = table
    slot, candidate = names
    for at in range(count):
        slot[candidate[at]] = _FREE
    run = find_run(runs, run_relation, subject, asked)
    if run >= 0:
        for place in range(run_start[run], run_start[run + 1]):
            slot[neighbour[place]] = _FREE


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _grown(array: Array, size: int) -> Array:
    """The array, or one that begins with it and is twice as long or more where it is short."""
    if size <= len(array):
        return array
    longer = np.zeros(max(size, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def training_rows(
    table: Arrays, tree: Arrays, bodies: int, back: int, queries: Array,
    prior: Array, left_out: Array, loops: bool, most: int, limit: int,
) -> Arrays:  # fmt: skip
    """The candidates of links left out in turn, as arrays of :class:`Choices`.

    queries: int32 (n, 3) of one relation; prior: float64 (P,), log P(o | r); left_out: (n,), that
    of each object without its link. Ends before a query that brings more than ``limit`` entries.
    Returns queries, rows, feature, value, rest and chosen.
    """
    walk, ends, names = room_for(len(table[0]) - 1, bodies, most)
    body, end, chance = ends
    slot, candidate = names
    fill = np.zeros(len(slot) + 1, np.int64)
    of_query, rest = np.zeros(len(queries) + 1, np.int64), np.zeros(len(queries))
    rows = np.zeros(1 << 12, np.int64)
    feature, value = np.zeros(1 << 14, np.int32), np.zeros(1 << 14, np.float32)
    chosen = np.zeros(ALWAYS + 2 * bodies)
    used = 0
    for query in range(len(queries)):
        subject, asked, answer = queries[query]
        written = _ends(table, tree, (subject, asked, answer), back, walk, ends)
        link = (subject, asked, answer)
        count, rest[query] = _name(table, link, asked, prior, loops, written, end, names)
        first = of_query[query]
        rows = _grown(rows, first + count + 1)
        fill[: count + 1] = 0
        for place in range(written):
            if slot[end[place]] >= 0:
                fill[slot[end[place]] + 1] += 2
        for at in range(count):
            fill[at + 1] += fill[at] + 2 + (candidate[at] == subject)
            rows[first + at + 1] = rows[first] + fill[at + 1]
        if rows[first + count] > limit:
            _forget(table, subject, asked, count, names)
            break
        feature, value = _grown(feature, rows[first + count]), _grown(value, rows[first + count])
        for at in range(count):
            particle, begin = candidate[at], rows[first + at]
            log_prior = left_out[query] if particle == answer else prior[particle]
            feature[begin], value[begin] = 0, 1
            feature[begin + 1], value[begin + 1] = 1, log_prior * SCALE
            fill[at] = begin + 2
            if particle == subject:
                feature[begin + 2], value[begin + 2] = 2, 1
                fill[at] += 1
        for place in range(written):
            at = slot[end[place]]
            if at >= 0:
                begin = fill[at]
                feature[begin], value[begin] = ALWAYS + 2 * body[place], 1
                feature[begin + 1] = ALWAYS + 2 * body[place] + 1
                value[begin + 1] = chance[place] * SCALE
                fill[at] += 2
        if slot[answer] >= 0:
            for entry in range(rows[first + slot[answer]], rows[first + slot[answer] + 1]):
                chosen[feature[entry]] += value[entry]
        _forget(table, subject, asked, count, names)
        used += 1
        of_query[used] = first + count
    last = of_query[used]
    entries = rows[last]
    rows, feature, value = rows[: last + 1], feature[:entries], value[:entries]
    return of_query[: used + 1], rows, feature, value, rest[:used], chosen


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def best_candidates(
    table: Arrays, tree: Arrays, weights: Array, relation: int, subjects: Array,
    prior: Array, loops: bool, most: int, top: int,
) -> Arrays:  # fmt: skip
    """The ``top`` candidates of each subject by score, best first, known objects left out.

    Returns indptr int64 (n + 1), objects int32, scores float32, and the log of the sum of exp of
    all scores, candidates or not, float64 (n,).
    """
    bodies = (len(weights) - ALWAYS) // 2
    walk, ends, names = room_for(len(table[0]) - 1, bodies, most)
    body, end, chance = ends
    slot, candidate = names
    indptr, normaliser = np.zeros(len(subjects) + 1, np.int64), np.zeros(len(subjects))
    objects, scores = np.zeros(1 << 12, np.int32), np.zeros(1 << 12, np.float32)
    score = np.zeros(len(slot))
    for query in range(len(subjects)):
        link = (subjects[query], -1, -1)
        written = _ends(table, tree, link, -1, walk, ends)
        count, rest = _name(table, link, relation, prior, loops, written, end, names)
        for at in range(count):
            particle = candidate[at]
            score[at] = weights[0] + weights[1] * SCALE * prior[particle]
            score[at] += weights[2] * (particle == link[0])
        for place in range(written):
            at = slot[end[place]]
            if at >= 0:
                of = ALWAYS + 2 * body[place]
                score[at] += weights[of] + weights[of + 1] * SCALE * chance[place]
        order = np.argsort(-score[:count], kind="mergesort")
        highest = max(np.log(rest), score[order[0]] if count else -np.inf)
        normaliser[query] = highest + np.log(
            np.exp(np.log(rest) - highest) + np.exp(score[:count] - highest).sum()
        )
        first, kept = indptr[query], min(count, top)
        objects, scores = _grown(objects, first + kept), _grown(scores, first + kept)
        for at in range(kept):
            objects[first + at] = candidate[order[at]]
            scores[first + at] = score[order[at]]
        indptr[query + 1] = first + kept
        _forget(table, link[0], relation, count, names)
    return indptr, objects[: indptr[-1]], scores[: indptr[-1]], normaliser
