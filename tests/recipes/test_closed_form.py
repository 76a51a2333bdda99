"""The main job from text to a published checkpoint, on a real book."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from structinit_core.artifact import file_digest, read_manifest
from structinit_core.diagnose import Report
from structinit_core.errors import IncompatibleError, LimitError, NumericalError, UsageError
from structinit_core.recipes.compile_job import ClosedFormJob
from structinit_core.recipes.compiling import closed_form
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.solve_plan import plan

FILES = {
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
    "report.json",
    "manifest.json",
    "run.json",
}


def one_shot(book: Path, config: Path, **changes: object) -> ClosedFormJob:
    """The bigram alone, unless other stages are asked for: test_offsets has those."""
    source = CountSource([book], train_vocabulary=512, holdout=0.1)
    return ClosedFormJob(config, source, **({"stages": ("bigram",)} | changes))


def read_report(directory: Path) -> Report:
    return Report.model_validate_json((directory / "report.json").read_text())


@pytest.fixture(scope="module")
def checkpoint(book: Path, tiny_config: Path, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("checkpoint") / "out"
    assert closed_form(one_shot(book, tiny_config), output)
    return output


def test_the_directory_is_complete(checkpoint: Path) -> None:
    assert {path.name for path in checkpoint.iterdir()} == FILES


def test_the_manifest_has_the_hash_of_every_file(checkpoint: Path) -> None:
    manifest = read_manifest(checkpoint)
    assert manifest is not None
    for name, entry in manifest.files.items():
        assert entry.sha256 == file_digest(checkpoint / name), name


def test_the_law_offline_loss_is_the_forward_loss(checkpoint: Path) -> None:
    report = read_report(checkpoint)
    assert report.value("loss.model") == pytest.approx(report.value("loss.offline"), abs=1e-3)
    assert report.value("law.offline_minus_model") < 1e-3


def test_the_start_is_at_the_bigram(checkpoint: Path) -> None:
    report = read_report(checkpoint)
    assert report.value("gap.kn2") < 0.20
    assert report.value("gap.unigram") < -0.5
    assert report.value("loss.kn3") < report.value("loss.kn2") < report.value("loss.unigram")


def test_the_refit_is_worth_its_place(checkpoint: Path) -> None:
    report = read_report(checkpoint)
    svd = report.value("stage.svd")
    assert report.value("stage.table_refit_first_order") < svd - 0.1


def test_same_inputs_same_bytes(
    checkpoint: Path, book: Path, tiny_config: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    closed_form(one_shot(book, tiny_config), again)
    for name in FILES - {"run.json"}:
        assert (again / name).read_bytes() == (checkpoint / name).read_bytes(), name


def test_staged_and_one_shot_write_the_same_model(
    checkpoint: Path, counts_path: Path, tiny_config: Path, tmp_path: Path
) -> None:
    job = ClosedFormJob(tiny_config, counts=counts_path, stages=("bigram",))
    closed_form(job, tmp_path / "out")
    for name in ("model.safetensors", "config.json", "tokenizer.json", "report.json"):
        assert (tmp_path / "out" / name).read_bytes() == (checkpoint / name).read_bytes(), name


def test_a_second_run_does_nothing(checkpoint: Path, book: Path, tiny_config: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in checkpoint.iterdir()}
    assert not closed_form(one_shot(book, tiny_config), checkpoint)
    assert before == {path: path.stat().st_mtime_ns for path in checkpoint.iterdir()}


def test_another_seed_replaces_the_output_and_keeps_the_loss(
    checkpoint: Path, book: Path, tiny_config: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    closed_form(one_shot(book, tiny_config), output)
    assert closed_form(one_shot(book, tiny_config, seed=1), output)
    old, new = (load_file(d / "model.safetensors") for d in (checkpoint, output))
    assert not torch.equal(old["transformer.wte.weight"], new["transformer.wte.weight"])
    one, other = (read_report(d).value("loss.model") for d in (checkpoint, output))
    assert one == pytest.approx(other, abs=0.02)
    assert [path.name for path in tmp_path.iterdir() if ".tmp-" in path.name] == []


def test_padding_rows_change_no_prediction(checkpoint: Path, book: Path, tmp_path, make_config):
    closed_form(one_shot(book, make_config(vocab_size=520)), tmp_path / "out")
    report = read_report(tmp_path / "out")
    assert report.value("padding_rows") == 8
    assert report.value("law.offline_minus_model") < 1e-3
    loss = read_report(checkpoint).value("loss.model")
    assert report.value("loss.model") == pytest.approx(loss, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"tie_word_embeddings": True, "n_inner": 64}, "feed-forward units"),
        ({"tie_word_embeddings": None}, "tie_word_embeddings"),
        ({"model_type": "bert"}, "'bert' is not supported"),
        ({"n_embd": 8, "n_head": 2}, "too small"),
        ({"vocab_size": 300}, "512 tokens, the config only vocab_size 300"),
    ],
    ids=["tied", "tie-null", "family", "width", "vocabulary"],
)
def test_unsupported_models_are_refused_with_the_reason(
    book: Path, tmp_path: Path, make_config, changes: dict[str, object], complaint: str
) -> None:
    with pytest.raises(IncompatibleError, match=complaint):
        closed_form(one_shot(book, make_config(**changes)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_tie_field_means_tied_as_in_transformers(book, tmp_path, tiny_config) -> None:
    config = json.loads(tiny_config.read_text())
    untied = plan(one_shot(book, tiny_config))
    del config["tie_word_embeddings"]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    tied = plan(one_shot(book, path))
    assert untied.parameters - tied.parameters == 512 * 64
    assert tied.prediction_rank < untied.prediction_rank


def test_memory_is_a_bound(book: Path, make_config, tmp_path: Path) -> None:
    job = one_shot(book, make_config(vocab_size=1 << 20, n_embd=1024), memory_bytes=1 << 30)
    with pytest.raises(LimitError, match="MiB"):
        closed_form(job, tmp_path / "out")


def test_the_plan_knows_what_the_offsets_take(
    book: Path, counts_path: Path, tiny_config: Path, tmp_path: Path
) -> None:
    job = ClosedFormJob(tiny_config, counts=counts_path)
    known, guessed = plan(job), plan(one_shot(book, tiny_config, stages=job.stages))
    needed = known.solve_bytes + known.stage_bytes["offsets"]
    assert known.fits
    assert guessed.stage_bytes["offsets"] > known.stage_bytes["offsets"] > 1 << 20
    assert plan(one_shot(book, tiny_config)).stage_bytes == {}
    assert plan(replace(job, memory_bytes=needed)).fits
    tight = replace(job, memory_bytes=needed - 1)
    assert not plan(tight).fits
    with pytest.raises(LimitError, match="the offsets need about"):
        closed_form(tight, tmp_path / "out")


def test_large_vocabularies_cost_in_proportion(book: Path, make_config) -> None:
    small, double, large, twice = (
        plan(one_shot(book, make_config(vocab_size=v))).refit_multiply_adds
        for v in (8192, 16_384, 65_536, 131_072)
    )
    assert double == 4 * small
    assert twice == 2 * large


def test_text_and_counts_exclude_each_other(book: Path, tiny_config: Path) -> None:
    with pytest.raises(UsageError):
        ClosedFormJob(tiny_config)
    with pytest.raises(UsageError):
        ClosedFormJob(tiny_config, CountSource([book], train_vocabulary=300), Path("counts"))


def test_many_padding_rows_take_no_mass(book: Path, tmp_path: Path, make_config) -> None:
    closed_form(one_shot(book, make_config(vocab_size=20_000)), tmp_path / "out")
    assert read_report(tmp_path / "out").value("law.offline_minus_model") < 2e-4


def test_a_table_of_small_rank_does_not_explode(tmp_path: Path, make_config) -> None:
    text = tmp_path / "hello.txt"
    text.write_text("hello world\n\nhello there\n\nhello you\n\nhello world and you\n")
    source = CountSource([text], train_vocabulary=300)
    config = make_config(vocab_size=300, n_embd=32, n_head=2)
    closed_form(ClosedFormJob(config, source), tmp_path / "out")
    report = read_report(tmp_path / "out")
    assert report.value("loss.model") < report.value("loss.uniform")


def test_a_network_that_is_not_its_predictor_is_never_published(
    book: Path, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from structinit_core.initializers import fill as module

    monkeypatch.setattr(module, "_LOGIT_NOISE", 10.0)
    with pytest.raises(NumericalError, match="its predictor"):
        closed_form(one_shot(book, tiny_config), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_never_overwrites_an_input_or_another_kind(
    counts_path: Path, tiny_config: Path, book: Path
) -> None:
    before = sorted(path.name for path in counts_path.iterdir())
    job = ClosedFormJob(tiny_config, counts=counts_path)
    for output in (counts_path, counts_path / "inside", counts_path.parent):
        with pytest.raises(UsageError, match="overlap"):
            closed_form(job, output, force=True)
    with pytest.raises(IncompatibleError, match="holds counts"):
        closed_form(one_shot(book, tiny_config), counts_path)
    assert sorted(path.name for path in counts_path.iterdir()) == before


def test_a_text_too_short_to_hold_anything_out_still_compiles(tmp_path, make_config) -> None:
    text = tmp_path / "tiny.txt"
    text.write_text("to be or not to be\n")
    source = CountSource([text], train_vocabulary=257)
    closed_form(ClosedFormJob(make_config(vocab_size=257), source), tmp_path / "out")
    with pytest.raises(KeyError):
        read_report(tmp_path / "out").value("loss.model")
    assert "transformer.wte.weight" in load_file(tmp_path / "out" / "model.safetensors")


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table counts as too large to be taken whole."""
    from structinit_core.initializers.closed_form import solver

    monkeypatch.setattr(solver, "EXACT_VOCABULARY", 511)
    monkeypatch.setattr(solver, "SAMPLED_COLUMNS", 128)
    monkeypatch.setattr(solver, "SAMPLED_ROWS", 128)


def test_above_a_size_the_table_is_sampled_with_stated_error(
    checkpoint: Path, book: Path, tiny_config: Path, tmp_path: Path, sampled: None
) -> None:
    closed_form(one_shot(book, tiny_config), tmp_path / "out")
    exact, report = read_report(checkpoint), read_report(tmp_path / "out")
    gained = exact.value("stage.svd") - exact.value("loss.model")
    assert report.value("loss.model") < exact.value("stage.svd") - 0.8 * gained
    for name in ("columns", "rows"):
        assert report.value(f"sample.{name}") == 128
        assert 0.2 < report.value(f"sample.{name}_certain_mass") < 1
    for name in ("log_normalizer", "marginal"):
        assert 0 < report.value(f"sample.{name}_nats") < 0.05
    assert not any(check.name.startswith("sample.") for check in exact.checks)


def test_sampling_gives_the_same_bytes_for_the_same_seed(
    book: Path, tiny_config: Path, tmp_path: Path, sampled: None
) -> None:
    for name in "ab":
        closed_form(one_shot(book, tiny_config), tmp_path / name)
    for name in FILES - {"run.json"}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_sampled_table_without_held_out_text_judges_itself(
    book: Path, tmp_path: Path, make_config, sampled: None
) -> None:
    source = CountSource([book], train_vocabulary=512, holdout=0)
    job = ClosedFormJob(make_config(vocab_size=512), source)
    closed_form(job, tmp_path / "out")
    report = read_report(tmp_path / "out")
    assert report.value("stage.table_refit_first_order") < report.value("stage.svd") - 0.1


def unused_tokens(tokenizer: Path, vocabulary: int) -> dict[str, object]:
    """A tokenizer with many more tokens than any text gives it."""
    state: dict[str, object] = json.loads(tokenizer.read_text())
    known = state["model"]["vocab"]
    known |= {f"<unused {at}>": at for at in range(len(known), vocabulary)}
    return state


def test_twenty_thousand_tokens_of_which_few_are_seen(
    book: Path,
    counts_path: Path,
    make_config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from structinit_core.initializers.closed_form import solver

    monkeypatch.setattr(solver, "SAMPLED_COLUMNS", 256)
    monkeypatch.setattr(solver, "SAMPLED_ROWS", 256)
    state = unused_tokens(counts_path / "tokenizer.json", 20_000)
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    source = CountSource([book], tokenizer=tmp_path / "tokenizer.json", holdout=0.1)
    config = make_config(vocab_size=20_000)
    closed_form(ClosedFormJob(config, source), tmp_path / "out")
    report = read_report(tmp_path / "out")
    assert report.value("sample.columns") == 256
    assert report.value("gap.kn2") < 0.2
    assert report.value("law.offline_minus_model") < 1e-3
