"""The report of a paired-views encoder: its loss beside counting, and its measured flaws."""

from __future__ import annotations

import math
import statistics

from structinit_core.cooc import ReferenceLosses
from structinit_core.diagnose import Check, Report, Series, loss_checks
from structinit_core.initializers.paired_views import (
    BlockFlaws,
    PairedViewsModel,
    Readout,
    TextWindows,
    block_flaws,
    readout_loss,
)

_POSITIONAL = 0.5
"""Share of a direction's variance above which the position, not the text, drives it."""
_UNIFORM = 0.95
"""Share of ln T above which attention is called uniform."""


def paired_views_report(
    model: PairedViewsModel,
    whole: Readout,
    windows: TextWindows,
    held_out: TextWindows | None,
    references: ReferenceLosses | None,
) -> Report:
    """``report.json``: losses of the last position, then each flaw of the source as measured.

    ``whole`` also reads the last block, which ``model`` does not. Without ``held_out`` there
    are no losses, and the flaws are those on the windows of the fit.
    """
    config = model.config
    checks: list[Check] = []
    if held_out is not None and references is not None:
        checks += _losses(model, whole, held_out, references)
    seen = held_out or windows
    flaws = block_flaws(model.encoder, seen)
    for number, found in enumerate(flaws):
        checks += _block(found, f"blocks.{number}", config.max_position_embeddings)
    checks += [
        Check(name="flaw.labels_in_objective", value=0, threshold=1, verdict="warn"),
        Check(name="windows", value=len(windows.starts)),
        Check(name="scored", value=len(held_out.starts) if held_out else 0, unit="windows"),
        Check(name="temperature", value=float(model.readout.temperature)),
        *(
            Check(name="blend", value=float(block.blend), tensor=f"blocks.{i}.blend")
            for i, block in enumerate(model.encoder.blocks)
        ),
    ]
    return Report(
        subject="closed-form paired-views (seed 002)",
        checks=tuple(checks),
        notes=_notes(held_out is not None),
        series=tuple(
            Series(
                name="positional share of the heads' directions",
                values=found.positional,
                tensor=f"blocks.{i}",
            )
            for i, found in enumerate(flaws)
        ),
    )


def _losses(
    model: PairedViewsModel, whole: Readout, held_out: TextWindows, references: ReferenceLosses
) -> list[Check]:
    loss = readout_loss(model.encoder, model.readout, held_out)
    read = readout_loss(model.encoder, whole, held_out)
    uniform = references.uniform
    return [
        *loss_checks(loss, model.config.tokens, references),
        Check(name="flaw.readout_discarded", value=uniform - loss, unit="nats", verdict="warn"),
        Check(name="loss.last_block_read", value=read, unit="nats"),
        Check(name="flaw.last_block_unread", value=loss - read, unit="nats", verdict="warn"),
    ]


def _block(found: BlockFlaws, name: str, context: int) -> list[Check]:
    uniform = math.log(context)
    middle = statistics.median(found.positional)
    return [
        Check(
            name="flaw.positional_share",
            value=middle,
            threshold=_POSITIONAL,
            verdict="warn" if middle > _POSITIONAL else "ok",
            tensor=name,
        ),
        Check(name="positional_share.least", value=min(found.positional), tensor=name),
        Check(name="positional_share.most", value=max(found.positional), tensor=name),
        Check(
            name="flaw.attention_entropy",
            value=found.entropy,
            unit="nats",
            threshold=_UNIFORM * uniform,
            verdict="warn" if found.entropy > _UNIFORM * uniform else "ok",
            tensor=name,
        ),
        Check(name="attention_entropy.uniform", value=uniform, unit="nats", tensor=name),
        Check(name="attention.largest_weight", value=found.largest, tensor=name),
        Check(name="contexts.rank", value=found.rank, tensor=name),
        Check(name="contexts.uniform_gap", value=found.uniform_gap, tensor=name),
    ]


def _notes(scored: bool) -> tuple[str, ...]:
    notes = [
        "the method of seed 002 for text windows, as its source has it; its flaws are listed "
        "because they are the source's, and the default method is ngram",
        "objective without label: no solve of the encoder sees the token after a window; only "
        "the readouts do",
        "positional_share: how much of the variance along the directions that queries and keys "
        "are made of the position alone explains (median over directions, and extremes)",
        "attention_entropy at attention_entropy.uniform means that every head averages the "
        "window; contexts.uniform_gap is 0 where it does so exactly; contexts.rank is the "
        "effective rank of all heads' contexts together",
        "readout discarded: the protocol that the source judges this start by draws new random "
        "heads; flaw.readout_discarded is what the ridge readouts are better than the uniform "
        "guess, and so what is thrown away (negative: they are worse)",
        "last block unread: the readout before each block never sees what the last block puts "
        "out; flaw.last_block_unread is what reading it too would gain (negative: lose)",
        "feed-forward transposed: its matrix is the solved shrinkage for columns, and the source "
        "multiplies rows with it; in whitened coordinates of the rows it is another map, not the "
        "minimiser of the objective",
        "nothing is mapped into a Hugging Face family: those supported here have a causal mask, "
        "norms before the branches, and queries and keys that are not of unit length, so any "
        "mapping would be another function; structinit_core.load_paired_views loads this one",
        "differences to the source: this tokenizer instead of lower-cased words, and windows "
        "that do not run across documents",
    ]
    if scored:
        notes.append(
            "losses are of one token a window, the one after its last position, for all alike; "
            "kn2 and kn3 are counted on the whole counting text, of which the windows are a part"
        )
    return tuple(notes)
