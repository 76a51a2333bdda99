from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from structinit_core.blueprint import (
    PRESETS,
    Blueprint,
    Kind,
    Role,
    is_preset,
    make_blueprint,
    named_config,
    preset,
)
from structinit_core.errors import InputError

PUBLISHED = {"dpi-20m": 20_327_040, "dpi-335m": 335_644_672, "dpi-8b": 8_187_944_960}


def own(blueprint: Blueprint) -> int:
    """Parameters without what the GPT-2 family adds: positions and biases of linear maps."""
    return sum(
        spec.parameters
        for spec in blueprint.tensors
        if spec.roles != (Role.POSITION,)
        and not (spec.kind is Kind.BIAS and "ln_" not in spec.name)
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name: str) -> None:
    assert own(make_blueprint(preset(name))) == PUBLISHED[name]


def test_the_small_one_has_about_five_million() -> None:
    count = own(make_blueprint(preset("dpi-5m")))
    assert 5e6 <= count < 5.5e6


@pytest.mark.parametrize("name", PRESETS)
def test_transformers_builds_the_same_tensors(name: str) -> None:
    blueprint = make_blueprint(preset(name))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**preset(name)))
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert shapes == {spec.name: spec.shape for spec in blueprint.tensors}


def test_a_file_of_that_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = Path("dpi-5m")
    assert is_preset(name)
    assert named_config(name) == preset("dpi-5m")
    name.write_text('{"model_type": "llama"}')
    assert not is_preset(name)
    assert named_config(name) == {"model_type": "llama"}
    with pytest.raises(InputError):
        named_config(Path("dpi-6m"))
