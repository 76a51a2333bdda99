"""What a compiled checkpoint is worth, and the law that it is what was compiled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint
from structinit_core.cooc import Counts, KneserNey, ReferenceLosses, reference_losses
from structinit_core.corpus import TokenStream, cut_windows, spread
from structinit_core.diagnose import Check, Report, Series, loss_checks
from structinit_core.errors import NumericalError
from structinit_core.initializers.closed_form import (
    SAMPLED_TOKENS,
    STAGES,
    CompiledNgram,
    offset_costs,
)
from structinit_core.linalg import Device, generator
from structinit_core.model import forward_loss, load_model
from structinit_core.progress import Progress

LAW_TOLERANCE = 1e-3
"""Nats by which the written network may differ from the predictor it was compiled from."""
_PROBE_TOKENS = 2048


@dataclass(frozen=True)
class Scores:
    """Losses in nats: of the written network, of its predictor, and of the references.

    ``references`` is ``None`` where no text was held out; the other two are then of tokens
    drawn at random, and only their agreement means anything. ``costs``: what attention and
    norms take from the offsets, empty without them.
    """

    forward: float
    offline: float
    references: ReferenceLosses | None
    costs: dict[str, float]


def score(
    directory: Path,
    compiled: CompiledNgram,
    blueprint: Blueprint,
    model: KneserNey,
    windows: NDArray[np.int64],
    *,
    device: Device,
    progress: Progress,
) -> Scores:
    """Scores of the checkpoint in ``directory`` as transformers runs it.

    Raises:
        NumericalError: the network is not the predictor to within 1e-3 nats.
    """
    stream = model.counts.held_out
    references = reference_losses(model, stream, windows) if len(windows) else None
    if references is None:
        stream = _probe(model, blueprint.context)
        windows = cut_windows(np.array([[0, len(stream.ids)]]), blueprint.context)
    offline = compiled.offline_loss(stream, windows, device)
    network = load_model(directory, device)
    forward = forward_loss(network, blueprint.vocabulary, stream, windows, progress)
    if not abs(forward - offline) <= LAW_TOLERANCE:
        raise NumericalError(
            f"the written network scores {forward:.4f} nats, its predictor {offline:.4f}"
        )
    costs = offset_costs(compiled.network.to(device), stream, spread(windows, SAMPLED_TOKENS))
    return Scores(forward, offline, references, costs)


def pruning_note(counts: Counts) -> list[str]:
    """A remark where the n-gram references are those of pruned counts; nothing otherwise."""
    if counts.pruned is None:
        return []
    masses = {name: loss.mass for name, loss in counts.pruned.tables.items()}
    return [
        f"KN-2 and KN-3 are of counts from {counts.pruned.min_count} on: {masses['offset1']:.1%} "
        f"of the bigrams' and {masses['trigram']:.1%} of the trigrams' mass was dropped"
    ]


def compile_report(
    compiled: CompiledNgram, blueprint: Blueprint, counts: Counts, scores: Scores
) -> Report:
    """``report.json`` of a compilation."""
    checks: list[Check] = []
    if scores.references is not None:
        checks += loss_checks(scores.forward, blueprint.vocabulary, scores.references)
        checks.append(Check(name="loss.offline", value=scores.offline, unit="nats"))
        checks.append(Check(name="scored", value=scores.references.tokens, unit="tokens"))
    checks.append(
        Check(
            name="law.offline_minus_model",
            value=abs(scores.forward - scores.offline),
            unit="nats",
            threshold=LAW_TOLERANCE,
            verdict="ok",
        )
    )
    checks += [
        Check(
            name=f"stage.{stage.name}",
            value=stage.loss,
            unit="nats",
            verdict="ok" if stage.accepted else "info",
        )
        for stage in compiled.stages
    ]
    checks += [
        Check(name=f"worth.{stage.name}", value=stage.worth, unit="nats")
        for stage in compiled.stages[1:]
    ]
    checks += [
        Check(name=name, value=value, unit="nats" if name.startswith("cost.") else "")
        for name, value in scores.costs.items()
    ]
    checks += [
        Check(name=name, value=value, unit="nats") for name, value in compiled.induction.items()
    ]
    checks += [Check(name=f"svd.{name}", value=value) for name, value in compiled.facts.items()]
    checks += [
        Check(name=f"sample.{name}", value=value, unit="nats" if name.endswith("_nats") else "")
        for name, value in compiled.samples.items()
    ]
    sizes = {
        "parameters": blueprint.parameters,
        "vocabulary": counts.vocabulary,
        "padding_rows": blueprint.vocabulary - counts.vocabulary,
        "clipped_rows": compiled.stream.clipped_rows,
        "counted_tokens": int(counts.unigram.sum()),
    }
    checks += [Check(name=name, value=value) for name, value in sizes.items()]
    judge = "held-out slice" if scores.references else "count table, for want of held-out text"
    return Report(
        subject=f"closed-form ngram ({' + '.join(_parts(compiled))})",
        checks=tuple(checks),
        notes=(
            f"stages are judged on the {judge}; one with the verdict ok was kept",
            "the held-out slice entered no count; it does choose the stages and the gain, so "
            "quote the loss on a text of its own (diagnose --text)",
            "the table refit is iterative first-order optimisation on counts, not on text",
            *pruning_note(counts),
            *(f"{name} left out: {reason}" for name, reason in compiled.left_out.items()),
            *(
                [f"the offsets were fitted on contexts drawn from {compiled.drawn_from}"]
                if compiled.drawn_from
                else []
            ),
            *(
                [
                    "the refit takes the counted followers of every row exactly and estimates "
                    "the rest from drawn columns; the bias is fitted on drawn contexts"
                ]
                if compiled.samples
                else []
            ),
            *(
                [
                    "costs of attention and norms are against the fitted model with neither, on "
                    f"{SAMPLED_TOKENS} held-out tokens at most"
                ]
                if scores.costs
                else []
            ),
            *(
                ["a tied head leaves about half the rank of an untied one"]
                if blueprint.tied
                else []
            ),
        ),
        series=(Series(name="svd.singular_values", values=compiled.spectrum),),
    )


def _parts(compiled: CompiledNgram) -> list[str]:
    """What stands in the network."""
    kept = [stage.name for stage in compiled.stages if stage.accepted]
    return ["bigram", *(name for name in STAGES if name in kept)]


def _probe(model: KneserNey, context: int) -> TokenStream:
    """Random tokens by frequency, to run the network where no text was held out."""
    draw = generator(0, "closed-form", "probe")
    length = min(_PROBE_TOKENS, 4 * context)
    ids = draw.choice(model.vocabulary, length, p=model.unigram).astype(np.uint32)
    return TokenStream(ids, np.array([0, length]))
