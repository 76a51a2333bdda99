"""``initctl race``: what a start is worth, by training from it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from initctl import options as o
from initctl.console import TerminalProgress, print_json, print_published
from initctl.graph_predictions import race_predictions
from initctl.k0_table4 import race_k0_table4
from initctl.texts import refuse_twice, text_paths

if TYPE_CHECKING:
    from pydantic import BaseModel

    from structinit_core.race import Forecast
    from structinit_core.race.paired_views import PairedViewsForecast

Protocol = TypeVar("Protocol", bound="BaseModel")


class Preset(StrEnum):
    """The library's presets by name."""

    STANDARD = "standard"
    SMOKE = "smoke"
    DPI_TABLE1 = "dpi-table1"
    DPI_TABLE5_CODE = "dpi-table5-code"
    DPI_ABLATION = "dpi-ablation"
    DPI_BEST_ABLATION = "dpi-best-ablation"
    DPI_SAMPLING = "dpi-sampling"
    PAIRED_VIEWS = "paired-views"
    K0_TABLE4 = "k0-table4"
    GRAPH_PREDICTIONS = "graph-predictions"


_TEXT = ("corpus", "valid", "tokenizer", "train_tokenizer", "documents", "text_field")
_ANY = ("output", "preset", "seeds", "seed", "device", "jobs", "json", "quiet", "plan")
_GRAPHS = ("wordnet", "debian")
_TAKEN = {
    Preset.PAIRED_VIEWS: (*_ANY, *_TEXT, "config", "memory"),
    Preset.K0_TABLE4: (*_ANY, "steps"),
    Preset.GRAPH_PREDICTIONS: (
        *(*_ANY, "corpus", "documents", "text_field", *_GRAPHS),
        *("steps", "sweep_steps", "batch_tokens", "eval_tokens", "rate"),
    ),
}
"""Options of the presets that have networks of their own; the others take all."""


def race(
    context: typer.Context,
    output: o.Output,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="CONFIG",
            help="Hugging Face config.json of the network, or dpi-5m, dpi-20m, dpi-335m, dpi-8b; "
            "for the preset paired-views one of model_type paired_views. May be left out for that "
            "and for those of dpi.",
            show_default=False,
        ),
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(metavar="TRAIN", help=f"To count and train on. {o.TEXT_HELP}"),
    ] = None,
    valid: Annotated[
        list[Path] | None, typer.Option(metavar="VALID", help="Other text, to score on.")
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=START",
            help="A start to race: a method, NAME=METHOD, or NAME=CHECKPOINT. Methods: default, "
            "gpt2, xavier, xavier-zero-gain, zero-out, unigram-bias, mimetic, mimetic-positive, "
            "closed-form, closed-form-bigram, dpi-best, dpi-v16.2, dpi-v14.1, dpi-pid8, "
            "dpi-v14.1-exact, dpi-v14.1-whitened, dpi-v14.1-uncalibrated, dpi-v14.1-100-lines, "
            "dpi-v14.1-10000-lines, dpi-best-no-body, dpi-best-signatures, dpi-best-cosines, "
            "dpi-best-calibrated, dpi-best-loud, shuffled-closed-form, shuffled-unigram-bias.",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The arm that the others are compared with.",
            show_default="the first",
        ),
    ] = None,
    preset: Annotated[
        Preset,
        typer.Option(
            help="standard, smoke: steps, batch, rates, seeds and arms where not given. "
            "dpi-table1, dpi-table5-code, dpi-ablation, dpi-sampling: likewise, to repeat the "
            "tables of seed 001 beside correct baselines; network dpi-5m and a tokenizer of 8,192 "
            "where not given; dpi-best-ablation: ours, one part at a time. Three have "
            "networks and arms of their own: paired-views, the compute-matched protocol of seed "
            "002, takes texts, --config and seeds; k0-table4, what training does to the cosine of "
            "seed 004, has its own text too and takes --steps and seeds; it begins anew where it "
            "was interrupted; as does graph-predictions, which tests four predictions of seed 000 "
            "on --wordnet, --debian and, as a general text, --corpus."
        ),
    ] = Preset.STANDARD,
    wordnet: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="graph-predictions: edges.tsv.gz and synsets.tsv.gz."),
    ] = None,
    debian: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="graph-predictions: edges.tsv.gz and packages.tsv.gz."),
    ] = None,
    tokenizer: o.TokenizerFile = None,
    train_tokenizer: o.TrainTokenizer = None,
    documents: o.Border = o.Documents.BLANK,
    text_field: o.TextField = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps of a run.")] = None,
    sweep_steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Steps of a run of the sweep.", show_default="as many as the others"
        ),
    ] = None,
    batch_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of a step.")] = None,
    eval_tokens: Annotated[
        int | None, typer.Option(min=2, help="Held-out tokens behind every loss.")
    ] = None,
    rate: Annotated[
        list[float] | None,
        typer.Option(help="Learning rates of the sweep; it grows by factors of two."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Runs of each arm that count.")
    ] = None,
    warmup: Annotated[
        float | None, typer.Option(min=0.0, max=0.99, help="Share of the steps to warm up.")
    ] = None,
    sweep_warmup: Annotated[
        bool, typer.Option("--sweep-warmup", help="Try warm-ups of 0, 1 % and 10 %, too.")
    ] = False,
    budget_seconds: Annotated[
        float | None,
        typer.Option(min=0.0, help="Begin no run that would end later; run again to go on."),
    ] = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    memory: o.Memory = "4G",  # type: ignore[assignment]
    jobs: o.Jobs = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    plan: o.PlanOnly = False,
) -> None:
    """Train one network from several starts and say, with intervals, what each is worth.

    Finished runs are kept in OUT: the same command goes on where it was interrupted.

    Example: initctl race --config config.json --corpus train.txt --valid valid.txt
    --train-tokenizer 4096 --arm default --arm closed-form -o race/
    """
    from initctl.race_table import show_race
    from structinit_core.corpus import Border
    from structinit_core.errors import UsageError
    from structinit_core.race import (
        K0Table4Protocol,
        RaceJob,
        RaceResult,
        forecast,
        parse_arms,
        race_starts,
    )
    from structinit_core.race.graph_predictions import (
        GraphPredictionsProtocol,
        GraphPredictionsRace,
    )
    from structinit_core.race.paired_views import (
        PairedViewsProtocol,
        PairedViewsRace,
        forecast_paired_views,
        race_paired_views,
    )
    from structinit_core.race.presets import PRESETS

    if (taken := _TAKEN.get(preset)) is not None:
        foreign = [name for name in context.params if name not in taken]
        o.refuse(context, foreign, f"is not of --preset {preset.value}")
    else:
        o.refuse(context, _GRAPHS, f"is not of --preset {preset.value}")
    chosen = {
        "steps": steps,
        "sweep_steps": sweep_steps,
        "batch_tokens": batch_tokens,
        "eval_tokens": eval_tokens,
        "rates": tuple(rate) if rate else None,
        "seeds": seeds,
        "warmup": warmup,
        "warmups": (0.0, 0.01, 0.1) if sweep_warmup else None,
        "seed": seed,
    }
    if preset is Preset.K0_TABLE4:
        table4 = _changed(K0Table4Protocol(), chosen)
        race_k0_table4(output, table4, device, json=json, quiet=quiet, plan=plan)
        return
    if preset is Preset.GRAPH_PREDICTIONS:
        if not (wordnet and debian and corpus):
            given = {"--wordnet": wordnet, "--debian": debian, "--corpus": corpus}
            missing = next(name for name, value in given.items() if not value)
            raise UsageError(f"Missing option '{missing}'", hint="it is tested on all three")
        tested = _changed(GraphPredictionsProtocol(), chosen)
        with text_paths(corpus) as general:
            predictions = GraphPredictionsRace(
                wordnet, debian, general, tested, Border(documents.value), text_field, device
            )
            race_predictions(output, predictions, json=json, quiet=quiet, plan=plan)
        return
    if not corpus or not valid:
        missing = "--valid" if corpus else "--corpus"
        raise UsageError(f"Missing option '{missing}'", hint="a race needs both texts")
    progress = TerminalProgress(quiet)
    refuse_twice([*corpus, *valid])
    with text_paths(corpus) as train_paths, text_paths(valid) as valid_paths:
        text: dict[str, Any] = {
            "corpus": train_paths,
            "valid": valid_paths,
            "tokenizer": tokenizer,
            "train_vocabulary": train_tokenizer,
            "border": Border(documents.value),
            "text_field": text_field,
            "device": device,
            "memory_bytes": memory,
        }
        planned: Callable[[], Forecast | PairedViewsForecast]
        raced: Callable[..., bool]
        if preset is Preset.PAIRED_VIEWS:
            fixed = _changed(PairedViewsProtocol(), chosen)
            pairs = PairedViewsRace(config=config, protocol=fixed, **text)
            planned, raced = (
                partial(forecast_paired_views, pairs),
                partial(race_paired_views, pairs),
            )
        else:
            named = PRESETS[preset.value]
            if (network := config or named.config) is None:
                hint = "it is the network's config.json"
                raise UsageError("Missing option '--config'", hint=hint)
            if config is None and tokenizer is None and train_tokenizer is None:
                text["train_vocabulary"] = named.vocabulary
            job = RaceJob(
                config=network,
                arms=parse_arms(arm or named.arms),
                protocol=_changed(named.protocol, chosen),
                baseline=baseline,
                claims=named.claims,
                budget_seconds=budget_seconds,
                **text,
            )
            planned, raced = partial(forecast, job), partial(race_starts, job)
        if plan:
            print_json(planned().model_dump(mode="json"))
            return
        if progress.draws and not (output / "race.json").exists():
            progress.note(planned().sentence())
        with progress.running():
            made = raced(output, progress)
    if progress.draws:
        known = (output / "race.json").read_text(encoding="utf-8")
        show_race(progress.console, RaceResult.model_validate_json(known))
    print_published(output, made, json, progress, "race.json")


def _changed(protocol: Protocol, chosen: dict[str, Any]) -> Protocol:
    """The preset with what was given; the library refuses what the options let through."""
    from pydantic import ValidationError

    from structinit_core.errors import UsageError

    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        return type(protocol).model_validate(protocol.model_dump() | given)
    except ValidationError as error:
        first = error.errors()[0]
        names = ".".join(map(str, first["loc"]))
        raise UsageError(f"{names}: {first['msg']}") from error
