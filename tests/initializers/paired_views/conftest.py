from __future__ import annotations

import numpy as np
import pytest
import torch

from structinit_core.initializers.paired_views import (
    Encoder,
    PairedViewsConfig,
    TextWindows,
    fit_encoder,
)
from structinit_core.progress import Silent

SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "landmarks": 2,
    "max_position_embeddings": 12,
    "stride": 13,
}


@pytest.fixture(scope="module")
def config() -> PairedViewsConfig:
    return PairedViewsConfig(**SMALL)


@pytest.fixture(scope="module")
def windows() -> TextWindows:
    """Eight hundred windows of skewed random tokens, none of which holds another's target."""
    draw = np.random.default_rng(3)
    ids = np.minimum(draw.geometric(0.08, 800 * 13) - 1, 49).astype(np.uint16)
    return TextWindows(ids, np.arange(800) * 13, 12)


@pytest.fixture(scope="module")
def encoder(config: PairedViewsConfig, windows: TextWindows) -> Encoder:
    device = torch.device("cpu")
    return fit_encoder(config, windows, seed=1, device=device, progress=Silent())


@pytest.fixture
def views() -> tuple[torch.Tensor, torch.Tensor]:
    """Two noisy readings of the same rows, correlated, of unequal scale and far from zero."""
    draw = torch.Generator().manual_seed(5)
    mixing = torch.randn(7, 7, generator=draw, dtype=torch.float64)
    base = torch.randn(400, 7, generator=draw, dtype=torch.float64) @ mixing
    noise = torch.linspace(0.1, 2, 7, dtype=torch.float64)
    first, second = (
        base + noise * torch.randn(400, 7, generator=draw, dtype=torch.float64) for _ in range(2)
    )
    return first + 5, second + 5
