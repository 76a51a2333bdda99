"""A graph's tokenizers as transformers and this library read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from structinit_core.corpus import (
    TokenTexts,
    graph_tokenizer_json,
    read_graph_names,
    serialise,
    tokenizer,
    write_graph_tokenizers,
)
from structinit_core.errors import IncompatibleError, InputError

RELATIONS = ["is a", "part of"]
PARTICLES = ["Q1", "Q2", "Q3", "part of", "naïve 🙂", " spaced  out ", "a\tb"]
LABELS = ["dog", "bank", "bank", "", "", "", "tab"]
FIRST = 33


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    write_graph_tokenizers(tmp_path, RELATIONS, PARTICLES, LABELS, 32, 64)
    return tmp_path


def auto(path: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path)


def test_the_pieces_are_what_the_library_writes() -> None:
    text = "".join(graph_tokenizer_json(TokenTexts(RELATIONS, PARTICLES, LABELS, 32)))
    assert serialise(Tokenizer.from_str(text)) == text
    assert Tokenizer.from_str(text).get_vocab_size() == FIRST + len(PARTICLES)


def test_transformers_reads_labels_here_and_ids_there(directory: Path) -> None:
    by_label, by_id = auto(directory), auto(directory / "ids")
    ids = [0, FIRST, 1, FIRST + 2]
    assert by_label("dog\tis a\tbank (Q3)")["input_ids"] == ids
    assert by_id("Q1\tis a\tQ3")["input_ids"] == ids
    assert by_label.decode(ids, skip_special_tokens=True) == "dog\tis a\tbank (Q3)"
    assert by_id.decode(ids, skip_special_tokens=True) == "Q1\tis a\tQ3"
    for one in (by_label, by_id):
        assert len(one) == FIRST + len(PARTICLES)
        assert one.bos_token_id == one.eos_token_id == one.unk_token_id == 0
        assert one.model_max_length == 64


def test_every_token_is_read_back_as_it_is_decoded(directory: Path) -> None:
    every = list(range(1, FIRST + len(PARTICLES)))
    for path in (directory, directory / "ids"):
        one = auto(path)
        text = one.decode(every)
        assert one(text)["input_ids"] == [0, *every]
        assert one(text.replace("\t", "\r\n"))["input_ids"] == [0, *every]
        assert one("dog", "is a")["input_ids"][0] == 0


def test_an_unknown_name_becomes_the_frame_and_no_particle(directory: Path) -> None:
    one = auto(directory)
    for text in ("bank", "Dog", "dog is a", "", "hot dog", "Q1"):
        assert set(one(text)["input_ids"]) == {0}, text


def test_without_labels_there_is_one_tokenizer(tmp_path: Path) -> None:
    write_graph_tokenizers(tmp_path, RELATIONS, PARTICLES, None, 32, 64)
    assert not (tmp_path / "ids").exists()
    names = read_graph_names(tmp_path)
    assert names.particle("Q1") == FIRST
    assert names.label(FIRST) is None


def test_same_names_same_bytes(directory: Path, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("other")
    write_graph_tokenizers(other, RELATIONS, PARTICLES, LABELS, 32, 64)
    for name in ("tokenizer.json", "ids/tokenizer.json", "tokenizer_config.json"):
        assert (other / name).read_bytes() == (directory / name).read_bytes()


def test_names_are_found_by_id_and_by_label(directory: Path) -> None:
    names = read_graph_names(directory)
    assert names.vocabulary == FIRST + len(PARTICLES)
    assert names.particle("Q1") == names.particle("dog") == FIRST
    assert names.particle("bank (Q2)") == names.particle("Q2") == FIRST + 1
    assert names.particle("part of") == FIRST + 3, "the particle, not the relation"
    assert names.relation("part of") == 3
    assert names.relation("part of", inverse=True) == names.relation("part of⁻¹") == 4
    assert names.relation("part of⁻¹", inverse=True) == 3
    assert names.particle("is a") is None
    assert names.particle("bank") is None, "two have this label"
    assert names.relation("dog") is names.relation("<|relation_2|>") is None


def test_every_id_finds_its_own_particle(directory: Path) -> None:
    names = read_graph_names(directory)
    for row, name in enumerate(PARTICLES[:-1]):
        assert names.particle(name) == FIRST + row
        assert names.id(FIRST + row) == name
    shown = [names.label(FIRST + row) for row in range(len(PARTICLES))]
    assert shown == ["dog", "bank", "bank", None, None, None, "tab"]


def test_hints_hold_the_name_or_are_written_alike(directory: Path) -> None:
    names = read_graph_names(directory)
    assert names.particles_near("bank") == ["bank (Q2)", "bank (Q3)"]
    assert names.particles_near("dug") == ["dog"]
    assert names.particles_near("zzzzzzzzzzzz") == []
    assert names.relations_near("part") == ["part of", "part of⁻¹"]
    assert names.relations_near("zzzzzzzzzzzz") == ["is a", "part of"]
    assert len(names.particles_near("x" * 100_000)) == 0


@pytest.mark.parametrize(
    "fields",
    ["{}", "[]", "", "[" * 100_000, '{"graph": 3}', '{"graph": {"relations": "many"}}'],
    ids=["none", "list", "empty", "deep", "number", "words"],
)
def test_another_checkpoint_is_no_graph_s(directory: Path, fields: str) -> None:
    (directory / "tokenizer_config.json").write_text(fields)
    with pytest.raises(IncompatibleError, match="no checkpoint of a graph"):
        read_graph_names(directory)


@pytest.mark.parametrize("relations", [-1, 0, 17, 10**9])
def test_numbers_that_do_not_fit_are_refused(directory: Path, relations: int) -> None:
    fields = json.loads((directory / "tokenizer_config.json").read_text())
    fields["graph"]["relations"] = relations
    (directory / "tokenizer_config.json").write_text(json.dumps(fields))
    with pytest.raises(IncompatibleError, match="agree"):
        read_graph_names(directory)


def test_a_spoilt_tokenizer_is_named(directory: Path) -> None:
    (directory / "ids" / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError) as caught:
        read_graph_names(directory)
    assert caught.value.where == str(directory / "ids" / "tokenizer.json")


def test_a_graph_s_tokenizer_may_be_larger_than_others(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "MAX_TOKENIZER_BYTES", 100)
    assert read_graph_names(directory).relations == 2
