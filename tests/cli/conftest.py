from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def initctl(tmp_path_factory: pytest.TempPathFactory):
    """Run ``initctl`` as a process in a directory of its own; stdout and stderr as text."""
    home = tmp_path_factory.mktemp("home")

    def run(*arguments: object, cwd: Path | None = None, stdin: bytes = b""):
        return subprocess.run(
            [sys.executable, "-m", "initctl", *map(str, arguments)],
            cwd=cwd or home,
            input=stdin,
            capture_output=True,
            env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
            timeout=300,
            check=False,
        )

    return run
