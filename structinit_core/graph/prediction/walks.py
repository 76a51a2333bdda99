"""Kernels that follow relation paths from a subject and see where they end (numba).

A path's body is a row of up to :data:`LONGEST` directed relations. It is followed as a random
walk that takes each link of the relation with equal chance; its ends are a set with a
probability each. The asked link itself is never walked, in either direction, nor is the subject
entered again. A body that reaches more than ``most`` particles at one length says nothing, nor
do those that begin with it: so no hub costs more than ``most``² links.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = tuple[Array, ...]

LONGEST = 3


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find_run(runs: Array, run_relation: Array, particle: int, relation: int) -> int:
    """The run of a particle and a directed relation, or -1."""
    low, high = runs[particle], runs[particle + 1]
    while low < high:
        middle = (low + high) // 2
        if run_relation[middle] < relation:
            low = middle + 1
        else:
            high = middle
    return low if low < runs[particle + 1] and run_relation[low] == relation else -1


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def follow(
    table: Arrays, relation: int, link: tuple[int, int, int], back: int,
    before: Array, chances: Array, mass: Array, after: Array, out: Array,
) -> int:  # fmt: skip
    """How many particles one relation leads to; -1 for too many.

    They are written to ``after``, their chances to ``out``. link: (s, r, o), not to be walked;
    back: the inverse of r; with r < 0 all are walked. mass: zeros (P,), left so.
    """
    runs, run_relation, run_start, neighbour = table
    subject, asked, answer = link
    found, most = 0, len(after)
    for at in range(len(before)):
        particle = before[at]
        run = find_run(runs, run_relation, particle, relation)
        if run < 0:
            continue
        first, last = run_start[run], run_start[run + 1]
        banned = -1
        if relation == asked and particle == subject:
            banned = answer
        elif relation == back and particle == answer:
            banned = subject
        ways = last - first - (banned >= 0)
        if ways == 0:
            continue
        too_many = ways > most + 1
        share = chances[at] / ways
        for place in range(first, first if too_many else last):
            reached = neighbour[place]
            if reached == banned or reached == subject:  # noqa: SIM109 (numba)
                continue
            if mass[reached] == 0:
                if found == most:
                    too_many = True
                    break
                after[found] = reached
                found += 1
            mass[reached] += share
        if too_many:
            for place in range(found):
                mass[after[place]] = 0
            return -1
    for place in range(found):
        out[place] = mass[after[place]]
        mass[after[place]] = 0
    return found


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_bodies(
    table: Arrays, relations: int, back: int, queries: Array, depth: int, most: int
) -> Array:
    """Of each body how many ends it has over all queries, and how often one is the object.

    Queries int32 (n, 3) of one relation. Known other objects of a query are no ends. Returns
    int64 (bodies, 2), bodies by number: r₁ of length one, (b + 1)·2S + r of body b and then r.
    """
    runs, run_relation, run_start, neighbour = table
    particles = len(runs) - 1
    bodies, block = 0, 1
    for _ in range(depth):
        block *= relations
        bodies += block
    counts = np.zeros((bodies, 2), np.int64)
    known, mass = np.zeros(particles, np.bool_), np.zeros(particles)
    at = np.zeros((depth + 1, most), np.int32)
    chances = np.zeros((depth + 1, most))
    size = np.zeros(depth + 1, np.int64)
    path = np.zeros(depth + 1, np.int64)
    present = np.zeros((depth, relations), np.bool_)
    for query in range(len(queries)):
        subject, asked, answer = queries[query]
        link = (subject, asked, answer)
        run = find_run(runs, run_relation, subject, asked)
        for place in range(run_start[run], run_start[run + 1]):
            known[neighbour[place]] = neighbour[place] != answer
        at[0, 0], chances[0, 0], size[0] = subject, 1.0, 1
        level, path[0] = 0, 0
        _mark_relations(runs, run_relation, at[0, :1], present[0])
        path[1] = -1
        while level >= 0:
            relation = path[level + 1] + 1
            while relation < relations and not present[level, relation]:
                relation += 1
            path[level + 1] = relation
            if relation == relations:
                level -= 1
                continue
            here = size[level]
            found = follow(
                table, relation, link, back, at[level, :here], chances[level], mass,
                at[level + 1], chances[level + 1],
            )  # fmt: skip
            if found <= 0:
                continue
            number = -1
            for step in range(level + 1):
                number = (number + 1) * relations + path[step + 1]
            for place in range(found):
                end = at[level + 1, place]
                if not known[end]:
                    counts[number, 0] += 1
                    counts[number, 1] += end == answer
            if level + 1 < depth:
                level += 1
                size[level] = found
                present[level] = False
                _mark_relations(runs, run_relation, at[level, :found], present[level])
                path[level + 1] = -1
        present[0] = False
        for place in range(run_start[run], run_start[run + 1]):
            known[neighbour[place]] = False
    return counts


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mark_relations(runs: Array, run_relation: Array, particles: Array, present: Array) -> None:
    """Mark the directed relations that any of the particles has."""
    for particle in particles:
        for run in range(runs[particle], runs[particle + 1]):
            present[run_relation[run]] = True
