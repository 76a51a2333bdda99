from __future__ import annotations

import pytest

from structinit_core.blueprint import make_blueprint, named_config
from structinit_core.race.arms import parse_arms, refuse_arm
from structinit_core.race.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_methods_that_exist(name: str) -> None:
    preset = PRESETS[name]
    assert len(parse_arms(preset.arms)) == len(preset.arms)
    assert preset.protocol.steps >= 10


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.config])
def test_a_network_that_a_preset_names_takes_its_tokenizer_and_arms(name: str) -> None:
    preset = PRESETS[name]
    assert preset.config is not None
    blueprint = make_blueprint(named_config(preset.config))
    assert preset.vocabulary == blueprint.vocabulary
    for arm in parse_arms(preset.arms):
        refuse_arm(arm, blueprint)
