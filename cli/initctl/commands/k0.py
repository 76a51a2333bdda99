"""``initctl k0``: counts to a kernel, embeddings and a checkpoint to race."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from initctl import options as o
from initctl.console import TerminalProgress, print_json, print_published
from initctl.page import show_published


class Method(StrEnum):
    """The library's methods by name."""

    DERIVE = "derive"
    FFT = "fft"
    POWER = "power"


def k0(
    context: typer.Context,
    counts: Annotated[Path, typer.Argument(metavar="COUNTS", help="Counts made by initctl cooc.")],
    output: o.Output,
    method: Annotated[
        Method,
        typer.Option(
            help="power: leading eigenvectors of the log-counts, any vocabulary; derive, fft: k0 "
            "and embeddings as published, to compare with, up to 8192 tokens."
        ),
    ] = Method.POWER,
    epsilon: Annotated[
        float, typer.Option(metavar="E", help="Of derive and fft: the power of D beside D^-1.")
    ] = 0.003,
    spectral_power: Annotated[
        float,
        typer.Option(metavar="P", help="Of power: eigenvalues to this power scale the columns."),
    ] = 0.5,
    dim: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="D", help="Columns.", show_default="256, or the width of --init"
        ),
    ] = None,
    window: Annotated[
        int, typer.Option(min=1, max=255, help="Largest distance of a pair, in tokens.")
    ] = 5,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="CONFIG",
            help="Hugging Face config.json, tied: write this network, the embedding from the "
            "counts and all else its family's own start.",
        ),
    ] = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    memory: o.Memory = "4G",  # type: ignore[assignment]
    jobs: o.Jobs = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    force: o.Force = False,
    plan: o.PlanOnly = False,
) -> None:
    """Spectral kernel and embeddings of counts, without training.

    Example: initctl k0 counts/ --init config.json -o k0/
    """
    from structinit_core.recipes.k0 import k0 as solve_into
    from structinit_core.recipes.k0 import plan_k0
    from structinit_core.recipes.k0_job import K0Job, K0Method

    other = "epsilon" if method is Method.POWER else "spectral_power"
    o.refuse(context, [other], f"is not of --method {method.value}")
    job = K0Job(
        counts,
        K0Method(method.value),
        epsilon=epsilon,
        spectral_power=spectral_power,
        dim=dim,
        window=window,
        init=init,
        seed=seed,
        device=device,
        memory_bytes=memory,
    )
    if plan:
        print_json(plan_k0(job).model_dump(mode="json"))
        return
    progress = TerminalProgress(quiet)
    with progress.running():
        made = solve_into(job, output, force=force, progress=progress)
    show_published(output, progress)
    print_published(output, made, json, progress)
