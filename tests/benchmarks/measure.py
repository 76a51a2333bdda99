"""What a process says and takes, measured by the one that waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """Stdout of a process, its wall, user and system seconds, and its peak memory in GiB."""

    output: str
    wall: float
    user: float
    system: float
    peak: float

    @property
    def cpu(self) -> float:
        """Processor seconds, user and system."""
        return self.user + self.system


def measured(command: Sequence[object]) -> Measured:
    """Run ``command`` to its end; where it fails the benchmark does."""
    words = [str(word) for word in command]
    began = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return Measured(output, wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss / 2**20)


def initctl(*arguments: object) -> Measured:
    """Run one ``initctl`` command."""
    return measured((sys.executable, "-m", "initctl", *arguments))
