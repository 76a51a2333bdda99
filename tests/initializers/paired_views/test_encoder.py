"""The greedy fit on text windows: what it sees, what it does not, and what comes out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from structinit_core.initializers.paired_views import (
    Encoder,
    PairedViewsConfig,
    TextWindows,
    block_flaws,
    fit_encoder,
    solve_views,
)
from structinit_core.initializers.paired_views.attention import attended
from structinit_core.initializers.paired_views.encoder import position_code
from structinit_core.initializers.paired_views.windows import masked_views
from structinit_core.progress import Silent

CPU = torch.device("cpu")


def equal(one: Encoder, other: Encoder) -> bool:
    return all(
        torch.equal(getattr(a, field.name), getattr(b, field.name))
        for a, b in zip(one.blocks, other.blocks, strict=True)
        for field in dataclasses.fields(a)
    )


def test_tokens_are_unit_vectors_and_the_pad_is_nothing(encoder: Encoder) -> None:
    lengths = encoder.embedding.norm(dim=1)
    torch.testing.assert_close(lengths[:-1], torch.ones(50))
    assert lengths[-1] == 0
    torch.testing.assert_close(encoder.positions.square().sum(1), torch.full((12,), 8.0))
    ids = torch.full((1, 12), 50)
    assert torch.equal(encoder.embedded(ids)[0], encoder.positions)


def test_the_position_code_is_that_of_the_transformer() -> None:
    code = position_code(5, 6)
    angle = 3 / 10_000 ** (2 / 6)
    assert code[3, 1] == pytest.approx(np.sin(angle))
    assert code[3, 4] == pytest.approx(np.cos(angle))


def test_no_label_enters_the_fit(
    encoder: Encoder, config: PairedViewsConfig, windows: TextWindows
) -> None:
    """Every token to predict replaced, none of which stands in a window: the same encoder."""
    ids = windows.ids.copy()
    ids[windows.targets] = 7
    other = TextWindows(ids, windows.starts, 12)
    assert equal(encoder, fit_encoder(config, other, seed=1, device=CPU, progress=Silent()))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    encoder: Encoder, config: PairedViewsConfig, windows: TextWindows
) -> None:
    again, other = (
        fit_encoder(config, windows, seed=seed, device=CPU, progress=Silent()) for seed in (1, 2)
    )
    assert equal(encoder, again)
    assert not equal(encoder, other)
    masks = fit_encoder(config, windows, seed=1, mask_seed=2, device=CPU, progress=Silent())
    assert torch.equal(masks.embedding, encoder.embedding)
    assert not equal(encoder, masks)


def test_each_feed_forward_is_the_layer_solve_of_its_own_views(
    encoder: Encoder, config: PairedViewsConfig, windows: TextWindows
) -> None:
    for depth, block in enumerate(encoder.blocks):
        before = dataclasses.replace(encoder, blocks=encoder.blocks[:depth])
        parts = (block.whitening, block.projections, block.output, block.blend)
        pairs = (
            tuple(
                attended(before.states(ids), *parts, config.layer_norm_epsilon).flatten(0, 1)
                for ids in pair
            )
            for pair in masked_views(windows, config, 1, CPU)
        )
        solved = solve_views(pairs).matrix.float()
        torch.testing.assert_close(block.shrinkage, solved, rtol=1e-4, atol=1e-5)
        assert 0 <= float(block.blend) <= 1


def test_views_are_masked_apart_and_alike_at_every_reading(
    config: PairedViewsConfig, windows: TextWindows
) -> None:
    first, second = (list(masked_views(windows, config, 4, CPU)) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])
    one, two = (torch.cat(parts) for parts in zip(*first, strict=True))
    hidden = [(view == config.tokens).float().mean() for view in (one, two)]
    assert hidden == [pytest.approx(0.1, abs=0.01)] * 2
    both = ((one == config.tokens) & (two == config.tokens)).float().mean()
    assert both == pytest.approx(0.01, abs=0.005)


def test_the_flaws_are_those_of_the_source(encoder: Encoder, windows: TextWindows) -> None:
    """Position drives the heads and attention is all but uniform, text or no text."""
    for found in block_flaws(encoder, windows):
        assert len(found.positional) == 4
        assert np.median(found.positional) > 0.5
        assert 0.9 * np.log(12) < found.entropy <= np.log(12)
        assert 1 / 12 < found.largest < np.exp(2 / 2**0.5) / 12
        assert found.uniform_gap < 0.1
        assert 1 < found.rank <= 32


def test_a_positional_share_is_one_without_text_and_none_without_position(
    encoder: Encoder, windows: TextWindows
) -> None:
    silent = dataclasses.replace(encoder, embedding=torch.zeros_like(encoder.embedding))
    assert min(block_flaws(silent, windows)[0].positional) > 0.99
    lost = dataclasses.replace(encoder, positions=torch.zeros_like(encoder.positions))
    assert max(block_flaws(lost, windows)[0].positional) < 0.1
