from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from structinit_core.corpus import TokenStream, cut_windows
from structinit_core.errors import IncompatibleError, InputError, NumericalError
from structinit_core.model import forward_loss
from structinit_core.model import loss as module
from structinit_core.progress import Silent


@pytest.fixture(scope="module")
def model(tiny_config: Path) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(**json.loads(tiny_config.read_text()), initializer_range=0.3)
    return GPT2LMHeadModel(config).eval()


@pytest.fixture
def stream() -> TokenStream:
    ids = np.random.default_rng(0).integers(0, 512, 400).astype(np.uint16)
    return TokenStream(ids, np.array([0, 150, 151, 200, 400]))


@pytest.fixture
def windows(stream: TokenStream) -> np.ndarray:
    return cut_windows(np.stack((stream.offsets[:-1], stream.offsets[1:]), axis=1), 64)


def test_equals_one_window_at_a_time(model, stream, windows) -> None:
    total = scored = 0.0
    for start, stop in windows:
        ids = torch.from_numpy(stream.ids[start:stop].astype(np.int64))[None]
        with torch.inference_mode():
            mean = float(model(input_ids=ids, labels=ids).loss)
        total += mean * (stop - start - 1)
        scored += stop - start - 1
    ours = forward_loss(model, 512, stream, windows, Silent())
    assert ours == pytest.approx(total / scored, abs=1e-5)


def test_batch_size_does_not_matter(model, stream, windows, monkeypatch) -> None:
    whole = forward_loss(model, 512, stream, windows, Silent())
    monkeypatch.setattr(module, "_LOGIT_ELEMENTS", 1)
    assert forward_loss(model, 512, stream, windows, Silent()) == pytest.approx(whole, abs=1e-6)


def test_unknown_tokens_and_empty_text_are_refused(model, stream, windows) -> None:
    with pytest.raises(IncompatibleError, match="the model has 300 rows"):
        forward_loss(model, 300, stream, windows, Silent())
    with pytest.raises(InputError, match="two tokens"):
        forward_loss(model, 512, stream, windows[:0], Silent())


def test_a_loss_that_is_not_finite_is_an_error(tiny_config, stream, windows) -> None:
    broken = GPT2LMHeadModel(GPT2Config(**json.loads(tiny_config.read_text()))).eval()
    torch.nn.init.constant_(broken.lm_head.weight, torch.nan)
    with pytest.raises(NumericalError):
        forward_loss(broken, 512, stream, windows, Silent())
