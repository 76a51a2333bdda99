"""README against the program: synopsis, exit codes, every command line it shows."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from unittest import mock

import pytest
import typer

from initctl.app import app
from structinit_core import errors

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
COMMANDS = (
    "cooc",
    "closed-form",
    "dpi-init",
    "k0",
    "graph-compile",
    "query",
    "diagnose",
    "race",
    "export",
)
SET_UP = (
    """\
pip install . && initctl closed-form --config fixtures/configs/gpt2-d128-l4.json \\
    --corpus fixtures/corpora/frankenstein.txt.gz --train-tokenizer 2048 -o out/
""",
    'pip install -e ".[test]" && pytest\n',
)
OPTION = r"(?<![\w-])--[a-z][a-z-]*"
NOT_FROM_ERRORS = {0, 1, 7, 129, 130, 143}
"""Success, a bug, a verdict and signals are no exceptions of the library."""


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def synopsis() -> dict[str, str]:
    """What the synopsis says of each command; of the program itself under the empty name."""
    block = re.search(r"^## Synopsis\n.*?^```\w*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert block
    entries = re.split(r"^initctl(?= )", block[1], flags=re.MULTILINE)[1:]
    named = [(re.match(r" ([a-z][a-z0-9-]*)", entry), entry) for entry in entries]
    return {name[1] if name else "": entry for name, entry in named}


def shown_commands() -> list[str]:
    """Every ``initctl`` line of the shell blocks, without what stands around it."""
    joined = "\n".join(shell_blocks()).replace("\\\n", " ")
    return [found.strip() for found in re.findall(r"\binitctl ([^|&>\n]*)", joined)]


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_synopsis_has_the_options_of_the_help(initctl, name: str) -> None:
    help_text = initctl(*([name] if name else []), "--help").stdout.decode()
    known = re.findall(rf"(?:^\s+(?:-\w, )?| / )({OPTION})", help_text, re.MULTILINE)
    written = re.findall(OPTION, synopsis()[name])
    assert sorted(written) == sorted(set(known) - {"--help"})


def test_the_synopsis_has_every_command() -> None:
    assert synopsis().keys() == {"", *COMMANDS}
    assert {command.name for command in app.registered_commands} == set(COMMANDS)


def test_short_options_of_the_synopsis_exist(initctl) -> None:
    for name, entry in synopsis().items():
        help_text = initctl(*([name] if name else []), "--help").stdout.decode()
        for short in re.findall(r"(?<![\w-])-[a-z]\b(?!-)", entry):
            assert f"{short}, --" in help_text, (name, short)


def test_every_command_is_in_the_help_and_in_readme(initctl) -> None:
    help_text = initctl("--help").stdout.decode()
    for name in COMMANDS:
        assert re.search(rf"^\s+{name}\s", help_text, re.MULTILINE)
        assert any(shown.startswith(f"{name} ") for shown in shown_commands())


@pytest.mark.parametrize("shown", shown_commands())
def test_command_lines_parse(shown: str) -> None:
    """The program itself reads the line, and stops before it would run it."""
    name, *arguments = shlex.split(shown)
    group = typer.main.get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined]
    with mock.patch.dict(os.environ):  # --jobs is for the libraries of a process of its own
        command.make_context(name, arguments)


def test_exit_codes_agree(initctl) -> None:
    table = README.split("## Exit codes\n", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE)
    listed = [int(code) for cell in cells for code in cell.split(",")]
    raised = {failure.exit_code for failure in errors.StructinitError.__subclasses__()}
    assert len(listed) == len(set(listed))
    assert set(listed) == raised | NOT_FROM_ERRORS
    promised = initctl("--help").stdout.decode().split("Exit codes:")[1]
    assert {int(code) for code in re.findall(r"\d+", promised)} == set(listed)


@pytest.mark.parametrize("command", SET_UP, ids=["install", "test"])
def test_the_set_up_commands_stand_there_word_for_word(command: str) -> None:
    assert command in shell_blocks()
