"""The peak memory of a run is its own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np


def test_a_large_parent_does_not_show() -> None:
    ballast = np.ones(600 << 20, np.uint8)
    code = "from structinit_core.recipes.record import peak_memory_bytes as p; print(p())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert ballast[-1] == 1
    assert 1 << 20 < int(done.stdout) < 600 << 20
