"""The one style sheet of the pages: light and dark, wide and narrow."""

from __future__ import annotations

PALETTE = ("#59616b", "#0072b2", "#d55e00", "#00835f", "#aa3377", "#806600")
"""Colours of lines on a light page, told apart by colour-blind readers too (Okabe and Ito)."""
_DARK = ("#b8c0ca", "#56b4e9", "#ff9050", "#2fcf9f", "#e693c4", "#f0e442")
DASHES = ((), (8, 4), (2, 3), (12, 3, 2, 3), (5, 2))
"""Dashes of lines; their number has no divisor in common with that of the colours."""


def _colours(palette: tuple[str, ...]) -> str:
    return " ".join(f"--c{i}: {colour};" for i, colour in enumerate(palette))


_LOOKS = "\n".join(
    [f".c{i} {{ --hue: var(--c{i}); }}" for i in range(len(PALETTE))]
    + [f".d{i} {{ stroke-dasharray: {' '.join(map(str, d))}; }}" for i, d in enumerate(DASHES) if d]
)

_SHEET = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1e22; --soft: #59616b;
  --line: #d5d9de; --bar: #7f8a99; --mark: #1d5fbf; --bad: #b3261e; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --ink: #e6e8eb; --soft: #a3abb5;
  --line: #383d44; --bar: #77828f; --mark: #7fb2fa; --bad: #ff8a80; --warn: #f0b95a; } }
* { box-sizing: border-box; }
body { margin: 0; overflow-wrap: anywhere; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0 .5rem; } ul { padding-left: 1.25rem; } .soft { color: var(--soft); }
.wide, .small { display: grid; gap: 1.5rem 2.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.small { gap: 1.25rem 1.5rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { color: var(--soft); font-size: .875rem; margin-bottom: .5rem; }
svg { display: block; width: 100%; overflow: visible; }
svg text { fill: var(--ink); font-size: 14px; }
.value { text-anchor: end; font-variant-numeric: tabular-nums; } .middle { text-anchor: middle; }
.bar rect { fill: var(--bar); } .marked rect { fill: var(--mark); }
.marked text { font-weight: 600; }
.hollow rect { fill: none; stroke: var(--bar); stroke-dasharray: 4 3; }
.curve svg { max-width: 22rem; }
.curve svg text { fill: var(--soft); font-size: 11px; }
line { stroke: var(--line); } circle { fill: var(--hue); }
polyline { fill: none; stroke: var(--hue); stroke-width: 2; stroke-linejoin: round; }
.cell { fill: var(--hue); } .frame { fill: none; stroke: var(--line); }
.scroll { overflow-x: auto; width: fit-content; max-width: 100%;
  border: 1px solid var(--line); border-radius: 4px; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem; text-align: right; white-space: nowrap;
  border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 600; }
th:first-child { text-align: left; } tbody th { font-weight: 400; }
.fail { color: var(--bad); font-weight: 600; } .warn { color: var(--warn); font-weight: 600; }
.lines { height: 372px; padding: 8px 26px 44px 40px; }
.lines text { fill: var(--soft); font-size: 12px; }
.lines .end { fill: var(--hue); font-weight: 600; font-size: 13px; }
.lines polyline, .key line { stroke: var(--hue); stroke-width: 2; }
.lines polyline { vector-effect: non-scaling-stroke; }
.band { fill: var(--hue); fill-opacity: .18; }
.level { stroke: var(--soft); stroke-dasharray: 3 4; }
.legend { list-style: none; margin: .25rem 0 .75rem; padding: 0; font-size: .875rem;
  display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; }
.legend li { display: flex; align-items: center; gap: .5rem; min-width: 0; }
.key { width: 2.25rem; height: 10px; flex: none; }
"""

STYLE = (
    _SHEET
    + f":root {{ {_colours(PALETTE)} }}\n"
    + f"@media (prefers-color-scheme: dark) {{ :root {{ {_colours(_DARK)} }} }}\n{_LOOKS}\n"
)
