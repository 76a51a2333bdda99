"""``race --preset paired-views``: the source's comparison, with the control that it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from structinit_core import __version__
from structinit_core.artifact import locked, pretty_json, publish_text, refuse_overlap
from structinit_core.corpus import TokenStream
from structinit_core.initializers.paired_views import draw_windows
from structinit_core.linalg import resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.race.outcome import publish_result
from structinit_core.race.paired_views.job import ARMS, BACKPROP, PairedViewsRace
from structinit_core.race.paired_views.outcome import references, result_of
from structinit_core.race.paired_views.runs import Bench, SeedRuns
from structinit_core.race.race import MARK, refuse_foreign_race
from structinit_core.race.record import RunRecord
from structinit_core.race.store import RunStore, run_key
from structinit_core.race.text import RaceText, prepare_text

_SCHEMA = "structinit/paired-views-protocol/1"


def race_paired_views(job: PairedViewsRace, output: Path, progress: Progress | None = None) -> bool:
    """Run the protocol into ``output``; ``False`` if the result was there already.

    ``output`` holds what :func:`structinit_core.race.race_starts` leaves there. A run that is
    there is not run again. Every arm has the same curve of thousandths of its own compute
    budget: by the source's proxy that is the same budget for ``backprop``, the fine-tuned
    closed form (its fit deducted) and the control that starts at random; the cross-entropy head
    has a length of its own. Every reference and every arm is scored on the token after each of
    the same held-out windows. Deterministic but for seconds, on one machine with fixed threads.

    Raises:
        IncompatibleError: a config of another kind, or an ``output`` that is no such race.
        InputError: unreadable text, or no document longer than a window. LimitError: memory.
    """
    progress = progress or Silent()
    threads = torch.get_num_threads()
    forecast = job.checked_config()
    wanted = job.compute(forecast, job.protocol.windows)
    device, reason = resolve_device(job.device, job.protocol.multiply_adds(BACKPROP, wanted))
    refuse_overlap(output, job.paths())
    with locked(output):
        refuse_foreign_race(output, _SCHEMA)
        output.mkdir(exist_ok=True)
        described = {
            "schema": _SCHEMA,
            "config": forecast.model_dump(mode="json"),
            "corpus": [path.name for path in job.corpus],
            "valid": [path.name for path in job.valid],
            "protocol": job.protocol.model_dump(mode="json"),
        }
        publish_text(output / MARK, pretty_json(described))
        context = forecast.max_position_embeddings
        text = prepare_text(
            job.source(),
            job.valid,
            output,
            progress,
            context=context,
            eval_tokens=context,
            memory_bytes=job.memory_bytes,
        )
        torch.set_num_threads(threads)  # counting changes the threads of the shared runtime
        config = job.checked_config(text.counts.vocabulary)
        seed = job.protocol.seed
        chosen, scored = (
            draw_windows(stream.ids, _spans(stream), config, most, seed, name)
            for stream, most, name in (
                (text.train, job.protocol.windows, "training"),
                (text.valid, job.protocol.valid_windows, "held-out"),
            )
        )
        compute = job.compute(config, len(chosen.starts))
        bench = Bench(config, job.protocol, compute, chosen, scored, device, progress)
        machine = {"device": str(device), "device_reason": reason, "threads": threads}
        return _run(job, bench, text, output, machine)


def _run(
    job: PairedViewsRace, bench: Bench, text: RaceText, output: Path, machine: Mapping[str, Any]
) -> bool:
    store, found = RunStore(output / "runs"), references(bench, text)
    records: dict[str, list[RunRecord]] = {arm: [] for arm in ARMS}
    shared = {
        "version": __version__,
        "config": bench.config.model_dump(mode="json"),
        "text": text.digest,
        "protocol": job.protocol.model_dump(mode="json", exclude={"seeds"}),
        "device": bench.device.type,
        "threads": machine["threads"],
    }
    complete = changed = False
    try:
        for seed in job.protocol.evidence_seeds:
            runs = SeedRuns(bench, seed)
            for arm in ARMS:
                key = run_key(shared | {"arm": arm, "seed": seed})
                record = store.get(key)
                if record is None:
                    record = runs.run(arm, key)
                    store.put(record)
                records[arm].append(record)
        complete = True
    finally:
        result = result_of(job, bench, text, found, records, machine, complete=complete)
        changed = publish_result(result, output, bench.progress)
    return changed


def _spans(stream: TokenStream) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.stack((stream.offsets[:-1], stream.offsets[1:]), axis=1)
