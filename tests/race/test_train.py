from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from structinit_core.blueprint import make_blueprint
from structinit_core.corpus import TokenStream
from structinit_core.progress import Silent
from structinit_core.race.protocol import RaceProtocol
from structinit_core.race.text import BatchOrder
from structinit_core.race.train import Trainer, learning_rate, run

CONFIG = {
    "model_type": "gpt2",
    "vocab_size": 50,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 16,
    "tie_word_embeddings": False,
    "resid_pdrop": 0.5,
    "embd_pdrop": 0.5,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
BLUEPRINT = make_blueprint(CONFIG)
PROTOCOL = RaceProtocol(steps=20, batch_tokens=64)


def stream() -> TokenStream:
    ids = np.tile(np.arange(50, dtype=np.uint16), 40)
    return TokenStream(ids, np.array([0, len(ids)]))


def trainer(rate: float = 1e-2, protocol: RaceProtocol = PROTOCOL, seed: int = 0) -> Trainer:
    torch.manual_seed(0)
    fields = {key: value for key, value in CONFIG.items() if key != "model_type"}
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model("gpt2", **fields)
    )
    order = BatchOrder(stream(), 16, protocol.batch_tokens, seed)
    return Trainer(model, BLUEPRINT, protocol, order, protocol.steps, rate, protocol.warmup)


def held_out(model: torch.nn.Module) -> float:
    ids = torch.arange(16)[None]
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits
    return float(torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]))


def test_the_rate_rises_falls_and_stays_positive() -> None:
    rates = [learning_rate(1.0, step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)
    assert rates[55] == pytest.approx(0.55, abs=0.02)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_short_runs_have_a_rate(steps: int) -> None:
    rates = [learning_rate(1.0, step, steps, 0.05) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)


def test_training_learns_what_repeats() -> None:
    outcome = run(trainer(), BLUEPRINT, 20, (0, 1, 20), held_out, Silent())
    assert [point.step for point in outcome.curve] == [0, 1, 20]
    assert outcome.diverged_at is None
    assert outcome.curve[0].loss == pytest.approx(np.log(50), abs=0.3)
    assert outcome.curve[-1].loss < outcome.curve[0].loss - 1
    assert outcome.curve[0].training is None
    assert outcome.curve[1].training == pytest.approx(np.log(50), abs=0.3)


def test_two_runs_are_equal_whatever_the_global_random_state() -> None:
    first = run(trainer(), BLUEPRINT, 20, (5, 20), held_out, Silent())
    one = trainer()
    torch.manual_seed(1234)
    assert run(one, BLUEPRINT, 20, (5, 20), held_out, Silent()) == first


def test_dropout_is_off() -> None:
    one = trainer()
    assert one.gradient(0) == one.gradient(0)


def test_only_matrices_of_the_blocks_decay() -> None:
    decayed, kept = (
        trainer(protocol=RaceProtocol(steps=20, batch_tokens=64, weight_decay=decay))
        for decay in (0.9, 0.0)
    )
    for one in (decayed, kept):
        one.gradient(0)
        one.update(0)
    pairs = zip(decayed.model.named_parameters(), kept.model.named_parameters(), strict=True)
    changed = {name for (name, a), (_, b) in pairs if not torch.equal(a, b)}
    expected = {
        f"transformer.h.{layer}.{name}.weight"
        for layer in range(2)
        for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    }
    assert changed == expected


def test_the_step_is_bounded_by_the_clipped_gradient_only_in_direction() -> None:
    one = trainer()
    one.gradient(0)
    for parameter in one.model.parameters():
        parameter.grad *= 1e6
    assert one.update(0)
    total = sum(float(p.grad.square().sum()) for p in one.model.parameters()) ** 0.5
    assert total == pytest.approx(1.0, rel=1e-3)


def test_a_rate_beyond_floats_diverges_and_says_where() -> None:
    outcome = run(trainer(rate=1e38), BLUEPRINT, 20, (0, 20), held_out, Silent())
    assert outcome.diverged_at is not None
    assert 0 < outcome.diverged_at <= 20
    assert [point.step for point in outcome.curve] == [0]


def test_a_start_of_nan_diverges_at_once() -> None:
    one = trainer()
    with torch.no_grad():
        next(one.model.parameters()).fill_(float("nan"))
    outcome = run(one, BLUEPRINT, 20, (0, 20), held_out, Silent())
    assert outcome.diverged_at == 0
    assert outcome.curve == ()
    outcome = run(one, BLUEPRINT, 20, (20,), held_out, Silent())
    assert outcome.diverged_at == 0
    assert all(np.isfinite(norm) for norm in outcome.gradient_norms.values())


class Bigram(torch.nn.Module):
    """A network of two matrices, made on any device."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.embed = torch.nn.Parameter(torch.empty(50, 16, device=device))
        self.head = torch.nn.Parameter(torch.empty(50, 16, device=device))

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        return SimpleNamespace(
            logits=functional.linear(functional.embedding(input_ids, self.embed), self.head)
        )


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_a_step_stays_on_the_networks_device() -> None:
    """Mixed devices raise under FakeTensorMode, without a GPU."""
    with FakeTensorMode(), torch.no_grad():
        one = Trainer(
            Bigram("cuda"), BLUEPRINT, PROTOCOL, BatchOrder(stream(), 16, 64, 0), 20, 1, 0.05
        )
        ids = torch.zeros((4, 16), dtype=torch.int64, device="cuda")
        loss = one.loss(ids, ids)
        assert loss.device.type == "cuda"
        assert loss.dtype == torch.float32


@pytest.mark.cuda
def test_cuda_learns_as_the_cpu_does() -> None:
    curves = []
    for device in ("cpu", "cuda"):
        one = trainer()
        order = BatchOrder(stream(), 16, 64, 0)
        moved = Trainer(one.model.to(device), BLUEPRINT, PROTOCOL, order, 20, 1e-2, 0.05)
        outcome = run(moved, BLUEPRINT, 20, (20,), lambda m: held_out(m.to("cpu")), Silent())
        curves.append(outcome.curve[-1].loss)
    assert curves[0] == pytest.approx(curves[1], abs=0.2)
