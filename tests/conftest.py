"""What every room's tests may use: a small real text, its counts, a tiny config."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

# Before torch and numba are loaded: two workers with all cores each wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from structinit_core.cooc import Counts, open_counts
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "fixtures"


@pytest.fixture(scope="session")
def book() -> Path:
    """A novel of 243 kB, gzip."""
    return FIXTURES / "corpora" / "a-study-in-scarlet.txt.gz"


@pytest.fixture(scope="session")
def tiny_config() -> Path:
    """GPT-2 of width 64, two layers, vocabulary 512, context 64."""
    return FIXTURES / "configs" / "gpt2-d64-l2.json"


@pytest.fixture(scope="session")
def counts_path(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The counts artifact of the book with a vocabulary of 512."""
    output = tmp_path_factory.mktemp("session") / "counts"
    count_corpus(CountSource([book], train_vocabulary=512, holdout=0.1), output)
    return output


@pytest.fixture
def counts(counts_path: Path) -> Counts:
    return open_counts(counts_path)


@pytest.fixture
def make_config(tmp_path: Path, tiny_config: Path):
    """Write the tiny config with changed fields and give its path."""

    def write(**changes: object) -> Path:
        config = json.loads(tiny_config.read_text()) | changes
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        return path

    return write


@pytest.fixture(scope="session")
def graph_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of drawn weights over two relations and six particles, two of one label."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from structinit_core.corpus import write_graph_tokenizers

    directory = tmp_path_factory.mktemp("session") / "graph"
    sizes = {"hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 16}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 33 + 6}
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **sizes, bos_token_id=0, eos_token_id=0)
    model = AutoModelForCausalLM.from_config(config)
    for weights in model.parameters():
        weights.data.normal_(std=0.3)
    model.save_pretrained(directory)
    particles = [f"Q{row}" for row in range(6)]
    labels = ["dog", "bank", "bank", "", "cat", ""]
    write_graph_tokenizers(directory, ["is a", "has"], particles, labels, 32, 16)
    return directory


@pytest.fixture
def graph_copy(graph_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(graph_checkpoint, tmp_path / "graph"))
