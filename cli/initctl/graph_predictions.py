"""``initctl race --preset graph-predictions``: a race of starts compiled from graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from initctl.console import TerminalProgress, print_json, print_published, safe

if TYPE_CHECKING:
    from rich.console import Console

    from structinit_core.race.graph_predictions import (
        GraphPredictionsRace,
        GraphPredictionsResult,
    )


def race_predictions(
    output: Path, job: GraphPredictionsRace, *, json: bool, quiet: bool, plan: bool
) -> None:
    """Test the predictions of the source of ``graph-compile``."""
    from structinit_core.race.graph_predictions import (
        GraphPredictionsResult,
        race_graph_predictions,
    )
    from structinit_core.race.graph_predictions.race import RESULT

    if plan:
        print_json(job.protocol.model_dump(mode="json"))
        return
    progress = TerminalProgress(quiet)
    with progress.running():
        made = race_graph_predictions(job, output, progress=progress)
    if progress.draws:
        known = (output / RESULT).read_text(encoding="utf-8")
        _show(progress.console, GraphPredictionsResult.model_validate_json(known))
    print_published(output, made, json, progress, RESULT)


def _show(console: Console, result: GraphPredictionsResult) -> None:
    """Losses of every start, then the verdicts."""
    from rich.table import Table

    from structinit_core.race.graph_predictions.page import cells

    table = Table("text", "start", "rate", "loss at step 0", "last loss")
    for arm in result.arms:
        table.add_row(safe(arm.text), safe(arm.arm), *cells(arm))
    console.print(table)
    for one in result.predictions:
        said = f"- [bold]{one.number}, {safe(one.title)}: {one.verdict}[/]. {safe(one.said)}"
        console.print(said, soft_wrap=True)
    for note in result.notes:
        console.print(f"- {safe(note)}", soft_wrap=True)
