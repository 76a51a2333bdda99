"""What happens before any work: help, version, imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import structinit_core

HEAVY = ("numpy", "scipy", "numba", "torch", "transformers", "tokenizers", "onnx")
COMMANDS = (
    "cooc",
    "closed-form",
    "dpi-init",
    "graph-compile",
    "diagnose",
    "query",
    "race",
    "export",
)


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


def test_version_is_the_package_s(initctl) -> None:
    assert initctl("--version").stdout.decode().split() == ["initctl", structinit_core.__version__]


def test_public_names_resolve() -> None:
    for name in structinit_core.__all__:
        public = getattr(structinit_core, name)
        assert callable(public), name
        assert public.__doc__, name
    with pytest.raises(AttributeError):
        structinit_core.nonsense  # noqa: B018
