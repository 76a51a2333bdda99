"""``run.json``: what differs between two equal runs, seconds and machine, kept apart."""

from __future__ import annotations

import json
import platform
import resource
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from structinit_core.artifact import pretty_json
from structinit_core.progress import Progress

_LIBRARIES = (
    "structinit",
    "numpy",
    "scipy",
    "numba",
    "torch",
    "transformers",
    "tokenizers",
    "onnx",
    "onnxruntime",
)
_STATUS = Path("/proc/self/status")


class Recorder:
    """A progress receiver that passes everything on and keeps the seconds of each stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._tokens: dict[str, int] = {}
        self._stage: str | None = None
        self._began = self._stage_began = time.perf_counter()

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage; the seconds of stages of one name add up."""
        self._close()
        self._stage = name
        self._progress.stage(name, total)

    def advance(self, steps: int = 1) -> None:
        """Pass the steps on."""
        self._progress.advance(steps)

    def warn(self, message: str) -> None:
        """Pass the warning on."""
        self._progress.warn(message)

    def worked_on(self, tokens: int) -> None:
        """Note how many tokens the current stage made or went through."""
        if self._stage is not None:
            self._tokens[self._stage] = self._tokens.get(self._stage, 0) + tokens

    def seconds(self) -> dict[str, float]:
        """Seconds by stage so far; the current stage is ended."""
        self._close()
        return dict(self._seconds)

    def write(self, directory: Path, compile_stages: dict[str, float] | None = None) -> None:
        """Write ``run.json``: seconds and rates by stage, time, host, memory, library versions."""
        seconds = self.seconds()
        record = {
            "schema": "structinit/run/1",
            "seconds": {name: round(spent, 3) for name, spent in seconds.items()},
            "tokens_per_second": {
                name: round(tokens / max(seconds[name], 1e-9))
                for name, tokens in self._tokens.items()
            },
            "bound_by": max(seconds, key=lambda name: seconds[name], default=None),
            "seconds_total": round(time.perf_counter() - self._began, 3),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "host": platform.node(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "peak_memory_bytes": peak_memory_bytes(),
            "versions": {name: _version(name) for name in _LIBRARIES},
        }
        if compile_stages:
            record["seconds_by_compile_stage"] = {
                name: round(spent, 3) for name, spent in compile_stages.items()
            }
        (directory / "run.json").write_text(pretty_json(record), encoding="utf-8")

    def _close(self) -> None:
        now = time.perf_counter()
        if self._stage is not None:
            spent = self._seconds.get(self._stage, 0.0)
            self._seconds[self._stage] = spent + now - self._stage_began
        self._stage, self._stage_began = None, now


def bound(directory: Path) -> str:
    """What took longest in the run that made ``directory``, in one line with stages and rates."""
    run = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    rates = run["tokens_per_second"]
    stages = [
        f"{name} {spent:.1f} s" + (f" ({rates[name]:,} tokens/s)" if name in rates else "")
        for name, spent in run["seconds"].items()
    ]
    return f"bound by {run['bound_by']}: {', '.join(stages)}"


def peak_memory_bytes() -> int:
    """The largest resident size of this process so far."""
    if _STATUS.is_file():  # on Linux ru_maxrss begins with what the parent held at the fork
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
