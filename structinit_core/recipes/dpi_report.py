"""What a layer-by-layer start turned out to be: losses, gradient, and every layer in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint
from structinit_core.cooc import Counts, KneserNey, reference_losses
from structinit_core.diagnose import Check, Report, Series, loss_checks
from structinit_core.errors import NumericalError
from structinit_core.initializers.dpi import DpiSettings, Tokens, aliases
from structinit_core.linalg import Device
from structinit_core.model import forward_loss, gradient_norm, load_model
from structinit_core.progress import Progress
from structinit_core.recipes.verdict import LAW_TOLERANCE, pruning_note

_LOADED_PARAMETERS = 1 << 26
"""Larger models are not loaded whole for the report: their loss is that of the layers as made."""
_GRADIENT_WINDOWS = 8


@dataclass(frozen=True)
class Found:
    """What was found on the way: facts of the lexical seeding and of each layer, and the loss."""

    lexical: dict[str, float]
    layers: list[dict[str, float]]
    loss: float | None


def dpi_report(
    settings: DpiSettings,
    blueprint: Blueprint,
    counts: Counts,
    found: Found,
    windows: NDArray[np.int64],
    directory: Path,
    sample: Tokens,
    *,
    memory_bytes: int,
    device: Device,
    progress: Progress,
) -> Report:
    """``report.json``: step-0 loss beside the references, gradient norm, facts of every layer.

    A model of at most 67 million parameters is loaded from ``directory`` by transformers: its
    loss must be that of the layers as they were made, and its gradient is measured on the first
    8 windows of the sample.

    Raises:
        NumericalError: the two losses differ by more than 1e-3 nats.
    """
    checks: list[Check] = []
    if found.loss is not None:
        progress.stage("scoring the references")
        references = reference_losses(KneserNey(counts), counts.held_out, windows)
        checks += loss_checks(found.loss, blueprint.vocabulary, references)
        checks.append(Check(name="scored", value=references.tokens, unit="tokens"))
    needed = 12 * blueprint.parameters
    if blueprint.parameters <= _LOADED_PARAMETERS and needed <= memory_bytes:
        checks += _loaded(blueprint, counts, found, windows, directory, sample, device, progress)
    sizes = {
        "parameters": blueprint.parameters,
        "vocabulary": counts.vocabulary,
        "padding_rows": blueprint.vocabulary - counts.vocabulary,
        "counted_tokens": int(counts.unigram.sum()),
        "sample_tokens": sample.numel(),
    }
    if settings.dct:
        sizes["dct.aliased_rows_replaced"] = aliases(blueprint.feed_forward, blueprint.width)
    checks += [Check(name=name, value=value) for name, value in sizes.items()]
    checks += [Check(name=f"lexical.{name}", value=v) for name, v in found.lexical.items()]
    for layer, facts in enumerate(found.layers):
        at = f"layer {layer}"
        checks += [Check(name=name, value=value, tensor=at) for name, value in facts.items()]
    return Report(
        subject=f"dpi-init {settings.variant}",
        checks=tuple(checks),
        notes=tuple(_notes(settings, blueprint, counts, found)),
        series=tuple(
            Series(name=name, values=tuple(facts[name] for facts in found.layers))
            for name in ("variance_before", "variance_after", "input_effective_rank")
        ),
    )


def _loaded(
    blueprint: Blueprint,
    counts: Counts,
    found: Found,
    windows: NDArray[np.int64],
    directory: Path,
    sample: Tokens,
    device: Device,
    progress: Progress,
) -> list[Check]:
    progress.stage("scoring the checkpoint", len(windows) or None)
    model = load_model(directory, device)
    checks: list[Check] = []
    if found.loss is not None:
        held = counts.held_out
        forward = forward_loss(model, blueprint.vocabulary, held, windows, progress)
        off = abs(forward - found.loss)
        if not off <= LAW_TOLERANCE:
            raise NumericalError(
                f"the written network scores {forward:.4f} nats, its layers {found.loss:.4f}"
            )
        law = Check(
            name="law.layers_minus_model",
            value=off,
            unit="nats",
            threshold=LAW_TOLERANCE,
            verdict="ok",
        )
        checks.append(law)
    norm = gradient_norm(model, sample[:_GRADIENT_WINDOWS])
    return [*checks, Check(name="gradient.norm", value=norm)]


def _notes(settings: DpiSettings, blueprint: Blueprint, counts: Counts, found: Found) -> list[str]:
    notes = [
        "every draw is seeded; the published code draws outputs and clusters unseeded",
        "variance_before and variance_after are of what leaves a layer, with norm gains 1 and as "
        "written; gains scale what a branch reads, so the target is reached only where branches "
        "can make up the difference",
        "the published comparison is with a baseline whose norm gains are 0 (all logits 0)",
        *pruning_note(counts),
    ]
    if found.loss is None:
        notes.append("no held-out text: no loss is reported")
    if settings.lexical != "log-ratio":
        notes.append(
            "singular vectors of raw counts without their values are no bigram model; the loss "
            "says so beside the unigram's"
        )
    if settings.lexical == "nystrom":
        notes.append("next-token counts are no positive kernel, as a Nystroem extension wants")
    if settings.morph_alpha:
        notes.append("published sweeps show no effect of the morph: F(8,18) = 0.39 over 27 runs")
    if settings.whitening and not blueprint.tied:
        notes.append("whitening lost by 1.39 nats in the published ablation")
    if blueprint.tied and (settings.zero_wait or settings.whitening):
        left = "codes stand in the embedding" if settings.lexical == "log-ratio" else "left out"
        notes.append(f"the head is the embedding: zero-wait head and whitening {left}")
    return notes
