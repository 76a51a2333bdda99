"""``k0``: what it publishes, its checkpoint, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from structinit_core import K0Job, K0Method, Report, k0, plan_k0, read_tensors
from structinit_core.cooc import Distance, open_counts, window_view
from structinit_core.errors import IncompatibleError, LimitError, StructinitError, UsageError
from structinit_core.initializers.kernel import derive_k0, derive_k0_fft, log_cooccurrence
from structinit_core.model import default_tensors


@pytest.fixture
def tied_config(make_config) -> Path:
    return make_config(tie_word_embeddings=True, vocab_size=520)


def report(directory: Path) -> Report:
    return Report.model_validate_json((directory / "report.json").read_text())


@pytest.mark.parametrize("method", list(K0Method))
def test_it_is_published_once(counts_path: Path, tmp_path: Path, method: K0Method) -> None:
    job = K0Job(counts_path, method, dim=24)
    assert k0(job, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert not k0(job, tmp_path / "out")
    assert k0(job, tmp_path / "again")
    after = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert before.keys() == after.keys()
    assert all(before[name] == after[name] for name in before if name != "run.json")
    embeddings = np.load(tmp_path / "out" / "embeddings.npy")
    assert (embeddings.shape, embeddings.dtype) == ((512, 24), np.float32)
    assert ("k0.npy" in before) == (method is not K0Method.POWER)


@pytest.mark.parametrize(
    ("method", "form"), [(K0Method.DERIVE, derive_k0), (K0Method.FFT, derive_k0_fft)]
)
def test_k0_is_of_the_window_and_epsilon(
    counts_path: Path, tmp_path: Path, method: K0Method, form
) -> None:
    k0(K0Job(counts_path, method, epsilon=0.01, window=2, dim=8), tmp_path / "out")
    view = window_view(open_counts(counts_path).offsets, 2, Distance.FLAT)
    found, wanted = np.load(tmp_path / "out" / "k0.npy"), form(log_cooccurrence(view), 0.01)
    assert found == pytest.approx(wanted.numpy(), rel=1e-6, abs=1e-6 * float(wanted.abs().max()))


@pytest.mark.parametrize("method", [K0Method.DERIVE, K0Method.FFT])
def test_every_cosine_has_the_untrained_one_beside_it(
    counts_path: Path, tmp_path: Path, method: K0Method
) -> None:
    k0(K0Job(counts_path, method, dim=64), tmp_path / "out")
    found = report(tmp_path / "out")
    names = [check.name for check in found.checks]
    for measure in ("cosine", "circulant"):
        at = names.index(f"{measure}.embeddings")
        assert names[at + 1] == f"{measure}.untrained"
    least, largest = (found.value(f"cosine.untrained.{side}") for side in ("least", "largest"))
    assert least < found.value("cosine.untrained") < largest
    assert {name for name in names if "cosine" in name} <= {
        f"cosine.{part}"
        for part in ("embeddings", "untrained", "untrained.least", "untrained.largest")
    }


def test_the_report_says_that_the_clamp_is_all_of_k0(counts_path: Path, tmp_path: Path) -> None:
    k0(K0Job(counts_path, K0Method.DERIVE, dim=8), tmp_path / "out")
    found = report(tmp_path / "out")
    assert found.value("k0.clamped_share") == pytest.approx(1)
    assert found.value("k0.norm") > 1e12
    assert found.value("eigenvalues.negative") > 100


def test_the_checkpoint_is_the_family_s_start_but_for_the_embedding(
    counts_path: Path, tied_config: Path, tmp_path: Path
) -> None:
    """One factor for all rows; padding and tokens in no pair keep the family's own."""
    k0(K0Job(counts_path, init=tied_config, seed=3), tmp_path / "out")
    found, facts = dict(read_tensors(tmp_path / "out")), report(tmp_path / "out")
    default = default_tensors(json.loads(tied_config.read_text()), 3)
    embeddings = np.load(tmp_path / "out" / "embeddings.npy")
    table, own = found["transformer.wte.weight"].numpy(), default["transformer.wte.weight"].numpy()
    used = np.zeros(520, bool)
    used[:512] = embeddings.any(axis=1)
    assert 0 < used.sum() < 512
    scale = facts.value("init.scale")
    np.testing.assert_allclose(table[used], scale * embeddings[used[:512]], rtol=1e-6)
    np.testing.assert_array_equal(table[~used], own[~used])
    assert facts.value("init.default_rows") == int((~used).sum())
    rms = float(np.sqrt(np.square(table[used], dtype=np.float64).mean()))
    assert rms == pytest.approx(facts.value("init.embedding_rms"), rel=1e-5)
    assert rms == pytest.approx(0.02, rel=0.02)
    for name, tensor in found.items():
        if name != "transformer.wte.weight":
            np.testing.assert_array_equal(tensor.numpy(), default[name].numpy(), err_msg=name)


def test_the_plan_is_what_is_written(counts_path: Path, tied_config: Path, tmp_path: Path) -> None:
    job = K0Job(counts_path, init=tied_config)
    plan = plan_k0(job)
    assert not (tmp_path / "out").exists()
    k0(job, tmp_path / "out")
    written = sum(
        (tmp_path / "out" / name).stat().st_size for name in ("embeddings.npy", "model.safetensors")
    )
    assert 0 <= written - plan.disk_bytes + 8 * 512 < 8192
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert "eigenvectors of the log-counts" in run["seconds"]


def refused(job: K0Job, output: Path) -> StructinitError:
    with pytest.raises(StructinitError) as caught:
        k0(job, output)
    assert not output.exists()
    return caught.value


def test_a_window_wider_than_the_counts(counts_path: Path, tmp_path: Path) -> None:
    found = refused(K0Job(counts_path, window=6), tmp_path / "out")
    assert isinstance(found, IncompatibleError)
    assert "--offsets 6" in (found.hint or "")


@pytest.mark.parametrize("method", [K0Method.DERIVE, K0Method.FFT])
def test_a_large_vocabulary_has_no_dense_form(
    large_counts: Path, tmp_path: Path, method: K0Method
) -> None:
    found = refused(K0Job(large_counts, method, memory_bytes=1 << 40), tmp_path / "out")
    assert isinstance(found, LimitError)
    assert "no matrix-free route" in str(found)
    assert "--method power" in (found.hint or "")
    assert k0(K0Job(large_counts, dim=4), tmp_path / "power")


@pytest.fixture
def large_counts(counts_path: Path, tmp_path: Path) -> Path:
    """The same counts of a text whose tokenizer has 9,000 tokens, most of them unused."""
    from structinit_core.recipes.count_source import CountSource
    from structinit_core.recipes.counting import count_corpus

    state = json.loads((counts_path / "tokenizer.json").read_text())
    known = state["model"]["vocab"]
    known |= {f"<unused {at}>": at for at in range(len(known), 9000)}
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    (tmp_path / "text.txt").write_text("one two three four five six seven\n\n" * 40)
    source = CountSource([tmp_path / "text.txt"], tokenizer=tmp_path / "tokenizer.json")
    count_corpus(source, tmp_path / "large")
    return tmp_path / "large"


def test_memory_is_bounded_before_anything_is_allocated(counts_path: Path, tmp_path: Path) -> None:
    found = refused(K0Job(counts_path, K0Method.DERIVE, memory_bytes=1 << 20), tmp_path / "out")
    assert isinstance(found, LimitError)
    assert "--memory" in (found.hint or "")


def test_configs_that_do_not_fit(
    counts_path: Path, tiny_config: Path, make_config, tmp_path: Path
) -> None:
    assert "tied" in str(refused(K0Job(counts_path, init=tiny_config), tmp_path / "out"))
    tied = make_config(tie_word_embeddings=True)
    wide = refused(K0Job(counts_path, init=tied, dim=32), tmp_path / "out")
    assert (wide.exit_code, "64 wide" in str(wide)) == (4, True)
    small = make_config(tie_word_embeddings=True, vocab_size=500)
    assert "512 tokens" in str(refused(K0Job(counts_path, init=small), tmp_path / "out"))


@pytest.mark.parametrize(
    "fields", [{"epsilon": 0.0}, {"epsilon": float("nan")}, {"spectral_power": -1}, {"dim": 0}]
)
def test_numbers_out_of_range(counts_path: Path, fields) -> None:
    with pytest.raises(UsageError):
        K0Job(counts_path, **fields)


def test_no_counts(tmp_path: Path) -> None:
    assert refused(K0Job(tmp_path / "nowhere"), tmp_path / "out").exit_code == 4
