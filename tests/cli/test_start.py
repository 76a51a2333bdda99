"""What happens before any work: help, version, imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import structinit_core

HEAVY = ("numpy", "scipy", "numba", "torch", "transformers", "tokenizers")
COMMANDS = ("cooc", "closed-form", "diagnose")


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from initctl.app import app
try:
    app({arguments!r})
except SystemExit as stop:
    assert stop.code == 0
print(sorted(name for name in {HEAVY!r} if name in sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_every_command_is_in_help_and_readme(initctl) -> None:
    help_text = initctl("--help").stdout.decode()
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for name in COMMANDS:
        assert re.search(rf"^\s+{name}\s", help_text, re.MULTILINE)
        assert f"initctl {name}" in readme


@pytest.mark.parametrize("name", COMMANDS)
def test_options_in_readme_exist(initctl, name: str) -> None:
    """Every option README shows for a command is one its help knows."""
    readme = (Path(__file__).parents[2] / "README.md").read_text().replace("\\\n", " ")
    lines = re.findall(rf"initctl {name} (.*)", readme)
    help_text = initctl(name, "--help").stdout.decode()
    used = {option for line in lines for option in re.findall(r"(?<![\w-])--[a-z-]+", line)}
    assert used
    assert {option for option in used if option not in help_text} == set()


def test_version_is_the_package_s(initctl) -> None:
    assert initctl("--version").stdout.decode().split() == ["initctl", structinit_core.__version__]


def test_public_names_resolve() -> None:
    for name in structinit_core.__all__:
        public = getattr(structinit_core, name)
        assert callable(public), name
        assert public.__doc__, name
    with pytest.raises(AttributeError):
        structinit_core.nonsense  # noqa: B018
