from __future__ import annotations

import pytest
import torch

from structinit_core.model import silenced


def test_parameters_are_zero_inside_and_as_before_outside() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with silenced(model, ["1.weight"]):
        assert not model[1].weight.any()
        assert torch.equal(model[0].weight, before["0.weight"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_an_unknown_name_changes_nothing() -> None:
    model = torch.nn.Linear(3, 4)
    with pytest.raises(KeyError), silenced(model, ["weight", "no"]):
        pass
    assert model.weight.any()
