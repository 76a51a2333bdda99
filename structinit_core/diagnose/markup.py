"""Pieces of HTML: escaped text, numbers, tables that scroll inside their own box."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from structinit_core.diagnose.style import STYLE
from structinit_core.printable import printable, shown

_LONGEST = 120

Row = tuple[str, Sequence[str]]
"""The name of a table's row, and its cells."""


def escaped(text: str, longest: int = _LONGEST) -> str:
    """Untrusted text as HTML, fit for an attribute too: printable, no markup, cut in the middle.

    Names begin and end with what tells them apart, so both ends are kept.
    """
    shown = printable(text)
    if len(shown) > longest:
        shown = f"{shown[: longest // 2]}…{shown[1 - longest // 2 :]}"
    return html.escape(shown)


def number(value: float | int | str | None) -> str:
    """A value as tables show it, escaped; a dash where there is none."""
    return "–" if value is None else escaped(shown(value))


def table(title: str, head: Sequence[str], rows: Iterable[Row]) -> str:
    """A table of escaped cells, empty without rows; focus on its box lets the keyboard scroll."""
    columns = "".join(f'<th scope="col">{name}</th>' for name in head)
    lines = "\n".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for name, cells in rows
    )
    if not lines:
        return ""
    return section(
        title,
        f'<div class="scroll" role="region" tabindex="0" aria-label="{title}">\n'
        f"<table><thead><tr>{columns}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>",
    )


def figure(picture: str, caption: str) -> str:
    """A picture with its escaped caption; nothing without a picture."""
    if not picture:
        return ""
    return f"<figure><figcaption>{caption}</figcaption>\n{picture}</figure>"


def grid(kind: str, figures: Iterable[str]) -> str:
    """Figures side by side, as many as there is room for."""
    content = "\n".join(one for one in figures if one)
    return f'<div class="{kind}">\n{content}\n</div>' if content else ""


def bullets(items: Iterable[str]) -> str:
    """A list of escaped texts; nothing without any."""
    content = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{content}</ul>" if content else ""


def section(title: str, *parts: str) -> str:
    """A titled part of the page; nothing where all ``parts`` are empty."""
    content = "\n".join(part for part in parts if part)
    return f"<section><h2>{title}</h2>\n{content}\n</section>" if content else ""


def document(heading: str, kind: str, *parts: str) -> str:
    """A whole page of escaped texts, of which ``kind`` says what it is; it loads nothing.

    The page's own policy forbids scripts and anything from elsewhere.
    """
    content = "\n".join(part for part in parts if part)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading} · structinit {kind}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{heading}</h1>
<p class="soft">structinit {kind}</p>
{content}
</main>
</body>
</html>
"""
