"""The root command: commands, signals, and every expected failure as one line and a code."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from initctl.commands.closed_form import closed_form
from initctl.commands.cooc import cooc
from initctl.commands.diagnose import diagnose
from initctl.commands.dpi_init import dpi_init
from initctl.commands.export import export
from initctl.commands.graph_compile import BareFaithful, graph_compile
from initctl.commands.k0 import k0
from initctl.commands.query import query
from initctl.commands.race import race
from structinit_core import __version__
from structinit_core.errors import NO_SPACE, StructinitError
from structinit_core.printable import printable

app = typer.Typer(
    name="initctl",
    help="Starting checkpoints that are computed instead of drawn at random.",
    epilog="Exit codes: 0 done, 1 bug, 2 usage, 3 bad input, 4 incompatible artifact or config, "
    "5 numerical failure, 6 limit, 7 threshold crossed, 8 device or library missing, "
    "75 locked by another run, 129/130/143 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("cooc")(cooc)
app.command("closed-form")(closed_form)
app.command("dpi-init")(dpi_init)
app.command("graph-compile", cls=BareFaithful)(graph_compile)
app.command("k0")(k0)
app.command("diagnose")(diagnose)
app.command("query")(query)
app.command("race")(race)
app.command("export")(export)


_INTERRUPTED = (129, 130, 143)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"initctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Starting checkpoints that are computed instead of drawn at random."""


def main() -> NoReturn:
    """Run the command line and exit with its documented code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        app()
    except StructinitError as error:
        _fail(str(error), error.hint, error.exit_code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}", None, 6 if error.errno in NO_SPACE else 3)
    except SystemExit as stop:
        if stop.code in _INTERRUPTED:
            # Everything is cleaned up. A library's thread may still be at work; it would hold
            # up the interpreter's own end, or be torn down by it.
            sys.stderr.flush()
            os._exit(stop.code)
        raise
    sys.exit(0)


def _fail(message: str, hint: str | None, code: int) -> NoReturn:
    """One line: what is wrong and where, and after a semicolon what to do."""
    line = f"{message}; {hint}" if hint else message
    sys.stderr.write(f"initctl: error: {printable(line)}\n")
    sys.exit(code)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """A signal as an exception, so that everything unfinished is removed on the way out."""
    sys.exit(128 + number)
