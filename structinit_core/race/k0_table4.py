"""The preset ``k0-table4``: table 4 of seed 004 again, with the control it lacks.

MiniGPTs are trained on a drawn text, and the published cosine and circulant score are measured
along the way. Step 0 is the control: embeddings that no text has seen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from structinit_core.artifact import (
    Recipe,
    is_up_to_date,
    locked,
    pretty_json,
    refuse_foreign,
    staged,
)
from structinit_core.errors import NumericalError
from structinit_core.initializers.kernel import likeness
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
from structinit_core.race.k0_table4_text import K0Table4Protocol, Table4Text, table4_text
from structinit_core.race.mini_gpt import MiniGpt
from structinit_core.race.text import BatchOrder
from structinit_core.recipes.record import Recorder

KIND, VERSION = "k0-table4", 1
RESULT, PAGE = "k0-table4.json", "k0-table4.html"
_MOMENTS = 4
_LAST_STEPS = 50


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


def _reproduce(protocol: K0Table4Protocol, device: Device, progress: Progress) -> K0Table4Result:
    text = table4_text(protocol)
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


def _run(
    protocol: K0Table4Protocol,
    text: Table4Text,
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


def _moment(text: Table4Text, embeddings: Tensor, step: int) -> Moment:
    """The published measures under every numbering."""
    found = [likeness(embeddings[order], matrix, k0) for order, matrix, k0 in text.numberings]
    return Moment(
        step=step,
        cosines=tuple(one.cosine for one in found),
        circulants=tuple(one.circulant for one in found),
        matrix_cosine=likeness(embeddings, text.numberings[0][1], text.matrix_k0).cosine,
    )
