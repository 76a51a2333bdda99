"""What is no cluster, or not one that can count here, is said in a line."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import LocalCluster

from structinit_core.errors import MissingError, UsageError
from structinit_core.recipes import workers
from structinit_core.recipes.cluster import count_on_cluster
from structinit_core.recipes.count_source import CountSource


@pytest.fixture
def source(text: Path, counts_path: Path) -> CountSource:
    return CountSource([text], counts_path / "tokenizer.json")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_PATIENCE", 1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """One worker, in this process."""
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        memory_limit=0,
        silence_logs=100,
    ) as cluster:
        yield cluster


@pytest.fixture
def web_server() -> Iterator[str]:
    """The address of something that answers, but not as Dask does: its own dashboard, say."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def refused(source: CountSource, tmp_path: Path, cluster: str) -> str:
    """How a run that finds no cluster ends; nothing is left of it."""
    with pytest.raises(MissingError) as caught:
        count_on_cluster(source, tmp_path / "out", cluster=cluster)
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "host", "http://host:80", ""])
def test_nobody_answers(source: CountSource, tmp_path: Path, impatient: None, address: str) -> None:
    said = refused(source, tmp_path, address)
    assert said.startswith(f"no Dask scheduler answers at {address}")


def test_another_server_answers(
    source: CountSource, tmp_path: Path, impatient: None, web_server: str
) -> None:
    assert refused(source, tmp_path, web_server).startswith("no Dask scheduler answers")


def test_a_worker_is_no_scheduler(
    source: CountSource, tmp_path: Path, impatient: None, cluster: LocalCluster
) -> None:
    assert "no Dask scheduler" in refused(source, tmp_path, cluster.workers[0].address)


def test_a_scheduler_without_workers(
    source: CountSource, tmp_path: Path, impatient: None, cluster: LocalCluster
) -> None:
    with LocalCluster(
        n_workers=0,
        processes=False,
        protocol="tcp://",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as empty:
        assert "has no workers" in refused(source, tmp_path, empty.scheduler_address)


def test_without_dask(source: CountSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    for cluster in ("local:2", "tcp://127.0.0.1:1"):
        assert "dask.distributed is not installed" in refused(source, tmp_path, cluster)


@pytest.mark.parametrize("cluster", ["local", "local:", "local:0", "local:-1", "local:two"])
def test_what_is_no_number_of_processes(source: CountSource, tmp_path: Path, cluster: str) -> None:
    with pytest.raises(UsageError, match="is not a cluster such as local:4"):
        count_on_cluster(source, tmp_path / "out", cluster=cluster)


def test_one_shard_has_no_shards(source: CountSource, tmp_path: Path) -> None:
    for change, shards in (({"shard": (0, 2)}, None), ({}, 0)):
        with pytest.raises(UsageError, match="shard"):
            count_on_cluster(
                replace(source, **change), tmp_path / "out", cluster="local:1", shards=shards
            )
