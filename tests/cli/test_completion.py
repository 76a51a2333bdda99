"""Shell completion: what it offers, and that it costs no heavy import."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

HEAVY = ("numpy", "scipy", "numba", "torch", "transformers", "tokenizers", "pyarrow", "onnx")


def complete(*words: str) -> tuple[list[str], set[str]]:
    """Offers for the last word as bash asks for them, and the packages that were imported."""
    code = "import sys; sys.argv[0] = 'initctl'; from initctl.app import main; main()"
    asked = {
        "_INITCTL_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("initctl", *words)),
        "COMP_CWORD": str(len(words)),
    }
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = re.findall(r"\|\s+([\w.]+)$", run.stderr, re.MULTILINE)
    assert "initctl.app" in imported
    return run.stdout.split(), {name.partition(".")[0] for name in imported}


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (
            ("",),
            {"cooc", "closed-form", "dpi-init", "k0", "graph-compile", "query"}
            | {"diagnose", "race", "export"},
        ),
        (("c",), {"cooc", "closed-form"}),
        (("d",), {"diagnose", "dpi-init"}),
        (("dpi-init", "--lex"), {"--lexical"}),
        (("dpi-init", "--variant", ""), {"best", "pid8", "v14.1", "v16.2"}),
        (("diagnose", "--te"), {"--text", "--text-field"}),
        (("cooc", "--train"), {"--train-tokenizer"}),
        (("closed-form", "--documents", ""), {"blank", "title", "line", "file"}),
    ],
)
def test_offers_without_heavy_imports(words: tuple[str, ...], offers: set[str]) -> None:
    found, imported = complete(*words)
    assert set(found) == offers
    assert imported.isdisjoint(HEAVY)


def test_every_option_of_a_command_is_offered(initctl) -> None:
    help_text = initctl("closed-form", "--help").stdout.decode()
    known = re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)", help_text, re.MULTILINE)
    assert set(complete("closed-form", "--")[0]) == set(known)
