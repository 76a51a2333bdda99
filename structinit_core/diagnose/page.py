"""A report as one self-contained HTML page: pictures first, then every number."""

from __future__ import annotations

import re
from collections.abc import Iterable

from structinit_core.diagnose.bars import Bar, bar_chart
from structinit_core.diagnose.curve import curve
from structinit_core.diagnose.markup import Row, document, escaped, figure, number, section, table
from structinit_core.diagnose.report import Check, Report, Series

MOST_CURVES = 24
_STAGE = "stage."
_LOSSES = {
    "loss.uniform": "uniform",
    "loss.unigram": "unigram",
    "loss.kn2": "KN-2",
    "loss.kn3": "KN-3",
    "loss.model": "this checkpoint",
}


def report_page(report: Report, seconds: dict[str, float]) -> str:
    """``report`` as HTML: losses beside references, stages, spectra, seconds, all checks, notes.

    ``seconds`` by stage are those of ``run.json``; a part without data is left out. Every
    text is escaped, and the page's own policy forbids scripts and anything from elsewhere.
    At most :data:`MOST_CURVES` spectra of tensors are drawn; a line says how many are not.
    """
    pictures = [_losses(report.checks), _stages(report.checks), _seconds(seconds)]
    notes = "".join(f"<li>{escaped(note, 2000)}</li>" for note in report.notes)
    parts = [
        section("Losses and time", _grid("wide", pictures)),
        _spectra(report.series),
        table(
            "Checks of the whole",
            ("check", "value", "unit", "threshold", "verdict"),
            map(_row, (check for check in report.checks if check.tensor is None)),
        ),
        _tensors(report.checks),
        section("Notes", f"<ul>{notes}</ul>" if notes else ""),
    ]
    return document(escaped(report.subject), "report", _outcome(report.checks), *parts)


def _outcome(checks: Iterable[Check]) -> str:
    """How many checks failed or warn, in words."""
    verdicts = [check.verdict for check in checks]
    failed, warned = verdicts.count("fail"), verdicts.count("warn")
    said = [f'<span class="fail">{failed} failed</span>'] if failed else []
    said += [f'<span class="warn">{warned} with a warning</span>'] if warned else []
    return f"<p>{len(verdicts):,} checks: {', '.join(said) or 'none failed'}</p>"


def _losses(checks: Iterable[Check]) -> str:
    found = {check.name: check.value for check in checks if check.tensor is None}
    values = {name: value for name in _LOSSES if isinstance(value := found.get(name), float)}
    rows = [Bar(_LOSSES[name], values[name], marked=name == "loss.model") for name in values]
    rows.sort(key=lambda bar: -bar.value)
    chart = bar_chart(rows, what="Losses", unit="nats per token", digits=3)
    scored = found.get("scored")
    on = f", on {scored:,} tokens" if isinstance(scored, int) else ""
    return figure(chart, f"Loss before any training, nats per token{on}; lower is better")


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


def _spectra(series: Iterable[Series]) -> str:
    """The subject's own curves, then those of the tensors in reading order."""
    curves = (one for one in series if not one.edges)
    drawn = [(one, picture) for one in curves if (picture := curve(one))]
    whole = [figure(picture, _title(one.name)) for one, picture in drawn if one.tensor is None]
    tensors = sorted(
        ((one.tensor, picture) for one, picture in drawn if one.tensor is not None),
        key=lambda pair: _reading_order(pair[0]),
    )
    shown = [figure(picture, escaped(name)) for name, picture in tensors[:MOST_CURVES]]
    left_out = len(tensors) - len(shown)
    explained = "Singular values over their place, both axes logarithmic."
    more = f"{left_out} more matrices are not drawn; their norms are in the table."
    return section(
        "Spectra",
        f'<p class="soft">{explained}</p>' if drawn else "",
        _grid("curve small", [*whole, *shown]),
        f'<p class="soft">{more}</p>' if left_out else "",
    )


def _reading_order(name: str) -> tuple[int, list[tuple[int, str]]]:
    """Embeddings, then the head, then layer by layer; numbers in names count as numbers."""
    numbered = re.search(r"[0-9]", name) is not None
    head = "head" in name or "embed_out" in name
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return (2 if numbered else int(head)), [
        (len(piece) if piece[0].isdigit() else 0, piece) for piece in pieces
    ]


def _title(name: str) -> str:
    return escaped(name.replace("_", " ").replace(".", ": "))


def _grid(kind: str, figures: Iterable[str]) -> str:
    content = "\n".join(one for one in figures if one)
    return f'<div class="{kind}">\n{content}\n</div>' if content else ""


def _row(check: Check) -> Row:
    verdict = "" if check.verdict == "info" else check.verdict
    mark = f'<span class="{verdict}">{verdict}</span>' if verdict else ""
    threshold = "" if check.threshold is None else number(check.threshold)
    return escaped(check.name), (number(check.value), escaped(check.unit), threshold, mark)


def _tensors(checks: Iterable[Check]) -> str:
    """One row a tensor, one column a kind of check, in the order they came."""
    rows: dict[str, dict[str, Check]] = {}
    for check in checks:
        if check.tensor is not None:
            rows.setdefault(check.tensor, {})[check.name] = check
    columns = list(dict.fromkeys(name for found in rows.values() for name in found))

    def cell(check: Check | None) -> str:
        if check is None:
            return ""
        shown = number(check.value)
        return f'<span class="fail">{shown}</span>' if check.verdict == "fail" else shown

    return table(
        "Checks of each tensor",
        ("tensor", *(escaped(name) for name in columns)),
        (
            (escaped(tensor), [cell(found.get(name)) for name in columns])
            for tensor, found in rows.items()
        ),
    )
