"""What a user of the directory does next: transformers, without a word of complaint."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from structinit_core.recipes.compile_job import ClosedFormJob
from structinit_core.recipes.compiling import closed_form


@pytest.fixture(scope="module")
def directory(counts_path: Path, tiny_config: Path, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("interop") / "out"
    closed_form(ClosedFormJob(tiny_config, counts=counts_path), output)
    return output


def test_weights_load_completely_and_silently(directory: Path, caplog, capsys) -> None:
    transformers.logging.enable_propagation()
    with caplog.at_level(logging.WARNING):
        model, info = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert [record.message for record in caplog.records] == []
    assert model.dtype == torch.float32
    assert model.lm_head.weight.data_ptr() != model.transformer.wte.weight.data_ptr()


def test_tokenizer_round_trips(directory: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(directory)
    text = "It was a café, said Holmes — naïve, “quoted”.\n"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == 0
    assert len(tokenizer) == 512


def test_generate_runs_and_speaks_the_text(directory: Path, caplog) -> None:
    transformers.logging.enable_propagation()
    model = AutoModelForCausalLM.from_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    torch.manual_seed(0)
    with caplog.at_level(logging.WARNING):
        ids = model.generate(
            **tokenizer("Sherlock Holmes", return_tensors="pt"), max_new_tokens=40, do_sample=True
        )
    words = tokenizer.decode(ids[0]).split()
    assert words[:2] == ["Sherlock", "Holmes"] or words[0] == "Sherlock"
    assert [record.message for record in caplog.records] == []
    assert ids.shape[1] > 5


def test_every_tensor_has_a_gradient(directory: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(directory)
    ids = AutoTokenizer.from_pretrained(directory)("It is a capital mistake to theorise.")
    batch = torch.tensor([ids["input_ids"]])
    model(input_ids=batch, labels=batch).loss.backward()
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        assert gradient is not None, name
        assert bool(torch.isfinite(gradient).all()), name
        if not name.endswith("c_attn.bias"):
            assert bool(gradient.any()), name
