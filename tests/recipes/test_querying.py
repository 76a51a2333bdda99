"""``query`` on a checkpoint whose weights are drawn: what it finds, shows and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from structinit_core.errors import (
    IncompatibleError,
    InputError,
    LimitError,
    NumericalError,
    StructinitError,
    UsageError,
)
from structinit_core.recipes.exporting import ExportFormat, ExportJob, export_checkpoint
from structinit_core.recipes.querying import Answer, QueryJob, query_graph


def ask(path: Path, *names: str, **more: object) -> Answer:
    return query_graph(QueryJob(path, *names, **more))


@pytest.fixture
def shares(graph_checkpoint: Path):
    """Probabilities after a text, by transformers alone."""
    tokenizer = AutoTokenizer.from_pretrained(graph_checkpoint)
    model = AutoModelForCausalLM.from_pretrained(graph_checkpoint).eval()

    def of(text: str) -> torch.Tensor:
        with torch.inference_mode():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0, -1]
        return torch.softmax(logits.double(), dim=0)

    return of


def test_objects_are_the_likeliest_particles(graph_checkpoint: Path, shares) -> None:
    answer = ask(graph_checkpoint, "dog", "is a", top=3)
    expected = shares("dog\tis a")
    best = expected[33:].argsort(descending=True)[:3] + 33
    assert [one.token for one in answer.particles] == best.tolist()
    for one in answer.particles:
        assert one.probability == pytest.approx(float(expected[one.token]), rel=1e-5)
    assert answer.relations == ()
    assert (answer.subject.id, answer.subject.label) == ("Q0", "dog")


def test_without_a_relation_relations_and_neighbours_come(graph_checkpoint: Path, shares) -> None:
    answer = ask(graph_checkpoint, "dog", top=100)
    expected = shares("dog")
    assert {one.id for one in answer.relations} == {"is a", "is a⁻¹", "has", "has⁻¹"}
    assert len(answer.particles) == 6
    for found in (answer.relations, answer.particles):
        order = [one.probability for one in found]
        assert order == sorted(order, reverse=True)
        for one in found:
            assert one.probability == pytest.approx(float(expected[one.token]), rel=1e-5)


def test_ids_labels_and_inverses_mean_the_same(graph_checkpoint: Path) -> None:
    by_label = ask(graph_checkpoint, "dog", "is a", inverse=True)
    assert by_label.relation is not None
    assert by_label.relation.id == "is a⁻¹"
    assert by_label == ask(graph_checkpoint, "Q0", "is a⁻¹")
    assert by_label == ask(graph_checkpoint, "Q0", "is a", inverse=True)
    assert by_label != ask(graph_checkpoint, "Q0", "is a")
    assert ask(graph_checkpoint, "bank (Q2)") == ask(graph_checkpoint, "Q2")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("dgo",), r"no particle is called 'dgo'"),
        (("bank",), r"no particle is called 'bank'"),
        (("is a",), "no particle is called 'is a'"),
        (("dog", "is not"), "no relation is called 'is not'"),
        (("dog", "dog"), "no relation is called 'dog'"),
        (("dog", "<|relation_5|>"), "no relation"),
        (("",), "no particle"),
        (("<|endoftext|>",), "no particle"),
        (("x" * 100_000,), "no particle is called 'xxx"),
        (("\x1b[2J",), "no particle"),
    ],
)
def test_unknown_names_are_named(graph_checkpoint: Path, names, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        ask(graph_checkpoint, *names)
    assert len(str(caught.value)) < 300
    assert "\n" not in f"{caught.value}{caught.value.hint}"


def test_hints_are_near(graph_checkpoint: Path) -> None:
    for asked, near in (("dgo", "'dog'"), ("bank", "'bank (Q1)', 'bank (Q2)'"), ("Q", "Q")):
        with pytest.raises(InputError) as caught:
            ask(graph_checkpoint, asked)
        assert near in (caught.value.hint or ""), asked
    with pytest.raises(InputError) as caught:
        ask(graph_checkpoint, "dog", "is")
    assert "'is a'" in (caught.value.hint or "")


def test_an_export_is_asked_as_its_source_is(graph_checkpoint: Path, tmp_path: Path) -> None:
    export_checkpoint(ExportJob(graph_checkpoint, ExportFormat.HF), tmp_path / "out")
    answer = ask(tmp_path / "out", "Q0", "is a")
    assert answer.subject.label == "dog"
    assert answer == ask(graph_checkpoint, "dog", "is a")


def test_an_inverse_needs_its_relation(graph_checkpoint: Path) -> None:
    with pytest.raises(UsageError):
        ask(graph_checkpoint, "dog", inverse=True)


def change(path: Path, **fields: object) -> None:
    config = json.loads((path / "config.json").read_text()) | fields
    (path / "config.json").write_text(json.dumps(config))


def spoil_weights(path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(path)
    model.lm_head.weight.data[36] = torch.nan
    model.save_pretrained(path)


def save_wider(path: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(path, vocab_size=50)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(path)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda path: (path / "tokenizer_config.json").write_text("{}"), IncompatibleError),
        (lambda path: (path / "tokenizer_config.json").unlink(), IncompatibleError),
        (lambda path: (path / "tokenizer.json").unlink(), InputError),
        (lambda path: (path / "ids" / "tokenizer.json").unlink(), InputError),
        (lambda path: (path / "model.safetensors").unlink(), IncompatibleError),
        (lambda path: (path / "config.json").unlink(), InputError),
        (lambda path: change(path, model_type="bert"), IncompatibleError),
        (save_wider, IncompatibleError),
        (spoil_weights, NumericalError),
    ],
)
def test_what_is_no_sound_graph_is_refused(graph_copy: Path, spoil, error) -> None:
    assert ask(graph_copy, "dog").subject.id == "Q0"
    spoil(graph_copy)
    with pytest.raises(error) as caught:
        ask(graph_copy, "dog")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_text_and_a_missing_one_are_refused(
    counts_path: Path, tmp_path: Path
) -> None:
    for path, code in ((counts_path, 4), (tmp_path / "none", 3), (counts_path / "counts.json", 3)):
        with pytest.raises(StructinitError) as caught:
            ask(path, "dog")
        assert caught.value.exit_code == code


def test_weights_beyond_the_memory_are_not_read(graph_checkpoint: Path) -> None:
    with pytest.raises(LimitError):
        ask(graph_checkpoint, "dog", memory_bytes=1000)
