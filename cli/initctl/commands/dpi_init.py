"""``initctl dpi-init``: text to a checkpoint made layer by layer (seed 001)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from initctl import options as o
from initctl.console import TerminalProgress, print_json, print_published
from initctl.page import refuse_page, show_published
from initctl.texts import text_paths

_OF_COUNTING = ("tokenizer", "train_tokenizer", "offsets", "holdout")
_SETTINGS = (
    "lexical",
    "landmarks",
    "dct",
    "zipf_warp",
    "signatures",
    "gamma0",
    "gamma_dip",
    "value_gamma",
    "key_orthogonality",
    "align_peak",
    "phase_shift",
    "orthogonal",
    "scale",
    "residual_gain",
    "zero_wait",
    "whitening",
    "morph_alpha",
    "calibration",
)
"""Options that are fields of the library's settings, by the same names."""
_PUBLISHED = "the variant's"


class Variant(StrEnum):
    """The library's variants by name."""

    BEST = "best"
    PID8 = "pid8"
    V14_1 = "v14.1"
    V16_2 = "v16.2"


class Lexical(StrEnum):
    """Where the embedding comes from."""

    EXACT = "exact"
    NYSTROM = "nystrom"
    BLOCK = "block"
    LOG_RATIO = "log-ratio"


class Orthogonal(StrEnum):
    """How orthogonal outputs are made."""

    QR = "qr"
    FAST = "fast"
    NONE = "none"


class Scale(StrEnum):
    """Whether outputs are divided by √(2L)."""

    S_DPI = "s-dpi"
    NONE = "none"


class Number(StrEnum):
    """The dtypes a checkpoint may hold."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


def dpi_init(
    context: typer.Context,
    config: Annotated[
        Path,
        typer.Option(
            metavar="CONFIG",
            help="Hugging Face config.json, or dpi-5m, dpi-20m, dpi-335m, dpi-8b.",
        ),
    ],
    output: o.Output,
    corpus: Annotated[list[Path] | None, typer.Option(metavar="TEXT", help=o.TEXT_HELP)] = None,
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="TEXT", help="More corpus files.")
    ] = None,
    tokenizer: o.TokenizerFile = None,
    train_tokenizer: o.TrainTokenizer = None,
    counts: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Counts made by initctl cooc; the text is then only run through."
        ),
    ] = None,
    offsets: o.Offsets = 5,
    holdout: o.Holdout = 0.02,
    documents: o.Border = o.Documents.BLANK,
    text_field: o.TextField = None,
    variant: Annotated[Variant, typer.Option(help="A published pipeline, or ours.")] = Variant.BEST,
    lexical: Annotated[
        Lexical | None,
        typer.Option(help="Phase 0: what the embedding holds.", show_default=_PUBLISHED),
    ] = None,
    landmarks: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Frequent tokens of nystrom and block.", show_default="2000 or d"
        ),
    ] = None,
    dct: Annotated[
        bool | None,
        typer.Option("--dct/--no-dct", help="Phase 1: cosines in W1.", show_default=_PUBLISHED),
    ] = None,
    zipf_warp: Annotated[
        float | None, typer.Option(metavar="ζ", help="Warp of the cosines.", show_default="1")
    ] = None,
    signatures: Annotated[
        bool | None,
        typer.Option(
            "--signatures/--no-signatures",
            help="Phases 2 and 3: what Q, K and V are made of; without, of Haar rotations.",
            show_default=_PUBLISHED,
        ),
    ] = None,
    gamma0: Annotated[
        float | None, typer.Option(metavar="γ", help="Power of variances.", show_default="0.25")
    ] = None,
    gamma_dip: Annotated[
        float | None,
        typer.Option(metavar="X", help="Share γ loses at mid-depth.", show_default=_PUBLISHED),
    ] = None,
    value_gamma: Annotated[
        float | None,
        typer.Option(metavar="X", help="γ of values over γ.", show_default=_PUBLISHED),
    ] = None,
    key_orthogonality: Annotated[
        float | None,
        typer.Option(metavar="X", help="Orthogonal share of keys at mid-depth.", show_default="1"),
    ] = None,
    align_peak: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Largest share of keys in queries.", show_default=_PUBLISHED
        ),
    ] = None,
    phase_shift: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Share of depth from which keys are values; 1: nowhere.",
            show_default=_PUBLISHED,
        ),
    ] = None,
    orthogonal: Annotated[
        Orthogonal | None,
        typer.Option(
            help="W_O and W_2: exactly Haar, three fast rounds, or Gaussian.",
            show_default=_PUBLISHED,
        ),
    ] = None,
    scale: Annotated[
        Scale | None, typer.Option(help="s-dpi: W_O and W_2 over √(2L).", show_default=_PUBLISHED)
    ] = None,
    residual_gain: Annotated[
        float | None,
        typer.Option(metavar="X", help="Factor on W_O and W_2 besides.", show_default=_PUBLISHED),
    ] = None,
    zero_wait: Annotated[
        bool | None,
        typer.Option(
            "--zero-wait/--no-zero-wait", help="Phase 4: lexical head.", show_default=_PUBLISHED
        ),
    ] = None,
    whitening: Annotated[
        bool | None,
        typer.Option(
            "--whitening/--no-whitening", help="Phase 5: whitened head.", show_default=_PUBLISHED
        ),
    ] = None,
    morph_alpha: Annotated[
        float | None,
        typer.Option(
            metavar="α", help="Phase 7: share of the layer before.", show_default=_PUBLISHED
        ),
    ] = None,
    calibration: Annotated[
        bool | None,
        typer.Option(
            "--calibration/--no-calibration", help="Phase 6: norm gains.", show_default=_PUBLISHED
        ),
    ] = None,
    dtype: Annotated[Number, typer.Option(help="Numbers to write.")] = Number.FLOAT32,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    memory: o.Memory = "4G",  # type: ignore[assignment]
    max_shard_size: o.ShardSize = "5G",  # type: ignore[assignment]
    jobs: o.Jobs = None,
    html: o.Html = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    force: o.Force = False,
    plan: o.PlanOnly = False,
) -> None:
    """Make a checkpoint layer by layer from the activations of a text (DPI, seeded).

    Example: initctl dpi-init --config dpi-5m --corpus book.txt.gz --train-tokenizer 8192 -o out/
    """
    from structinit_core.corpus import Border
    from structinit_core.initializers.dpi import choose
    from structinit_core.recipes.count_source import CountSource
    from structinit_core.recipes.dpi import dpi_init as make_into
    from structinit_core.recipes.dpi_job import DpiJob
    from structinit_core.recipes.dpi_plan import plan_dpi

    if counts is not None:
        o.refuse(context, _OF_COUNTING, "is of counting, and --counts are counted already")
    changes = {name: context.params[name] for name in _SETTINGS}
    given = {
        name: str(value) if isinstance(value, StrEnum) else value
        for name, value in changes.items()
        if value is not None
    }
    settings = choose(variant.value, **given)
    progress = TerminalProgress(quiet)
    with text_paths([*(corpus or []), *(more or [])]) as paths:
        source = CountSource(
            texts=paths,
            tokenizer=tokenizer if counts is None else counts / "tokenizer.json",
            train_vocabulary=train_tokenizer,
            offsets=offsets,
            holdout=holdout,
            border=Border(documents.value),
            text_field=text_field,
            seed=seed,
        )
        job = DpiJob(
            config,
            settings,
            source,
            counts,
            seed=seed,
            dtype=dtype.value,
            device=device,
            memory_bytes=memory,
            shard_bytes=max_shard_size,
        )
        if plan:
            print_json(plan_dpi(job).model_dump(mode="json"))
            return
        refuse_page(html, [output, *job.paths()])
        with progress.running():
            made = make_into(job, output, force=force, progress=progress)
    show_published(output, progress, html)
    print_published(output, made, json, progress)
