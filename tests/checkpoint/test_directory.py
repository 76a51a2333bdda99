"""The directory around the weights: the user's config with what the weights decide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from structinit_core.blueprint import make_blueprint, read_config
from structinit_core.checkpoint import write_directory
from structinit_core.corpus import find_frame, serialise, train_tokenizer
from structinit_core.errors import InputError

TOKENIZER = train_tokenizer(["abc abc"], 257)
TEXT, FRAME = serialise(TOKENIZER), find_frame(TOKENIZER)


def configs(directory: Path) -> tuple[dict, dict]:
    names = ("config.json", "generation_config.json")
    config, generation = (json.loads((directory / name).read_text("utf-8")) for name in names)
    return config, generation


def test_the_users_config_is_kept(make, tmp_path: Path) -> None:
    fields = {"summary_type": "cls", "task": {"ä": [1, None]}, "attn_pdrop": 0.25, "n_inner": 7}
    blueprint = make(**fields)
    write_directory(tmp_path, blueprint, TEXT, FRAME)
    config, _ = configs(tmp_path)
    decided = {"architectures", "dtype", "bos_token_id", "eos_token_id"}
    assert {key: config[key] for key in config.keys() - decided} == blueprint.config
    assert fields.items() <= config.items()


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_the_dtype_is_what_was_written(make, tmp_path: Path, name: str) -> None:
    write_directory(tmp_path, make(**{name: "bfloat16"}), TEXT, FRAME)
    config, _ = configs(tmp_path)
    assert config["dtype"] == "float32"
    assert "torch_dtype" not in config


def test_the_architecture_is_the_familys(make, tmp_path: Path) -> None:
    write_directory(tmp_path, make(architectures=["Other"]), TEXT, FRAME)
    assert configs(tmp_path)[0]["architectures"] == ["GPT2LMHeadModel"]


def test_the_ids_are_those_of_the_frame(make, tmp_path: Path) -> None:
    write_directory(tmp_path, make(bos_token_id=50256, eos_token_id=50256), TEXT, FRAME)
    config, generation = configs(tmp_path)
    assert FRAME is not None
    expected = {"bos_token_id": FRAME.begin_id, "eos_token_id": FRAME.end_id}
    assert {name: config[name] for name in expected} == expected
    assert generation == expected | {"pad_token_id": FRAME.end_id}


def test_without_a_frame_the_ids_are_null(make, tmp_path: Path) -> None:
    # left out, transformers would fill in 50256, beyond a small vocabulary
    write_directory(tmp_path, make(bos_token_id=50256), TEXT, None)
    config, generation = configs(tmp_path)
    assert config["bos_token_id"] is config["eos_token_id"] is None
    assert generation == {}


def test_the_tokenizer_is_copied_and_knows_the_context(make, tmp_path: Path) -> None:
    write_directory(tmp_path, make(n_positions=24), TEXT, FRAME)
    assert (tmp_path / "tokenizer.json").read_text("utf-8") == TEXT
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_max_length"] == 24


def test_equal_inputs_give_equal_bytes(make, tmp_path: Path) -> None:
    contents = []
    for fields in ({"b": 1, "a": 2}, {"a": 2, "b": 1}):
        write_directory(tmp_path, make(**fields), TEXT, FRAME)
        contents.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert contents[0] == contents[1]


def test_the_blueprint_is_not_changed(make, tmp_path: Path) -> None:
    blueprint = make(torch_dtype="bfloat16")
    before = json.dumps(blueprint.config)
    write_directory(tmp_path, blueprint, TEXT, FRAME)
    assert json.dumps(blueprint.config) == before


@pytest.mark.parametrize("value", ["NaN", "-Infinity", r'"\ud800"'])
def test_a_config_that_is_read_can_be_written(make, tmp_path: Path, value: str) -> None:
    source = tmp_path / "source.json"
    source.write_text(json.dumps(make().config)[:-1] + f', "unknown": {value}}}')
    try:
        blueprint = make_blueprint(read_config(source))
    except InputError:
        return
    write_directory(tmp_path, blueprint, TEXT, FRAME)
