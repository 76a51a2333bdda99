"""The report of a published version: what it is worth, what is wrong with it, what was repaired."""

from __future__ import annotations

from collections.abc import Mapping

from structinit_core.diagnose import Check, Report
from structinit_core.initializers.graph.faithful import Flaw, LinkText, Published
from structinit_core.recipes.graph_links import ReadLinks, graph_values


def faithful_report(
    read: ReadLinks,
    parts: Published,
    flaws: tuple[Flaw, ...],
    losses: Mapping[str, float],
    texts: Mapping[str, LinkText],
) -> Report:
    """``report.json``; flaws by their number in the list of the source's errors."""
    sizes = parts.sizes
    values: dict[str, float | int | str | None] = {
        "version": parts.version.name,
        **graph_values(read, parts.focus),
        "width": sizes.width,
        "width.published": sizes.wanted,
        "layers": sizes.layers,
        "heads": sizes.heads,
    }
    checks = [Check(name=name, value=value) for name, value in values.items()]
    for name, text in texts.items():
        for reference, loss in (
            ("", losses[name]),
            (".uniform", text.uniform),
            (".unigram", text.unigram),
            (".exact", text.exact),
        ):
            checks.append(Check(name=f"loss.{name}{reference}", value=loss, unit="nats"))
    checks += [_check(flaw) for flaw in flaws]
    return Report(subject="graph-compile", checks=tuple(checks), notes=_notes(parts))


def _check(flaw: Flaw) -> Check:
    """A flaw; ``warn`` where the source's own promise is not kept."""
    threshold = flaw.most if flaw.least is None else flaw.least
    check = Check(
        name=f"error{flaw.error}.{flaw.name}", value=flaw.value, unit=flaw.unit, threshold=threshold
    )
    if threshold is None or flaw.value is None:
        return check
    kept = flaw.value <= threshold if flaw.least is None else flaw.value >= threshold
    return check.model_copy(update={"verdict": "ok" if kept else "warn"})


def _notes(parts: Published) -> tuple[str, ...]:
    version, sizes, depth = parts.version, parts.sizes, parts.reach.depth
    return (
        f"{version.name.upper()} ({version.title}) as written: no claim of its source is checked "
        "but those in this report",
        f"d* = {sizes.wanted:.1f} of {len(parts.spectrum.ranked)} values, L* = {depth.layers}, "
        f"clamped {depth.clamped}; built are d = {sizes.width}, h = {sizes.heads}, "
        f"L = {sizes.layers}",
        *(f"repaired: {repair}" for repair in version.repairs),
        *(f"forced by the model: {deviation}" for deviation in version.forced),
    )
