"""Windows of a text: inside documents, each once, the same at every call."""

from __future__ import annotations

import numpy as np
import pytest

from structinit_core.errors import IncompatibleError, InputError
from structinit_core.initializers.paired_views import (
    PairedViewsConfig,
    draw_windows,
    paired_views_config,
)

IDS = np.arange(1000, dtype=np.uint32)
SPANS = np.array([[0, 13], [13, 26], [26, 26], [26, 400], [400, 1000]])


def test_windows_and_targets_stay_in_their_documents(config: PairedViewsConfig) -> None:
    close = config.model_copy(update={"stride": 1})
    found = draw_windows(IDS, SPANS, close, 10**6, 0, "text")
    expected = [start for low, high in SPANS.tolist() for start in range(low, high - 12)]
    assert found.starts.tolist() == expected
    ids, targets = found.take(np.array([0, 1, 2]))
    assert ids[0].tolist() == list(range(12))
    assert targets.tolist() == IDS[found.targets[:3]].tolist() == [12, 25, 38]


def test_the_stride_counts_from_each_document(config: PairedViewsConfig) -> None:
    found = draw_windows(IDS, SPANS, config.model_copy(update={"stride": 100}), 99, 0, "text")
    assert found.starts.tolist() == [0, 13, *range(26, 388, 100), *range(400, 988, 100)]


def test_a_draw_is_without_replacement_and_of_its_seed(config: PairedViewsConfig) -> None:
    close = config.model_copy(update={"stride": 1})
    one, again, other = (
        draw_windows(IDS, SPANS, close, 50, seed, "a").starts for seed in (0, 0, 1)
    )
    assert len(set(one.tolist())) == 50
    assert one.tolist() == sorted(again.tolist())
    assert one.tolist() != other.tolist()


def test_blocks_are_all_windows_in_order(config: PairedViewsConfig) -> None:
    found = draw_windows(np.tile(IDS, 30), np.array([[0, 30_000]]), config, 10**6, 0, "text")
    ids = [block for block, _ in found.blocks()]
    assert len(ids) == found.count > 1
    assert sum(map(len, ids)) == len(found.starts)


def test_a_text_without_a_long_document_is_named(config: PairedViewsConfig) -> None:
    with pytest.raises(InputError, match="held-out text holds no document of more than 12") as said:
        draw_windows(IDS, np.array([[0, 12], [12, 20]]), config, 5, 0, "held-out")
    assert "--documents" in (said.value.hint or "")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model_type": "gpt2"}, "'gpt2' is not 'paired_views'"),
        ({"hidden_size": 15}, "even"),
        ({"landmarks": 40}, "80 directions"),
        ({"mask_share": 1.0}, "mask_share"),
        ({"ridge": float("inf")}, "ridge"),
        ({"widht": 3}, "widht"),
        ({"num_hidden_layers": "three"}, "num_hidden_layers"),
    ],
)
def test_configs_that_are_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(IncompatibleError, match=said):
        paired_views_config({"model_type": "paired_views"} | changed)


def test_the_tokenizer_and_the_config_must_agree(config: PairedViewsConfig) -> None:
    assert PairedViewsConfig().with_vocabulary(9).tokens == 9
    with pytest.raises(IncompatibleError, match="9 tokens, the config vocab_size 50"):
        config.with_vocabulary(9)
