"""The compute-matched protocol of seed 002."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from structinit_core.corpus import Border
from structinit_core.errors import IncompatibleError, InputError, LimitError, UsageError
from structinit_core.initializers.paired_views import PairedViewsConfig, empty_encoder
from structinit_core.race import RaceResult
from structinit_core.race.paired_views import (
    PairedViewsProtocol,
    PairedViewsRace,
    race_paired_views,
)
from structinit_core.race.paired_views.job import ARMS, BACKPROP, CE_HEAD, FINE_TUNE, RANDOM
from structinit_core.race.paired_views.networks import (
    ScratchNetwork,
    SpectralNetwork,
    random_blocks,
)
from structinit_core.race.paired_views.training import Batches

RESULT = Path(__file__).parents[2] / "fixtures/results/paired-views/race.json"
CPU = torch.device("cpu")
CONFIG = PairedViewsConfig(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=3,
    landmarks=4,
    max_position_embeddings=8,
)


@pytest.fixture(scope="module")
def job(book: Path, counts_path: Path, tmp_path_factory: pytest.TempPathFactory) -> PairedViewsRace:
    config = tmp_path_factory.mktemp("config") / "sizes.json"
    sizes = CONFIG.model_dump(mode="json") | {"vocab_size": 512, "num_hidden_layers": 2}
    config.write_text(json.dumps(sizes))
    return PairedViewsRace(
        corpus=[book],
        valid=[Path(book).with_name("frankenstein.txt.gz")],
        config=config,
        protocol=PairedViewsProtocol(
            windows=256,
            valid_windows=128,
            epochs=2,
            batch=32,
            head_batch=64,
            head_epochs=2,
            seeds=2,
        ),
        tokenizer=counts_path / "tokenizer.json",
        border=Border.FILE,
    )


@pytest.fixture(scope="module")
def output(job: PairedViewsRace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("race") / "out"
    assert race_paired_views(job, made)
    return made


def result_of(directory: Path) -> RaceResult:
    return RaceResult.model_validate_json((directory / "race.json").read_text(encoding="utf-8"))


def test_every_arm_has_its_curve_over_its_own_budget(output: Path) -> None:
    result = result_of(output)
    assert result.complete
    assert [arm.name for arm in result.arms] == list(ARMS)
    for arm in result.arms:
        assert arm.status == "finished"
        assert arm.curve is not None
        assert {0, 10, 50, 100, 250, 500, 1000} <= set(arm.curve.steps)
        assert (arm.start_seconds or 0) > 0 or arm.name in (BACKPROP, RANDOM)
    spent = result.protocol["multiply_adds"]
    for arm in (FINE_TUNE, RANDOM):
        one_step = spent[RANDOM] / result.protocol["steps"][RANDOM]
        assert 0 <= spent[BACKPROP] - spent[arm] <= one_step
    assert result.references is not None
    assert result.references.tokens == 128
    assert any("after equally many steps" in note for note in result.notes)
    page = (output / "race.html").read_text(encoding="utf-8")
    assert "A step is here a thousandth of the arm" in page
    assert "learning rate chosen" not in page


def test_finished_runs_are_kept_and_a_seed_more_adds_to_them(
    job: PairedViewsRace, output: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (output / "runs").iterdir()}
    assert not race_paired_views(job, output)
    more = replace(job, protocol=job.protocol.model_copy(update={"seeds": 3}))
    assert race_paired_views(more, output)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list((output / "runs").iterdir())) == len(before) + len(ARMS)


def test_the_same_race_has_the_same_losses(
    job: PairedViewsRace, output: Path, tmp_path: Path
) -> None:
    one = replace(job, protocol=job.protocol.model_copy(update={"seeds": 1}))
    race_paired_views(one, tmp_path / "again")
    for old, new in zip(result_of(output).arms, result_of(tmp_path / "again").arms, strict=True):
        assert old.curve is not None
        assert new.curve is not None
        assert new.curve.runs[0] == old.curve.runs[0]


def test_the_trainable_copy_is_the_encoder_and_its_last_block_is_dead() -> None:
    encoder = random_blocks(empty_encoder(CONFIG, 0, CPU), 0)
    network = SpectralNetwork(encoder, 0)
    ids = torch.randint(0, 40, (5, 8))
    features = encoder.features(ids)
    weights = [head.weight for head in network.heads]
    expected = features[0] @ weights[0].T
    found = network(ids)
    torch.testing.assert_close(found[0], expected)
    for depth in (1, 2):
        expected = expected + features[depth] @ weights[depth].T
        torch.testing.assert_close(found[depth], expected)
    network.losses(ids, torch.randint(0, 40, (5,))).backward()
    alive = [
        all(part.grad is not None and part.grad.abs().max() > 0 for part in block.values())
        for block in network.blocks
    ]
    assert alive == [True, True, False]


def test_the_token_vectors_are_trained_in_no_arm() -> None:
    encoder = random_blocks(empty_encoder(CONFIG, 0, CPU), 0)
    for network in (ScratchNetwork(encoder, 4, 32, 0), SpectralNetwork(encoder, 0)):
        trained = {id(part) for part in network.parameters()}
        assert id(network.embedding) not in trained
        assert all(part.shape != encoder.embedding.shape for part in network.parameters())


def test_starts_are_of_their_seed_and_leave_torch_s_own_draws_alone() -> None:
    encoder = empty_encoder(CONFIG, 0, CPU)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    first, again, other = (ScratchNetwork(encoder, 4, 32, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    ids = torch.randint(0, 40, (2, 8))
    assert torch.equal(first(ids)[-1], again(ids)[-1])
    assert not torch.equal(first(ids)[-1], other(ids)[-1])


def test_an_epoch_takes_every_window_once() -> None:
    batches, other = Batches(10, 4, 1), Batches(10, 4, 2)
    first = [batches.take(step) for step in range(3)]
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(np.concatenate(first).tolist()) == list(range(10))
    assert batches.take(3).tolist() != first[0].tolist()
    assert other.take(0).tolist() != first[0].tolist()


def test_refusals(job: PairedViewsRace, tiny_config: Path, tmp_path: Path) -> None:
    output = tmp_path / "race"
    with pytest.raises(IncompatibleError, match="'gpt2' is not"):
        race_paired_views(replace(job, config=tiny_config), output)
    with pytest.raises(InputError, match="is not there"):
        race_paired_views(replace(job, valid=[tmp_path / "none"]), output)
    with pytest.raises(LimitError, match="training step"):
        race_paired_views(replace(job, memory_bytes=1 << 20), output)
    odd = job.protocol.model_copy(update={"heads": 3})
    with pytest.raises(UsageError, match="3 heads do not divide"):
        race_paired_views(replace(job, protocol=odd), output)
    assert not output.exists()
    output.mkdir()
    (output / "protocol.json").write_text('{"schema": "structinit/race-protocol/1"}')
    with pytest.raises(IncompatibleError, match="is not a race"):
        race_paired_views(job, output)


def test_the_checked_in_result_is_the_preset_s() -> None:
    """At wikitext-2 and three seeds: no arm comes near the unigram, and the notes say so."""
    result = RaceResult.model_validate_json(RESULT.read_text(encoding="utf-8"))
    assert result.complete
    settings = PairedViewsProtocol().model_dump(mode="json")
    assert {name: result.protocol[name] for name in settings} == settings
    assert [arm.name for arm in result.arms] == list(ARMS)
    assert result.references is not None
    for arm in result.arms:
        assert len(arm.seeds) == 3
        assert arm.curve is not None
        assert arm.curve.mean[-1] > result.references.unigram
        assert math.isfinite(arm.curve.mean[-1])
    (head,) = [arm for arm in result.arms if arm.name == CE_HEAD]
    assert head.final_difference is not None
    assert head.final_difference.low is not None
    assert head.final_difference.low > 0
