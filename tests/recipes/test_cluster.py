"""Counts made on a cluster: the artifact of one machine, whatever happens to the workers."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

from structinit_core.corpus import Border
from structinit_core.errors import IncompatibleError, InputError, LimitError
from structinit_core.progress import Silent
from structinit_core.recipes.cluster import count_on_cluster
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Two workers of two threads, which are started again when they die."""
    with (
        pytest.MonkeyPatch.context() as patch,
        # a worker that dies again so long after it died once would not be started again
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1000 days"}),
    ):
        patch.syspath_prepend(ROOT)  # workers import from here what they are told to do
        with LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            memory_limit=0,
            silence_logs=100,
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as cluster:
            yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    """To the cluster, whose workers are all there."""
    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.fixture
def source(text: Path, counts_path: Path) -> CountSource:
    """Some pages line by line."""
    return CountSource(
        [text], counts_path / "tokenizer.json", offsets=2, holdout=0.1, border=Border.LINE
    )


def content(directory: Path) -> dict[str, bytes]:
    """Every file that two equal runs have in common, the manifest too."""
    return {p.name: p.read_bytes() for p in directory.iterdir() if p.name != "run.json"}


def beside(output: Path) -> list[str]:
    """What a run left beside its output, but for the lock."""
    return [p.name for p in output.parent.iterdir() if p.name.startswith(f".{output.name}.tmp")]


def assert_as_on_one_machine(source: CountSource, output: Path) -> None:
    whole = output.with_name("whole")
    count_corpus(source, whole)
    assert content(output) == content(whole)
    assert beside(output) == []


def die(path: Path) -> None:
    """What a worker is made to do in the middle of its work."""
    path.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def freeze(path: Path) -> None:
    """Stand still with everything held, until the test lets it go on."""
    path.write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)


def spoil(function: str, event: Callable[[Path], None], path: Path) -> None:
    """Let ``event`` happen to this worker, once, when ``function`` has written its files."""
    from structinit_core.recipes import counting, merging

    module: Any = counting if hasattr(counting, function) else merging
    real = getattr(module, function)

    def spoiled(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        setattr(module, function, real)
        event(path)

    setattr(module, function, spoiled)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def as_lines(text: Path, tmp_path: Path) -> dict[str, Any]:
    return {"border": Border.LINE}


def as_records(text: Path, tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "pages.jsonl"
    lines = [line for line in text.read_text().split("\n") if line]
    path.write_text("".join(json.dumps({"body": line}) + "\n" for line in lines))
    return {"texts": [path], "text_field": "body"}


def as_trained(text: Path, tmp_path: Path) -> dict[str, Any]:
    return {"border": Border.FILE, "tokenizer": None, "train_vocabulary": 300}


@pytest.mark.parametrize(
    ("form", "shards"), [(as_lines, 3), (as_records, 9), (as_trained, 4), (as_lines, 1)]
)
def test_the_artifact_is_that_of_one_machine(
    client: Client,
    cluster: LocalCluster,
    text: Path,
    counts_path: Path,
    tmp_path: Path,
    form: Callable[..., dict[str, Any]],
    shards: int,
) -> None:
    fields: dict[str, Any] = {"texts": [text], "tokenizer": counts_path / "tokenizer.json"}
    source = CountSource(**fields | form(text, tmp_path), offsets=2, holdout=0.1)
    where = {"cluster": cluster.scheduler_address, "shards": shards}
    output = tmp_path / "out"
    assert count_on_cluster(source, output, **where)
    assert_as_on_one_machine(source, output)
    assert not count_on_cluster(source, output, **where)
    assert not count_corpus(source, output)


@pytest.mark.parametrize("function", ["count_stream", "merge_parts"])
def test_workers_killed_in_the_middle_of_their_work(
    client: Client, cluster: LocalCluster, source: CountSource, tmp_path: Path, function: str
) -> None:
    died = tmp_path / "died"
    client.run(spoil, function, die, died)
    count_on_cluster(source, tmp_path / "out", cluster=cluster.scheduler_address, shards=3)
    assert died.exists()
    assert_as_on_one_machine(source, tmp_path / "out")


def test_work_that_kills_every_worker(
    client: Client,
    cluster: LocalCluster,
    source: CountSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    client.run(spoil, "count_stream", die, tmp_path / "died")
    with pytest.raises(LimitError, match="1 workers died of the same piece of work") as caught:
        count_on_cluster(source, tmp_path / "out", cluster=cluster.scheduler_address)
    assert "--memory" in str(caught.value.hint)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "died"]


def test_an_error_of_a_worker_is_that_of_one_machine(
    client: Client, cluster: LocalCluster, source: CountSource, tmp_path: Path
) -> None:
    (tmp_path / "bad.txt").write_bytes(b"fine\ncaf\xe9\n")
    bad = replace(source, texts=[*source.texts, tmp_path / "bad.txt"])
    errors = []
    for count in (count_corpus, partial(count_on_cluster, cluster=cluster.scheduler_address)):
        with pytest.raises(InputError) as caught:
            count(bad, tmp_path / "out")
        errors.append((str(caught.value), caught.value.hint))
    assert errors[0] == errors[1]
    assert errors[0][0].startswith(f"{tmp_path / 'bad.txt'}:2: invalid UTF-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "bad.txt"]


def test_nothing_left_to_count_is_refused_as_on_one_machine(
    client: Client, cluster: LocalCluster, source: CountSource, tmp_path: Path
) -> None:
    (tmp_path / "same.txt").write_text("one line\n" * 9)
    same = replace(source, texts=[tmp_path / "same.txt"], holdout=1 - 1e-12)
    with pytest.raises(InputError, match="no token is left to count"):
        count_on_cluster(same, tmp_path / "out", cluster=cluster.scheduler_address)
    assert not (tmp_path / "out").exists()


def test_a_text_that_changes_meanwhile(
    client: Client, cluster: LocalCluster, source: CountSource, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("one two three\n" * 9)

    class Changing(Silent):
        def stage(self, name: str, total: int | None = None) -> None:
            if name == "counting shards":
                text.write_text("one two four!\n" * 9)

    with pytest.raises(InputError, match="has changed"):
        count_on_cluster(
            replace(source, texts=[text]),
            tmp_path / "out",
            cluster=cluster.scheduler_address,
            progress=Changing(),
        )
    assert not (tmp_path / "out").exists()
    assert beside(tmp_path / "out") == []


def pretend(version: str | None) -> None:
    """Let this worker have another structinit, or its own again."""
    if version is None:
        importlib.reload(importlib.metadata)
    else:
        importlib.metadata.version = lambda name: version


def test_a_worker_with_another_version(
    client: Client, cluster: LocalCluster, source: CountSource, tmp_path: Path
) -> None:
    worker = next(iter(client.nthreads()))
    client.run(pretend, "0.0.1", workers=[worker])
    with pytest.raises(IncompatibleError, match=r"has structinit 0\.0\.1, this is") as caught:
        count_on_cluster(source, tmp_path / "out", cluster=cluster.scheduler_address)
    client.run(pretend, None)
    assert caught.value.where == f"worker {worker}"
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="no path of one process alone")
def test_workers_that_do_not_see_the_text(
    client: Client,
    cluster: LocalCluster,
    source: CountSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "text.txt").write_text("one two three\n")
    monkeypatch.chdir(mine)  # workers stand elsewhere
    hidden = replace(source, texts=[Path("/proc/self/cwd/text.txt")])
    with pytest.raises(InputError, match="is not there, or not the same, on worker") as caught:
        count_on_cluster(hidden, tmp_path / "out", cluster=cluster.scheduler_address)
    assert caught.value.where == "/proc/self/cwd/text.txt"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "mine"]


def test_a_worker_believed_lost_goes_on_beside_its_successor(
    client: Client, cluster: LocalCluster, source: CountSource, tmp_path: Path
) -> None:
    # the last test, since the cluster does without that worker from now on
    frozen, output = tmp_path / "frozen", tmp_path / "out"
    victim = next(iter(client.nthreads()))
    client.run(spoil, "count_stream", freeze, frozen, workers=[victim])

    def lose() -> None:
        wait_until(frozen.exists)
        try:
            client.run_on_scheduler(forget, worker=victim)
            wait_until(lambda: len(list(tmp_path.glob(".out.tmp-*/parts/*/counts"))) == 2)
        finally:
            os.kill(int(frozen.read_text()), signal.SIGCONT)

    other = threading.Thread(target=lose)
    other.start()
    count_on_cluster(source, output, cluster=cluster.scheduler_address, shards=2)
    other.join()
    assert_as_on_one_machine(source, output)


async def forget(dask_scheduler: Any, worker: str) -> None:
    """What a scheduler does when it has not heard of a worker for long."""
    await dask_scheduler.remove_worker(worker, stimulus_id="test", close=False)
