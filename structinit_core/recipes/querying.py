"""``query``: what a compiled graph expects after a particle, or after a particle and a relation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from structinit_core.blueprint import make_blueprint, read_config
from structinit_core.corpus import GRAPH_FRAME, GraphNames, read_graph_names
from structinit_core.errors import (
    IncompatibleError,
    InputError,
    LimitError,
    NumericalError,
    UsageError,
)
from structinit_core.linalg import resolve_device
from structinit_core.model import load_model, next_logits
from structinit_core.printable import shortened
from structinit_core.progress import Progress, Silent

DEFAULT_MEMORY = 4 << 30


@dataclass(frozen=True)
class QueryJob:
    """A compiled graph's directory, a particle by id or label, and a relation by name or none.

    ``inverse`` asks the relation the other way round; ``top``: how many answers of each kind.
    """

    path: Path
    subject: str
    relation: str | None = None
    inverse: bool = False
    top: int = 10
    device: str = "auto"
    memory_bytes: int = DEFAULT_MEMORY

    def __post_init__(self) -> None:
        if self.inverse and self.relation is None:
            raise UsageError("--inverse asks a relation the other way round", hint="name it")


class Named(BaseModel):
    """A token and how it is called; ``label`` is ``None`` where it has none."""

    model_config = ConfigDict(frozen=True)
    token: int
    id: str
    label: str | None


class Continuation(Named):
    """A token that may follow, and its share among all tokens of the vocabulary."""

    probability: float


class Answer(BaseModel):
    """What follows ``subject`` and ``relation``, likeliest first.

    ``particles`` are objects of the relation, or without one the particles of a plain walk;
    ``relations``, forward and inverse, are empty where one is given.
    """

    model_config = ConfigDict(frozen=True)
    subject: Named
    relation: Named | None
    relations: tuple[Continuation, ...]
    particles: tuple[Continuation, ...]


def query_graph(job: QueryJob, progress: Progress | None = None) -> Answer:
    """The likeliest continuations by one forward pass of the model that ``job`` names.

    Of equal ones the lower token comes first. Memory: the weights in float32 and the names.

    Raises:
        InputError: no such checkpoint, particle or relation.
        IncompatibleError: not the checkpoint of a graph, or weights that do not fit it.
        LimitError: the weights take more than ``memory_bytes``.
        NumericalError: the model's logits are not finite.
    """
    progress = progress or Silent()
    if not job.path.is_dir():
        raise InputError("is no checkpoint directory", where=str(job.path))
    progress.stage("reading names")
    names = read_graph_names(job.path)
    subject = names.particle(job.subject)
    if subject is None:
        raise _unknown(job, "particle", job.subject, names.particles_near(job.subject))
    relation = None
    if job.relation is not None:
        relation = names.relation(job.relation, job.inverse)
        if relation is None:
            raise _unknown(job, "relation", job.relation, names.relations_near(job.relation))
    sequence = [GRAPH_FRAME.begin_id, subject, *([] if relation is None else [relation])]
    progress.stage("running the model")
    shares = _shares(job, names, sequence)
    particles = range(names.first_particle, names.vocabulary)
    relations = names.relation_tokens if relation is None else range(0)
    return Answer(
        subject=_named(names, subject),
        relation=None if relation is None else _named(names, relation),
        relations=tuple(_top(names, shares, relations, job.top)),
        particles=tuple(_top(names, shares, particles, job.top)),
    )


def _shares(job: QueryJob, names: GraphNames, sequence: Sequence[int]) -> NDArray[np.float64]:
    """The probability of every token after ``sequence``: float64 (V,)."""
    where = str(job.path)
    blueprint = make_blueprint(read_config(job.path / "config.json"))
    if blueprint.vocabulary != names.vocabulary:
        raise IncompatibleError(
            f"the model has {blueprint.vocabulary:,} tokens, its tokenizer {names.vocabulary:,}",
            where=where,
        )
    if 4 * blueprint.parameters > job.memory_bytes:
        raise LimitError(
            f"the weights take {4 * blueprint.parameters / 2**20:,.0f} MiB",
            where=where,
            hint="raise --memory",
        )
    device, _ = resolve_device(job.device, blueprint.parameters * len(sequence))
    logits = next_logits(load_model(job.path, device), np.array([sequence]))[0].astype(np.float64)
    if not np.isfinite(logits).all():
        raise NumericalError("the model's logits are not finite", where=where)
    shares: NDArray[np.float64] = np.exp(logits - logits.max())
    shares /= shares.sum()
    return shares


def _top(
    names: GraphNames, shares: NDArray[np.float64], tokens: range, count: int
) -> Iterable[Continuation]:
    best = np.argsort(-shares[tokens.start : tokens.stop], kind="stable")[:count] + tokens.start
    for token in best.tolist():
        known = _named(names, token).model_dump()
        yield Continuation(**known, probability=float(shares[token]))


def _named(names: GraphNames, token: int) -> Named:
    return Named(token=token, id=names.id(token), label=names.label(token))


def _unknown(job: QueryJob, kind: str, name: str, near: Iterable[str]) -> InputError:
    """Which name is not there, and what may be meant."""
    close = ", ".join(repr(shortened(text)) for text in near)
    return InputError(
        f"no {kind} is called {shortened(name)!r}",
        where=str(job.path),
        hint=f"is it {close}?" if close else None,
    )
