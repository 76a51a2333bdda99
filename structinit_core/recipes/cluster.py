"""``cooc --cluster``: the count of one machine, made by many."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from structinit_core.artifact import (
    Input,
    Recipe,
    file_input,
    is_up_to_date,
    locked,
    refuse_foreign,
    refuse_overlap,
    scratch,
    staged,
)
from structinit_core.cooc import COUNTS_KIND, Part, open_part
from structinit_core.corpus import serialise
from structinit_core.errors import InputError, UsageError
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import DEFAULT_MEMORY, count_corpus, refuse_uncounted
from structinit_core.recipes.merging import counts_in, merge_counts
from structinit_core.recipes.record import Recorder
from structinit_core.recipes.tokenizing import make_tokenizer
from structinit_core.recipes.workers import Workers, connected

SHARDS_PER_WORKER = 2
"""A worker that is lost, or slower than the others, costs half of its work at most."""
_PARTS_AT_ONCE = 8
_ALONE = threading.Lock()
"""A worker process counts one shard at a time: the kernels use its threads, and numba's own
thread pool cannot be entered twice."""


def count_on_cluster(
    source: CountSource,
    output: Path,
    *,
    cluster: str,
    shards: int | None = None,
    memory_bytes: int = DEFAULT_MEMORY,
    force: bool = False,
    progress: Progress | None = None,
) -> bool:
    """Publish the counts of ``source`` at ``output``; ``False`` if it was up to date already.

    The artifact is the one that :func:`count_corpus` publishes, ``manifest.json`` included.
    ``cluster`` is the address of a Dask scheduler, or ``local:N`` for N processes here. The
    workers count ``shards`` of the text (default: two a worker) and merge them, eight at a
    time. Text, tokenizer and the place of ``output`` must lie in a file system that all
    workers share, under the same paths; parts lie beside ``output`` until it is published. A
    vocabulary to train is trained here first. Workers may come, go and die: what they were at
    is done again. Dask sends pickles: only connect to a scheduler you trust, see
    :func:`~structinit_core.recipes.workers.connected`.
    Cost: that of :func:`count_corpus` over the workers; but every shard reads and hashes all
    the text, and the parts take up to twice the disk. Memory: about ``memory_bytes`` a worker
    process, which does one shard or merge at a time.

    Raises:
        UsageError: a share in place of the whole. InputError: as :func:`count_corpus`; a
            worker that does not see the files, or sees others. IncompatibleError: ``output``
            is not ours; a worker with another structinit. LimitError: memory or disk; workers
            that die again and again. MissingError: no Dask, or no cluster.
            LockedError: another run writes there.
    """
    record = Recorder(progress or Silent())
    if source.shard is not None:
        raise UsageError("a cluster counts all shards of a text, not one of them")
    if shards is not None and shards < 1:
        raise UsageError(f"the number of shards must be 1 or more, not {shards}")
    refuse_overlap(output, source.paths())
    with locked(output):
        refuse_foreign(output, COUNTS_KIND, force)
        record.stage("hashing inputs")
        recipe = source.recipe()
        if is_up_to_date(output, recipe):
            return False
        with staged(output, recipe) as work, scratch(output.absolute()) as temporary:
            record.stage("connecting to the cluster")
            with connected(cluster, temporary) as workers, _vanishing(temporary) as folder:
                workers.refuse_unlike(source.paths(), folder)
                shared, inputs = _share(source, recipe, temporary, record)
                shards = shards or SHARDS_PER_WORKER * len(workers)
                parts = [replace(shared, shard=(shard, shards)) for shard in range(shards)]
                total = open_part(
                    _count(workers, parts, folder, memory_bytes, source.min_count, record)
                )
                _refuse_other(total, parts, inputs)
                for name in total.manifest.files:
                    (total.directory / name).rename(work / name)
            record.write(work)
    return True


def _share(
    source: CountSource, recipe: Recipe, directory: Path, record: Recorder
) -> tuple[CountSource, tuple[Input, ...]]:
    """``source`` as every worker can read it, and its inputs."""
    texts = [path.absolute() for path in source.texts]
    shared = replace(source, texts=texts, min_count=1)
    if source.tokenizer is not None:
        return replace(shared, tokenizer=source.tokenizer.absolute()), recipe.inputs
    path = directory / "tokenizer.json"
    path.write_text(serialise(make_tokenizer(source, record)), encoding="utf-8")
    shared = replace(shared, tokenizer=path, train_vocabulary=None)
    return shared, (*recipe.inputs, file_input(path))


def _count(
    workers: Workers,
    shards: Sequence[CountSource],
    folder: Path,
    memory_bytes: int,
    min_count: int,
    record: Recorder,
) -> Path:
    """The directory of the counts of all ``shards`` together."""
    record.stage("counting shards", len(shards))
    parts = []
    for part in workers.results(_count_shard, [(s, folder, memory_bytes) for s in shards]):
        parts.append(part)
        record.advance()
    counted = sum(open_part(part).facts.counted_tokens for part in parts)
    refuse_uncounted(counted)
    record.worked_on(counted)
    record.stage("merging")
    while len(parts) > 1 or min_count > 1:
        groups = -(-len(parts) // _PARTS_AT_ONCE)
        least = min_count if groups == 1 else 1
        calls = [(parts[group::groups], folder, memory_bytes, least) for group in range(groups)]
        merged = []
        for part in workers.results(_merge, calls):
            merged.append(part)
            record.advance()
        for part in parts:
            shutil.rmtree(part.parent, ignore_errors=True)
        parts = merged
        if groups == 1:
            break
    return parts[0]


def _count_shard(source: CountSource, folder: Path, memory_bytes: int) -> Path:
    """What a worker does with a shard; counts in a directory of their own in ``folder``."""
    with _ALONE:
        part = _own_directory(folder)
        count_corpus(source, part, memory_bytes=memory_bytes, progress=_WhileWanted(folder))
        return part


def _merge(parts: Sequence[Path], folder: Path, memory_bytes: int, min_count: int) -> Path:
    """What a worker does with some parts; their sum in a directory of its own in ``folder``."""
    with _ALONE:
        part = _own_directory(folder)
        merge_counts(
            parts,
            part,
            memory_bytes=memory_bytes,
            min_count=min_count,
            progress=_WhileWanted(folder),
        )
        return part


def _own_directory(folder: Path) -> Path:
    """A new place for counts.

    Each attempt at a piece of work has its own: Dask begins a second one when it believes a
    worker lost, and that worker may still be at the first.
    """
    return Path(tempfile.mkdtemp(dir=folder)) / "counts"


class _WhileWanted(Silent):
    """Progress of work that ends with its folder: a worker cannot be interrupted otherwise."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stage(self, name: str, total: int | None = None) -> None:
        """End the work if it is no longer wanted."""
        super().stage(name, total)
        self._end_if_unwanted()

    def advance(self, steps: int = 1) -> None:
        """End the work if it is no longer wanted."""
        super().advance(steps)
        self._end_if_unwanted()

    def _end_if_unwanted(self) -> None:
        if not self._folder.exists():
            # the run that asked has ended, so this is mostly said to nobody
            raise InputError("was removed during the run", where=str(self._folder))


@contextmanager
def _vanishing(directory: Path) -> Iterator[Path]:
    """A folder in ``directory`` that is gone in one step, so that no worker adds to it then."""
    folder = directory / "parts"
    folder.mkdir()
    try:
        yield folder
    finally:
        folder.rename(directory / "ended")


def _refuse_other(total: Part, shards: Sequence[CountSource], inputs: tuple[Input, ...]) -> None:
    """Refuse a sum of anything but each shard once, of the files that were hashed here."""
    asked = {shard.recipe(inputs).key for shard in shards}
    if {count.sha256 for count in counts_in(total)} != asked:
        raise InputError("a text or the tokenizer has changed, or a worker sees another one")
