"""Seed 002 from the command line: the encoder, and its race."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SIZES = {
    "model_type": "paired_views",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "landmarks": 4,
    "max_position_embeddings": 16,
    "windows": 500,
}


@pytest.fixture
def fit(initctl, book: Path, counts_path: Path, tmp_path: Path):
    config = tmp_path / "sizes.json"
    config.write_text(json.dumps(SIZES))

    def run(*more: object):
        return initctl(
            *("closed-form", "--method", "paired-views", "--config", config, "--corpus", book),
            *("--documents", "file", "--tokenizer", counts_path / "tokenizer.json"),
            *("--holdout", 0.1, "-o", tmp_path / "out", *more),
        )

    return run


def test_the_encoder_is_published(fit, initctl, tmp_path: Path) -> None:
    plan = fit("--plan")
    assert json.loads(plan.stdout)["method"] == "paired-views"
    assert not (tmp_path / "out").exists()
    made = fit("--json", "--html", tmp_path / "page.html")
    assert made.returncode == 0, made.stderr.decode()
    report = json.loads(made.stdout)["report"]
    assert report["subject"] == "closed-form paired-views (seed 002)"
    names = {check["name"] for check in report["checks"]}
    assert {"loss.model", "flaw.positional_share", "flaw.attention_entropy"} <= names
    assert "positional share" in (tmp_path / "page.html").read_text()
    again = fit()
    assert (again.returncode, again.stdout) == (0, f"{tmp_path}/out\n".encode())
    refused = initctl("export", tmp_path / "out", "--format", "onnx", "-o", tmp_path / "onnx")
    assert refused.returncode == 4
    assert b"'paired_views' is not supported" in refused.stderr


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--stages", "bigram"), 2, "--stages is not of --method paired-views"),
        (("--config", "CONFIG"), 4, "is not 'paired_views'"),
        (("--memory", "8M"), 6, "raise --memory"),
    ],
)
def test_refusals(fit, tiny_config: Path, tmp_path: Path, more, code: int, said: str) -> None:
    done = fit(*(tiny_config if part == "CONFIG" else part for part in more))
    assert done.returncode == code, done.stderr.decode()
    assert said in done.stderr.decode()
    assert not (tmp_path / "out").exists()


def test_the_default_method_still_asks_for_a_config(initctl, book: Path) -> None:
    for command in (("closed-form", "--corpus", book), ("race", "--corpus", book, "--valid", book)):
        done = initctl(*command, "--train-tokenizer", 300, "-o", "out")
        assert done.returncode == 2
        assert b"Missing option '--config'" in done.stderr


def test_the_race_preset(initctl, book: Path, counts_path: Path, tmp_path: Path) -> None:
    base = ("race", "--preset", "paired-views", "--corpus", book, "--valid", book)
    base += ("--tokenizer", counts_path / "tokenizer.json", "-o", tmp_path / "race")
    plan = json.loads(initctl(*base, "--documents", "file", "--seeds", 2, "--plan").stdout)
    assert plan["runs"] == 8
    assert plan["steps"]["backprop"] < plan["steps"]["closed-form-fine-tune"]
    done = initctl(*base, "--steps", 5)
    assert done.returncode == 2
    assert b"--steps is not of --preset paired-views" in done.stderr
    assert not (tmp_path / "race").exists()
