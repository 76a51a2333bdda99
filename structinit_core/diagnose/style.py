"""The one style sheet of the page: light and dark, wide and narrow."""

from __future__ import annotations

STYLE = """
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
.curve svg text { fill: var(--soft); font-size: 11px; }
line { stroke: var(--line); } circle { fill: var(--mark); }
polyline { fill: none; stroke: var(--mark); stroke-width: 2; stroke-linejoin: round; }
.scroll { overflow-x: auto; width: fit-content; max-width: 100%;
  border: 1px solid var(--line); border-radius: 4px; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem; text-align: right; white-space: nowrap;
  border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 600; }
th:first-child { text-align: left; } tbody th { font-weight: 400; }
.fail { color: var(--bad); font-weight: 600; } .warn { color: var(--warn); font-weight: 600; }
"""
