from __future__ import annotations

from pathlib import Path

import pytest

from structinit_core.errors import IncompatibleError
from structinit_core.race.record import Point, RunRecord
from structinit_core.race.store import RunStore, run_key


def record(key: str) -> RunRecord:
    return RunRecord(
        key=key,
        source="default",
        purpose="evidence",
        learning_rate=1e-3,
        warmup=0.05,
        seed=1,
        steps=2,
        curve=(Point(step=0, loss=2.0), Point(step=2, loss=1.5, training=1.75)),
        start_seconds=0.125,
        gradient_norms={"embed": 0.5},
    )


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    store, key = RunStore(tmp_path / "runs"), run_key({"a": 1})
    assert store.get(key) is None
    store.put(record(key))
    assert store.get(key) == record(key)
    assert [path.suffix for path in (tmp_path / "runs").iterdir()] == [".json"]


def test_keys_tell_every_value_apart() -> None:
    keys = {
        run_key(what)
        for what in (
            {"rate": 1e-3, "seed": 1},
            {"rate": 2e-3, "seed": 1},
            {"rate": 1e-3, "seed": 2},
            {"rate": 1e-3, "seed": "1"},
        )
    }
    assert len(keys) == 4
    assert run_key({"a": 1, "b": 2}) == run_key({"b": 2, "a": 1})


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": "structinit/race-run/2"}'])
def test_a_spoiled_run_is_named(tmp_path: Path, content: str) -> None:
    store, key = RunStore(tmp_path), run_key({})
    store.put(record(key))
    (path,) = tmp_path.iterdir()
    path.write_text(content)
    with pytest.raises(IncompatibleError) as caught:
        store.get(key)
    assert caught.value.where == str(path)
    assert caught.value.hint == "remove it"


def test_a_run_under_another_runs_name_is_refused(tmp_path: Path) -> None:
    store, mine, other = RunStore(tmp_path), run_key({"seed": 1}), run_key({"seed": 2})
    store.put(record(other))
    (path,) = tmp_path.iterdir()
    path.rename(tmp_path / f"{mine[:24]}.json")
    with pytest.raises(IncompatibleError, match="another run"):
        store.get(mine)


def test_a_run_that_diverged_has_no_finite_loss() -> None:
    whole = record("k")
    assert whole.final_loss == 1.5
    broken = whole.model_copy(update={"diverged_at": 1})
    assert broken.final_loss == float("inf")
