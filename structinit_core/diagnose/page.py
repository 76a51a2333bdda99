"""A report as one self-contained HTML page: pictures first, then every number."""

from __future__ import annotations

from collections.abc import Iterable

from structinit_core.diagnose.bars import Bar, bar_chart
from structinit_core.diagnose.markup import bullets, document, escaped, figure, grid, section
from structinit_core.diagnose.pictures import (
    depth_pictures,
    head_pictures,
    spectrum_pictures,
)
from structinit_core.diagnose.report import Check, Report
from structinit_core.diagnose.tables import report_tables

_STAGE = "stage."
_LOSSES = {
    "loss.uniform": "uniform",
    "loss.unigram": "unigram",
    "loss.kn2": "KN-2",
    "loss.kn3": "KN-3",
    "loss.model": "this checkpoint",
}


def report_page(report: Report, seconds: dict[str, float]) -> str:
    """``report`` as HTML: losses beside references, stages, depth, heads, spectra, all checks.

    ``seconds`` by stage are those of ``run.json``; a part without data is left out. With a
    comparison both checkpoints are in each picture. Every text is escaped, and the page's own
    policy forbids scripts and anything from elsewhere. Of many matrices or layers an even
    choice is drawn; a line says how many are not.
    """
    pictures = [_losses(report), _buckets(report), _stages(report.checks), _seconds(seconds)]
    parts = [
        section("Losses and time", grid("wide", pictures)),
        depth_pictures(report),
        head_pictures(report),
        spectrum_pictures(report),
        *report_tables(report),
        section("Notes", bullets(escaped(note, 2000) for note in report.notes)),
    ]
    compared = f" against {escaped(report.against)}" if report.against is not None else ""
    heading = escaped(report.subject) + compared
    return document(heading, "report", _outcome(report.checks), *parts)


def _outcome(checks: Iterable[Check]) -> str:
    """How many checks failed or warn, in words."""
    verdicts = [check.verdict for check in checks]
    failed, warned = verdicts.count("fail"), verdicts.count("warn")
    said = [f'<span class="fail">{failed} failed</span>'] if failed else []
    said += [f'<span class="warn">{warned} with a warning</span>'] if warned else []
    return f"<p>{len(verdicts):,} checks: {', '.join(said) or 'none failed'}</p>"


def _losses(report: Report) -> str:
    found = {check.name: check for check in report.checks if check.tensor is None}
    rows = [
        Bar(label, value, marked=name == "loss.model")
        for name, label in _LOSSES.items()
        if name in found and isinstance(value := found[name].value, float)
    ]
    model = found.get("loss.model")
    if model is not None and isinstance(model.against, float):
        rows.append(Bar(report.against or "", model.against))
    rows.sort(key=lambda bar: -bar.value)
    chart = bar_chart(rows, what="Losses", unit="nats per token", digits=3)
    scored = found["scored"].value if "scored" in found else None
    on = f", on {scored:,} tokens" if isinstance(scored, int) else ""
    return figure(chart, f"Loss before any training, nats per token{on}; lower is better")


def _buckets(report: Report) -> str:
    rows = []
    for check in report.checks:
        if check.name == "loss.bucket" and isinstance(check.value, float):
            label = (check.tensor or "").removeprefix("tokens ")
            rows.append(Bar(label, check.value, marked=True))
            if isinstance(check.against, float):
                rows.append(Bar(report.against or "", check.against))
    chart = bar_chart(rows, what="Losses by frequency", unit="nats per token", digits=3)
    return figure(chart, "Loss by how often a token was seen, nats per token")


def _stages(checks: Iterable[Check]) -> str:
    rows = [
        Bar(
            check.name.removeprefix(_STAGE).replace("_", " ")
            + ("" if check.verdict == "ok" else " – not kept"),
            check.value,
            hollow=check.verdict != "ok",
        )
        for check in checks
        if check.name.startswith(_STAGE) and isinstance(check.value, float)
    ]
    chart = bar_chart(rows, what="Loss after each stage", unit="nats per token", digits=3)
    return figure(chart, "Loss of the factor model after each stage, nats per token")


def _seconds(seconds: dict[str, float]) -> str:
    rows = [Bar(name, spent) for name, spent in sorted(seconds.items(), key=lambda s: -s[1])]
    chart = bar_chart(rows, what="Time of each stage", unit="seconds", digits=2)
    return figure(chart, f"Seconds of each stage, {sum(seconds.values()):.1f} together")
