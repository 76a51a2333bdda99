"""Dask workers on this machine, in a session of their own.

Run as a program by :func:`local_workers`. So a Ctrl-C in a terminal does not reach the workers,
they can be killed together, and the caller's own program is not run again to make them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from structinit_core.errors import MissingError

_KEYS = (
    "tls_ca_file",
    *(
        f"tls_{role}_{part}"
        for role in ("client", "scheduler", "worker")
        for part in ("cert", "key")
    ),
)
_ONE_THREAD = {"NUMBA_NUM_THREADS": 1, "RAYON_NUM_THREADS": 1}
"""Dask itself does so for OpenMP and BLAS."""


@contextmanager
def local_workers(processes: int, scratch: Path) -> Iterator[tuple[str, Any]]:
    """Address and credentials of a cluster of ``processes`` workers of one thread each.

    They talk by TLS with keys made for them, so that nobody else on the machine can use them;
    their own files lie in ``scratch``. They are killed at the end, and end when the caller dies.

    Raises:
        MissingError: they do not start. ImportError: no Dask, or nothing to make keys with.
    """
    from distributed import Security

    security = Security.temporary()
    orders = {"processes": processes, "scratch": str(scratch)}
    orders["keys"] = {name: getattr(security, name) for name in _KEYS}
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            with suppress(BrokenPipeError):
                server.stdin.write(json.dumps(orders) + "\n")
                server.stdin.flush()
            address = server.stdout.readline().strip()
            if not address:
                raise MissingError(f"Dask could not start {processes} workers here")
            yield address, security
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.stdout.read()  # ends when the last of them, which all hold it, is gone


def _serve() -> None:
    """Workers as ordered on stdin; their address goes to stdout. They end with stdin."""
    import dask
    from distributed import LocalCluster, Security

    orders = json.loads(sys.stdin.readline())
    # Dask would otherwise give up a worker that dies again this long after it died once
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1000 days"})
    dask.config.set({"temporary-directory": orders["scratch"]})
    cluster = LocalCluster(
        n_workers=orders["processes"],
        threads_per_worker=1,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        memory_limit=0,  # files mapped into memory would count
        security=Security(require_encryption=True, **orders["keys"]),
        env=_ONE_THREAD,
    )
    sys.stdout.write(f"{cluster.scheduler_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    _serve()
