"""``cooc --merge``: counts artifacts to their published sum."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from structinit_core.artifact import (
    Input,
    Recipe,
    is_up_to_date,
    locked,
    refuse_foreign,
    refuse_overlap,
    staged,
)
from structinit_core.cooc import (
    COUNTS_KIND,
    COUNTS_VERSION,
    Part,
    merge_parts,
    open_part,
    read_pruned,
)
from structinit_core.errors import IncompatibleError, UsageError
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.counting import DEFAULT_MEMORY
from structinit_core.recipes.record import Recorder

_SHARED = {
    "offsets": "number of offsets",
    "holdout": "held-out share",
    "border": "document border",
    "seed": "seed",
}
"""Parameters that all parts have in common; the others may differ from text to text."""


def merge_counts(
    parts: Sequence[Path],
    output: Path,
    *,
    memory_bytes: int = DEFAULT_MEMORY,
    min_count: int = 1,
    force: bool = False,
    progress: Progress | None = None,
) -> bool:
    """Publish the exact sum of counts artifacts at ``output``; ``False`` if it is there already.

    All files but ``manifest.json`` and ``run.json`` are byte for byte those of one count of all
    the text, see :func:`structinit_core.cooc.merge_parts`; the manifest too is the same
    whatever the order of ``parts`` and whether some of them are merges themselves. Its
    parameters are what the parts share and ``merged``, the number of counts in the sum; its
    inputs are those counts, each by the key of its manifest. Entries of the sum below
    ``min_count`` are dropped. Cost: every part is read once and
    the sum written once; memory about ``memory_bytes``.

    Raises:
        UsageError: no part, or a file. IncompatibleError: parts that do not fit each other, or
        hold one count twice; a damaged part; ``output`` is not ours.
        LockedError: another run writes there. LimitError: memory or disk.
    """
    record = Recorder(progress or Silent())
    _refuse_text(parts)
    refuse_overlap(output, parts)
    with locked(output):
        refuse_foreign(output, COUNTS_KIND, force)
        record.stage("opening counts")
        opened = open_parts(parts)
        recipe = _recipe(opened, min_count)
        if is_up_to_date(output, recipe):
            return False
        with staged(output, recipe) as work:
            record.stage("merging", opened[0].facts.offsets + 1)
            merge_parts(
                opened, work, memory_bytes=memory_bytes, min_count=min_count, progress=record
            )
            record.write(work)
    return True


def loss_by_pruning(directory: Path) -> str:
    """What the pruned counts in ``directory`` lost, in one line."""
    pruned = read_pruned(directory)
    tables = pruned.tables.items() if pruned else ()
    return "dropped " + ", ".join(
        f"{loss.dropped_entries / max(1, loss.entries):.0%} of {name}'s entries "
        f"({loss.mass:.1%} of its mass)"
        for name, loss in tables
    )


def _recipe(parts: Sequence[Part], min_count: int) -> Recipe:
    """What decides the sum's bytes: the counts in it, in one order however they are given."""
    holders: dict[Input, Path] = {}
    for part in parts:
        for count in counts_in(part):
            if count in holders:
                raise IncompatibleError(
                    f"would be counted twice, {holders[count]} holds the same {count.name}",
                    where=str(part.directory),
                )
            holders[count] = part.directory
    inputs = sorted(holders, key=lambda count: (count.name, count.sha256))
    least = {"min_count": min_count} if min_count > 1 else {}
    params = {name: parts[0].manifest.recipe.params.get(name) for name in _SHARED}
    return Recipe(
        kind=COUNTS_KIND,
        version=COUNTS_VERSION,
        params=params | {"merged": len(inputs)} | least,
        inputs=tuple(inputs),
    )


def counts_in(part: Part) -> tuple[Input, ...]:
    """The counts a part was made from, of a merge; itself otherwise.

    Known by the key, not the content: two empty shards are alike and still not the same.
    """
    recipe = part.manifest.recipe
    if "merged" in recipe.params:
        return recipe.inputs
    shard = recipe.params.get("shard")
    name = "counts" if shard is None else f"shard {shard}"
    return (Input(name=name, sha256=part.manifest.key),)


def open_parts(parts: Sequence[Path]) -> list[Part]:
    """Counts that can be merged.

    Raises:
        UsageError: no part, or a file. IncompatibleError: no counts, pruned ones, or counts
        that do not fit each other.
    """
    _refuse_text(parts)
    opened = [open_part(path) for path in parts]
    for part in opened:
        _refuse_pruned(part)
        _refuse_other(part, opened[0])
    return opened


def _refuse_text(parts: Sequence[Path]) -> None:
    if not parts:
        raise UsageError("no counts to merge were given")
    for path in parts:
        if path.is_file():
            raise UsageError(
                f"{str(path)!r} is a file, and only counts are merged", hint="count it first"
            )


def _refuse_pruned(part: Part) -> None:
    if read_pruned(part.directory) is not None:
        raise IncompatibleError(
            "was pruned, and a sum of it would be wrong",
            where=str(part.directory),
            hint="merge counts without --min-count, and give it to the merge",
        )


def _refuse_other(part: Part, first: Part) -> None:
    where = str(part.directory)
    if part.tokenizer_digest != first.tokenizer_digest:
        raise IncompatibleError(
            f"was counted with another tokenizer than {first.directory}",
            where=where,
            hint=f"count it again with --tokenizer {first.directory / 'tokenizer.json'}",
        )
    ours, theirs = part.manifest.recipe.params, first.manifest.recipe.params
    for name, words in _SHARED.items():
        if ours.get(name) != theirs.get(name):
            raise IncompatibleError(
                f"has the {words} {ours.get(name)}, {first.directory} has {theirs.get(name)}",
                where=where,
            )
    for name in ("vocabulary", "offsets"):
        if getattr(part.facts, name) != getattr(first.facts, name):
            raise IncompatibleError(
                f"has another {name} than {first.directory}, against its own parameters",
                where=where,
            )
