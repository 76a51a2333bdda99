"""The preset ``k0-table4``: table 4 of seed 004 again, with the control it lacks.

MiniGPTs are trained on a drawn text, and the published cosine and circulant score are measured
along the way. Step 0 is the control: embeddings that no text has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from structinit_core.artifact import (
    Recipe,
    is_up_to_date,
    locked,
    pretty_json,
    refuse_foreign,
    staged,
)
from structinit_core.cooc import Distance, window_counts
from structinit_core.corpus import TokenStream
from structinit_core.errors import NumericalError
from structinit_core.initializers.kernel import (
    EPSILON,
    derive_k0,
    derive_k0_fft,
    likeness,
    log_cooccurrence,
    spectrum_of,
)
from structinit_core.linalg import Device, generator, resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.race.k0_table4_page import result_page
from structinit_core.race.k0_table4_result import (
    PUBLISHED,
    K0Table4Result,
    Moment,
    SeedRun,
    arm_of,
)
from structinit_core.race.mini_gpt import MiniGpt
from structinit_core.race.text import BatchOrder
from structinit_core.recipes.record import Recorder

KIND, VERSION = "k0-table4", 1
RESULT, PAGE = "k0-table4.json", "k0-table4.html"
_MOMENTS = 4
_LAST_STEPS = 50
_COUNTING_BYTES = 256 << 20


class K0Table4Protocol(BaseModel):
    """What the source states of table 4, and ours where it is silent or too long.

    Silent: the text, its length, the batch, the deviations, the numbering. Too long: its 200
    epochs; ``steps`` are 20 epochs of our text. AdamW at a constant ``rate`` with
    ``weight_decay`` on everything. ``deviations``: of the embeddings' start, an arm each; 1 is
    torch's own for an embedding, 0.02 GPT-2's. The text: from one token to the next the topic
    changes with probability 0.05, each of ten topics weights Zipf's law by exp(N(0, 1)) for every
    token (seed-origins note 8). ``numberings``: of the tokens, the text's own and others that are
    drawn; embeddings and counts are renumbered alike.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    vocabulary: int = Field(100, ge=8)
    width: int = Field(64, ge=2)
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    context: int = Field(64, ge=2)
    tokens: int = Field(60_000, ge=1000)
    topics: int = Field(10, ge=1)
    window: int = Field(5, ge=1)
    epsilon: float = Field(EPSILON, gt=0, lt=1)
    rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    batch_tokens: int = Field(512, ge=1)
    steps: int = Field(2400, ge=1)
    seeds: int = Field(5, ge=1)
    seed: int = Field(0, ge=0, lt=2**63)
    deviations: tuple[float, ...] = (1.0, 0.02)
    numberings: int = Field(20, ge=1)


@dataclass(frozen=True)
class _Text:
    """The drawn text, and for each numbering of its tokens the order, D, and k₀ in the FFT form.

    matrix_k0: k₀ in the matrix form for the text's own numbering.
    """

    stream: TokenStream
    numberings: tuple[tuple[Tensor, Tensor, Tensor], ...]
    matrix_k0: Tensor
    negative: int
    unigram_loss: float


def reproduce_k0_table4(
    output: Path,
    protocol: K0Table4Protocol | None = None,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
) -> bool:
    """Publish the reproduction; ``False`` if it was up to date already.

    ``output`` holds ``k0-table4.json`` (a :class:`K0Table4Result`), ``k0-table4.html``,
    ``manifest.json`` and ``run.json``. Cost: ``len(deviations)·seeds`` runs of less than a minute
    on one core. Deterministic for the protocol on one machine with fixed threads.

    Raises:
        any :class:`~structinit_core.errors.StructinitError`; nothing is then published.
    """
    protocol = protocol or K0Table4Protocol()
    record = Recorder(progress or Silent())
    place, _ = resolve_device(device, 0)
    recipe = Recipe(kind=KIND, version=VERSION, params=protocol.model_dump(mode="json"), inputs=())
    with locked(output):
        refuse_foreign(output, KIND, force=False)
        if is_up_to_date(output, recipe):
            return False
        with staged(output, recipe) as work:
            result = _reproduce(protocol, place, record)
            content = result.model_dump(mode="json", by_alias=True)
            (work / RESULT).write_text(pretty_json(content), encoding="utf-8")
            (work / PAGE).write_text(result_page(result), encoding="utf-8")
            record.write(work)
    return True


def drawn_text(protocol: K0Table4Protocol) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """Token ids of the protocol's text, the most frequent token of Zipf's law first."""
    draw = generator(protocol.seed, "k0-table4", "text")
    zipf = 1 / np.arange(1, protocol.vocabulary + 1)
    weights = zipf * np.exp(draw.standard_normal((protocol.topics, protocol.vocabulary)))
    edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    segments = np.cumsum(draw.random(protocol.tokens) < 0.05)
    topics = draw.integers(protocol.topics, size=segments[-1] + 1)[segments]
    heights = draw.random(protocol.tokens)
    ids = np.empty(protocol.tokens, np.uint16)
    for topic in range(protocol.topics):
        here = topics == topic
        ids[here] = np.searchsorted(edges[topic, :-1], heights[here], side="right")
    return ids


def _reproduce(protocol: K0Table4Protocol, device: Device, progress: Progress) -> K0Table4Result:
    text = _prepared(protocol)
    arms = []
    for deviation in protocol.deviations:
        name = f"embeddings N(0, {deviation:g}²)"
        runs = []
        for seed in range(protocol.seed + 1, protocol.seed + 1 + protocol.seeds):
            progress.stage(f"{name}, seed {seed}", protocol.steps)
            runs.append(_run(protocol, text, deviation, seed, device, progress))
        arms.append(arm_of(name, deviation, runs, text.unigram_loss))
    return K0Table4Result(
        protocol=protocol.model_dump(mode="json"),
        unigram_loss=text.unigram_loss,
        negative_eigenvalues=text.negative,
        published=PUBLISHED,
        arms=tuple(arms),
    )


def _prepared(protocol: K0Table4Protocol) -> _Text:
    ids = drawn_text(protocol)
    spans = np.array([[0, len(ids)]], np.int64)
    stream = TokenStream(ids, spans[0])
    counts = window_counts(
        stream,
        spans,
        protocol.vocabulary,
        window=protocol.window,
        distance=Distance.FLAT,
        memory_bytes=_COUNTING_BYTES,
    )
    log_counts = log_cooccurrence(counts)
    spectrum = spectrum_of(log_counts)
    numberings = []
    for number in range(protocol.numberings):
        draw = generator(protocol.seed, "k0-table4", "numbering", str(number))
        order = draw.permutation(protocol.vocabulary) if number else np.arange(protocol.vocabulary)
        places = torch.from_numpy(order)
        renumbered = log_counts[places][:, places]
        numberings.append((places, renumbered, derive_k0_fft(renumbered, protocol.epsilon)))
    shares = np.bincount(ids) / len(ids)
    shares = shares[shares > 0]
    return _Text(
        stream=stream,
        numberings=tuple(numberings),
        matrix_k0=derive_k0(log_counts, protocol.epsilon, spectrum),
        negative=int((spectrum.values < 0).sum()),
        unigram_loss=float(-(shares * np.log(shares)).sum()),
    )


def _run(
    protocol: K0Table4Protocol,
    text: _Text,
    deviation: float,
    seed: int,
    device: Device,
    progress: Progress,
) -> SeedRun:
    """One run; torch's global generators are as they were afterwards."""
    order = BatchOrder(text.stream, protocol.context, protocol.batch_tokens, seed)
    measured = {round(protocol.steps * share / _MOMENTS) for share in range(_MOMENTS + 1)}
    draw = int(generator(seed, "k0-table4", "network").integers(2**63))
    moments, losses = [], []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(draw)
        network = MiniGpt(
            protocol.vocabulary,
            protocol.width,
            protocol.layers,
            protocol.heads,
            protocol.dropout,
            deviation,
        ).to(device)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=protocol.rate, weight_decay=protocol.weight_decay, fused=True
        )
        for step in range(protocol.steps + 1):
            if step in measured:
                embeddings = network.embed.weight.detach().double().cpu()
                moments.append(_moment(text, embeddings, step))
            if step == protocol.steps:
                break
            batch = torch.from_numpy(order.batch(step)).to(device)
            logits = network(batch[:, :-1]).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, batch[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
            progress.advance()
    last = float(np.mean(losses[-_LAST_STEPS:]))
    if not np.isfinite(last):
        raise NumericalError(f"the run of seed {seed} diverged")
    return SeedRun(seed=seed, loss=last, moments=tuple(moments))


def _moment(text: _Text, embeddings: Tensor, step: int) -> Moment:
    """The published measures under every numbering."""
    found = [likeness(embeddings[order], matrix, k0) for order, matrix, k0 in text.numberings]
    return Moment(
        step=step,
        cosines=tuple(one.cosine for one in found),
        circulants=tuple(one.circulant for one in found),
        matrix_cosine=likeness(embeddings, text.numberings[0][1], text.matrix_k0).cosine,
    )
