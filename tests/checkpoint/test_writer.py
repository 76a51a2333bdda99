"""Streamed tensors: what the official library reads back, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec
from structinit_core.checkpoint import read_tensors, write_checkpoint
from structinit_core.progress import Silent


class Counter(Silent):
    steps = 0

    def advance(self, steps: int = 1) -> None:
        self.steps += steps


def spec(name: str, *shape: int, tied_to: str | None = None) -> TensorSpec:
    return TensorSpec(name, (Role.EMBED,), Kind.WEIGHT, None, shape, tied_to=tied_to)


def stored(blueprint: Blueprint) -> list[TensorSpec]:
    return [spec for spec in blueprint.tensors if not spec.tied_to]


def values(spec: TensorSpec) -> Tensor:
    return torch.randn(spec.shape, generator=torch.Generator().manual_seed(len(spec.name)))


def stream(specs: list[TensorSpec]) -> Iterator[tuple[TensorSpec, Tensor]]:
    return ((spec, values(spec)) for spec in specs)


def write(path: Path, specs, tensors, dtype: torch.dtype = torch.float32) -> int:
    (written,) = write_checkpoint(path.parent, specs, tensors, Silent(), dtype=dtype)
    return written.stat().st_size


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_official_library_reads_the_same_values(make, path: Path, dtype) -> None:
    blueprint = make(tie_word_embeddings=False)
    size = write(path, blueprint.tensors, stream(list(blueprint.tensors)), dtype)
    assert size == path.stat().st_size
    read = load_file(path)
    assert set(read) == {spec.name for spec in blueprint.tensors}
    for spec in blueprint.tensors:
        assert read[spec.name].dtype == dtype
        assert torch.equal(read[spec.name], values(spec).to(dtype)), spec.name


def test_our_reader_gives_them_in_name_order(make, path: Path) -> None:
    blueprint = make()
    write(path, blueprint.tensors, stream(stored(blueprint)))
    names = [name for name, _ in read_tensors(path)]
    assert names == sorted(spec.name for spec in stored(blueprint))


def test_equal_tensors_give_equal_bytes(make, path: Path) -> None:
    blueprint = make()
    contents = []
    for _ in range(2):
        write(path, blueprint.tensors, stream(stored(blueprint)))
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_the_metadata_says_pt_and_nothing_else(make, path: Path) -> None:
    blueprint = make()
    write(path, blueprint.tensors, stream(stored(blueprint)))
    with safe_open(path, framework="pt") as handle:
        assert handle.metadata() == {"format": "pt"}


@pytest.mark.parametrize("length", range(1, 9))
def test_the_data_begins_at_a_multiple_of_eight(path: Path, length: int) -> None:
    one = spec("n" * length, 3)
    write(path, [one], [(one, torch.ones(3))])
    header = int.from_bytes(path.read_bytes()[:8], "little")
    assert (8 + header) % 8 == 0
    assert torch.equal(load_file(path)[one.name], torch.ones(3))


def test_tensors_lie_in_the_order_of_the_plan(make, path: Path) -> None:
    blueprint = make()
    write(path, blueprint.tensors, stream(stored(blueprint)))
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    starts = [header[spec.name]["data_offsets"][0] for spec in stored(blueprint)]
    assert starts == sorted(starts)


def test_a_tied_tensor_is_not_stored(make, path: Path) -> None:
    blueprint = make(tie_word_embeddings=True)
    write(path, blueprint.tensors, stream(stored(blueprint)))
    assert "lm_head.weight" not in load_file(path)


@pytest.mark.parametrize(
    "turn",
    [
        pytest.param(lambda x: x.t().contiguous().t(), id="strided"),
        pytest.param(lambda x: x.clone().requires_grad_(), id="with gradient"),
        pytest.param(lambda x: x.double(), id="double"),
        pytest.param(lambda x: torch.cat([x, x], 1)[:, :4], id="slice"),
    ],
)
def test_the_layout_in_memory_does_not_matter(path: Path, turn) -> None:
    one = spec("a", 3, 4)
    values = torch.arange(12.0).reshape(3, 4)
    write(path, [one], [(one, turn(values))])
    assert torch.equal(load_file(path)["a"], values)


def test_names_that_json_escapes_survive(path: Path) -> None:
    one = spec('ä"\\🙂', 1)
    write(path, [one], [(one, torch.ones(1))])
    assert list(load_file(path)) == [one.name]


A, B, HEAD = spec("a", 2), spec("b", 2), spec("head", 2, tied_to="a")


@pytest.mark.parametrize(
    ("came", "named"),
    [
        pytest.param([(B, 2), (A, 2)], "b", id="wrong order"),
        pytest.param([(A, 2)], "b", id="missing"),
        pytest.param([], "a", id="none"),
        pytest.param([(A, 2), (B, 2), (B, 2)], "b", id="extra"),
        pytest.param([(A, 2), (B, 2), (HEAD, 2)], "head", id="tied"),
        pytest.param([(A, 2), (B, 3)], "b", id="wrong shape"),
        pytest.param([(A, 2), (spec("b", 3), 3)], "b", id="another plan"),
    ],
)
def test_a_stream_that_leaves_the_plan_is_an_error(path: Path, came, named: str) -> None:
    tensors = [(spec, torch.zeros(size)) for spec, size in came]
    with pytest.raises(ValueError, match=f"^{named}: "):
        write(path, [A, B, HEAD], tensors)


def test_progress_counts_every_tensor(make, path: Path) -> None:
    blueprint, counter = make(), Counter()
    write_checkpoint(path.parent, blueprint.tensors, stream(stored(blueprint)), counter)
    assert counter.steps == len(stored(blueprint))


def test_shards_hold_everything_once_and_in_order(make, path: Path) -> None:
    specs = stored(make(tie_word_embeddings=False))
    files = write_checkpoint(path.parent, specs, stream(specs), Silent(), shard_bytes=700)
    *shards, index = files
    assert len(shards) > 1
    assert [file.name for file in shards] == sorted(file.name for file in shards)
    weight_map = json.loads(index.read_text())["weight_map"]
    found = [name for file in shards for name in load_file(file)]
    assert sorted(found) == sorted(weight_map) == sorted(spec.name for spec in specs)
    sizes = [file.stat().st_size for file in shards if len(load_file(file)) > 1]
    assert max(sizes) < 700 + 2048
    assert dict(read_tensors(path.parent)).keys() == weight_map.keys()
    total = json.loads(index.read_text())["metadata"]["total_size"]
    assert total == sum(spec.parameters for spec in specs) * 4
