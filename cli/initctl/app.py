"""The root command: commands, signals, and every expected failure as one line and a code."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from initctl.commands.closed_form import closed_form
from initctl.commands.cooc import cooc
from initctl.commands.diagnose import diagnose
from structinit_core import __version__
from structinit_core.errors import StructinitError

app = typer.Typer(
    name="initctl",
    help="Starting checkpoints that are computed instead of drawn at random.",
    epilog="Exit codes: 0 done, 1 bug, 2 usage, 3 bad input, 4 incompatible artifact or config, "
    "5 numerical failure, 6 limit, 7 threshold crossed, 8 device or library missing, "
    "75 locked by another run, 130/143 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("cooc")(cooc)
app.command("closed-form")(closed_form)
app.command("diagnose")(diagnose)


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
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except StructinitError as error:
        sys.stderr.write(f"initctl: error: {_one_line(str(error))}\n")
        if error.hint:
            sys.stderr.write(f"initctl: hint: {_one_line(error.hint)}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    sys.exit(0)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM as an exception, so that everything unfinished is removed on the way out."""
    sys.exit(128 + number)


def _one_line(text: str) -> str:
    """Control characters, which a hostile file name may hold, shown and not obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
