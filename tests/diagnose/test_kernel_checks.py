"""The cosine with k₀ of the counts, its control, and where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from structinit_core.blueprint import make_blueprint
from structinit_core.checkpoint import open_tensors
from structinit_core.cooc import Counts, Distance, open_counts, window_view
from structinit_core.diagnose import Check, kernel_findings, layout_of
from structinit_core.initializers.kernel import EPSILON, log_cooccurrence, spectrum_of

NAME = "transformer.wte.weight"


@pytest.fixture
def find(tmp_path: Path):
    """What is said of a GPT-2 with that embedding alone."""

    def run(rows: Tensor, counts: Counts, memory: int = 1 << 30) -> tuple[list[Check], list[str]]:
        save_file({NAME: rows}, tmp_path / "model.safetensors")
        config = {"model_type": "gpt2", "n_layer": 1, "n_head": 1, "n_positions": 8}
        config |= {"vocab_size": len(rows), "n_embd": rows.shape[1]}
        with open_tensors(tmp_path / "model.safetensors") as stored:
            layout = layout_of(stored, make_blueprint(config))
            cpu = torch.device("cpu")
            return kernel_findings(stored, layout, counts, seed=0, device=cpu, memory_bytes=memory)

    return run


def test_products_that_are_a_power_of_the_counts_have_cosine_one(find, counts_path: Path) -> None:
    counts = open_counts(counts_path)
    spectrum = spectrum_of(log_cooccurrence(window_view(counts.offsets, 5, Distance.FLAT)))
    own = spectrum.vectors * spectrum.clamped ** (EPSILON / 2)
    own = torch.cat([own * 1e200, torch.ones(8, own.shape[1], dtype=torch.float64)])  # padding
    draw = torch.randn(own.shape, generator=torch.Generator().manual_seed(3))
    (cosine, control), (note,) = find(own, counts)
    (random, same), _ = find(draw, counts)
    assert (cosine.name, control.name) == ("k0_cosine", "k0_cosine.untrained")
    assert cosine.tensor == control.tensor == NAME
    assert cosine.value == pytest.approx(1, abs=1e-6)
    assert control.value == same.value == pytest.approx(random.value, abs=0.05)
    assert control.value < cosine.value
    assert "random embeddings" in note


@pytest.mark.parametrize(
    ("changes", "memory", "why"),
    [
        ({"vocabulary": 8193}, 1 << 40, "8,192"),
        ({"vocabulary": 600}, 1 << 30, "512 rows"),
        ({"offsets": ()}, 1 << 30, "0 were counted"),
        ({}, 7 * 8 * 512**2 - 1, "MiB"),
    ],
)
def test_it_is_left_out_with_a_reason(find, counts_path: Path, changes, memory, why) -> None:
    counts = open_counts(counts_path)
    checks, (note,) = find(torch.ones(512, 4), replace(counts, **changes), memory)
    assert not checks
    assert note.startswith("k0_cosine is left out: ")
    assert why in note


def test_an_embedding_that_is_not_finite_has_none(find, counts_path: Path) -> None:
    assert find(torch.full((512, 4), torch.nan), open_counts(counts_path)) == ([], [])
