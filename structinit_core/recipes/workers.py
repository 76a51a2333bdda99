"""The workers of a Dask cluster; nothing else here knows Dask."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from structinit_core.errors import (
    IncompatibleError,
    InputError,
    LimitError,
    MissingError,
    UsageError,
)
from structinit_core.recipes.local_workers import local_workers

_PATIENCE = 10
"""Seconds that a scheduler has to answer, and workers to be there at all."""
_RESTART = 120
"""Seconds without a single worker, after which nobody will start one."""
_SMALLER = "give workers more memory, or take less with --memory"
_LOGGERS = ("distributed", "distributed.client", "tornado.application", "asyncio")


class Workers:
    """The worker processes of a cluster, as :func:`connected` gives them."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __len__(self) -> int:
        return len(self._client.nthreads())

    def refuse_unlike(self, files: Sequence[Path], folder: Path) -> None:
        """Refuse workers that do not see what this process sees, or run another structinit.

        Raises:
            IncompatibleError: another version, or none. InputError: one of ``files`` is not
            there or has another size, or ``folder`` cannot be written.
        """
        ours = version("structinit")
        for worker, theirs in self._client.run(version, "structinit", on_error="return").items():
            if theirs != ours:
                found = f"structinit {theirs}" if isinstance(theirs, str) else "no structinit"
                raise IncompatibleError(
                    f"has {found}, this is {ours}",
                    where=f"worker {worker}",
                    hint="install the same version on every worker",
                )
        sizes = {str(path): path.stat().st_size for path in files}
        for worker, path in self._client.run(_unseen, sizes, str(folder)).items():
            if path is not None:
                raise InputError(
                    f"is not there, or not the same, on worker {worker}",
                    where=path,
                    hint="keep text, tokenizer and output where all machines see them "
                    "under the same path",
                )

    def results(
        self, work: Callable[..., Path], calls: Iterable[tuple[Any, ...]]
    ) -> Iterator[Path]:
        """What ``work`` returns of each of ``calls``, as they end, in any order.

        A call is made again elsewhere when its worker dies; what it raises is raised here.

        Raises:
            LimitError: workers die of a call again and again, or none is left.
            MissingError: the scheduler is gone.
        """
        from distributed.scheduler import KilledWorker

        pending = {self._client.submit(work, *call, pure=False) for call in calls}
        try:
            while pending:
                ended = self._ended(pending)
                pending -= ended
                for future in ended:
                    yield future.result()
        except KilledWorker as error:
            raise LimitError(
                f"{error.allowed_failures + 1} workers died of the same piece of work",
                hint=_SMALLER,
            ) from error
        except CancelledError as error:
            raise MissingError("the connection to the cluster was lost") from error

    def _ended(self, pending: set[Any]) -> set[Any]:
        """Those of ``pending`` that have ended; none, while workers are there to end some."""
        from distributed import wait

        try:
            with self._client.as_current():
                ended: set[Any] = wait(pending, _PATIENCE, return_when="FIRST_COMPLETED").done
                return ended
        except TimeoutError:
            self._refuse_deserted()
            return set()

    def _refuse_deserted(self) -> None:
        if len(self):
            return
        try:
            self._client.wait_for_workers(1, timeout=_RESTART)
        except TimeoutError as error:
            raise LimitError(
                f"every worker is gone, and none came back in {_RESTART} s",
                hint=_SMALLER,
            ) from error


def _local_processes(cluster: str) -> int | None:
    """N of ``local:N``; ``None`` of a scheduler's address.

    Raises:
        UsageError: neither.
    """
    local = re.fullmatch(r"local:(\d{1,4})", cluster, re.ASCII)
    if (local and int(local[1]) == 0) or (cluster.startswith("local") and not local):
        raise UsageError(f"{cluster!r} is not a cluster such as local:4 or tcp://host:8786")
    return int(local[1]) if local else None


@contextmanager
def connected(cluster: str, scratch: Path) -> Iterator[Workers]:
    """The workers of ``cluster``, which is a scheduler's address or ``local:N``.

    ``local:N`` are N processes on this machine, which end with the block, see
    :func:`~structinit_core.recipes.local_workers.local_workers`; workers behind an address go
    on. Dask's log is silent meanwhile. Dask sends pickles, so a scheduler and all
    who can reach it can run code on its workers and here: it must be one to be trusted.

    Raises:
        UsageError: no address. MissingError: Dask is not installed; no scheduler or no worker
            answers.
    """
    processes = _local_processes(cluster)
    with _muted(), ExitStack() as stack:
        try:
            from distributed import Client

            if processes is None:
                _refuse_no_scheduler(cluster)
                address, security = cluster, None
            else:
                address, security = stack.enter_context(local_workers(processes, scratch))
            client = Client(address, security=security, timeout=_PATIENCE, set_as_default=False)
            stack.enter_context(client).wait_for_workers(1, timeout=_PATIENCE)
        except ImportError as error:
            raise MissingError(
                "dask.distributed is not installed", hint='pip install "structinit[cluster]"'
            ) from error
        except TimeoutError as error:
            raise MissingError(
                f"the cluster at {cluster} has no workers",
                hint=f"start some: dask worker {cluster}",
            ) from error
        yield Workers(client)


def _refuse_no_scheduler(address: str) -> None:
    """Ask whoever is there for its name; Dask's client itself hangs on what is no scheduler."""
    from distributed import Security, rpc

    async def kind() -> Any:
        arguments = Security().get_connection_args("client")
        async with asyncio.timeout(_PATIENCE), rpc(address, connection_args=arguments) as found:
            return (await found.identity())["type"]

    cause: Exception | None = None
    reason = ""
    try:
        with ThreadPoolExecutor(1) as thread:  # the caller's may have an event loop already
            if thread.submit(asyncio.run, kind()).result() == "Scheduler":
                return
    except (ValueError, TypeError) as error:  # not an address, or no keys for TLS
        cause, reason = error, f" ({error})"
    except Exception as error:  # of an HTTP server's answer, a MemoryError
        cause = error
    raise MissingError(
        f"no Dask scheduler answers at {address}{reason}",
        hint="give the address that dask scheduler prints, such as tcp://host:8786",
    ) from cause


def _unseen(sizes: dict[str, int], folder: str) -> str | None:
    """The first path that a worker does not see as the client does."""
    if not os.access(folder, os.W_OK):
        return folder
    for name, size in sizes.items():
        path = Path(name)
        if not (os.access(path, os.R_OK) and path.stat().st_size == size):
            return name
    return None


@contextmanager
def _muted() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
