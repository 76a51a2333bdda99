from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from structinit_core.errors import IncompatibleError
from structinit_core.model import load_model

CPU = torch.device("cpu")


@pytest.fixture
def directory(tmp_path: Path, tiny_config: Path) -> Path:
    """A random model of the tiny config, saved by transformers itself."""
    torch.manual_seed(0)
    config = GPT2Config(**json.loads(tiny_config.read_text()))
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    return tmp_path


def test_loads_for_evaluation(directory: Path) -> None:
    model = load_model(directory, CPU)
    assert not model.training
    assert next(model.parameters()).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.pop("transformer.h.0.ln_1.weight"), "needs a tensor.*h.0.ln_1.weight"),
        (lambda t: t.update(extra=torch.zeros(3)), "does not know: extra"),
        (
            lambda t: t.update({"transformer.wpe.weight": torch.zeros(3, 64)}),
            "another shape.*wpe|cannot load",
        ),
    ],
    ids=["missing", "unexpected", "mismatched"],
)
def test_weights_that_do_not_fit_are_refused(directory: Path, change, complaint: str) -> None:
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    with pytest.raises(IncompatibleError, match=complaint):
        load_model(directory, CPU)


def test_remote_code_is_never_run(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoModelForCausalLM": "evil.Model"}}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(IncompatibleError):
        load_model(directory, CPU)


def test_pickled_weights_are_not_read(directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    torch.save(tensors, directory / "pytorch_model.bin")
    with pytest.raises(IncompatibleError):
        load_model(directory, CPU)
