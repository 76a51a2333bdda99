"""The commands as a shell sees them: streams, paths, JSON, stdin, plan."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def checkpoint(initctl, counts_path: Path, tiny_config: Path, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("cli") / "out"
    run = initctl("closed-form", "--config", tiny_config, "--counts", counts_path, "-o", output)
    assert (run.returncode, run.stdout.decode(), run.stderr) == (0, f"{output}\n", b"")
    return output


def test_cooc_publishes_and_is_silent(initctl, book: Path, tmp_path: Path) -> None:
    arguments = ("cooc", book, "--train-tokenizer", 400, "--offsets", 2, "-o", tmp_path / "counts")
    for _ in range(2):
        run = initctl(*arguments)
        assert run.returncode == 0
        assert run.stdout.decode() == f"{tmp_path / 'counts'}\n"
        assert run.stderr == b""
    facts = json.loads((tmp_path / "counts" / "counts.json").read_text())
    assert facts["vocabulary"] == 400
    assert facts["offsets"] == 2


def test_json_is_one_object_and_tells_a_hit_from_work(
    initctl, book: Path, tiny_config: Path, tmp_path: Path
) -> None:
    arguments = ("closed-form", "--config", tiny_config, "--corpus", book)
    arguments += ("--train-tokenizer", 512, "-o", tmp_path / "out", "--json")
    made, again = (json.loads(initctl(*arguments).stdout) for _ in range(2))
    assert (made["up_to_date"], again["up_to_date"]) == (False, True)
    assert made["report"] == again["report"]
    assert made["report"]["schema"] == "structinit/report/1"


def test_several_corpus_files_after_one_option(
    initctl, book: Path, tiny_config: Path, tmp_path: Path
) -> None:
    extra = tmp_path / "extra.jsonl"
    extra.write_text('{"body": "one more document"}\n{"body": "and another"}\n' * 40)
    text = tmp_path / "text.jsonl"
    lines = gzip.decompress(book.read_bytes()).decode().splitlines()
    text.write_text("".join(json.dumps({"body": line}) + "\n" for line in lines))
    base = ("closed-form", "--config", tiny_config, "--text-field", "body")
    run = initctl(*base, "--corpus", text, extra, "--train-tokenizer", 512, "-o", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    names = [item["name"] for item in manifest["recipe"]["inputs"]]
    assert names == ["gpt2-d64-l2.json", "text.jsonl", "extra.jsonl"]


def test_stdin_counts_as_the_file_would(initctl, book: Path, tmp_path: Path) -> None:
    options = ("--train-tokenizer", 300, "--offsets", 1, "-o")
    assert initctl("cooc", book, *options, tmp_path / "file").returncode == 0
    text = gzip.decompress(book.read_bytes())
    assert initctl("cooc", "-", *options, tmp_path / "pipe", stdin=text).returncode == 0
    for name in ("offset1.data.npy", "trigram.keys.npy", "tokenizer.json"):
        assert (tmp_path / "file" / name).read_bytes() == (tmp_path / "pipe" / name).read_bytes()


def test_plan_prints_and_writes_nothing(
    initctl, book: Path, tiny_config: Path, tmp_path: Path
) -> None:
    arguments = ("closed-form", "--config", tiny_config, "--corpus", book)
    run = initctl(*arguments, "--train-tokenizer", 512, "-o", tmp_path / "out", "--plan")
    forecast = json.loads(run.stdout)
    assert list(tmp_path.iterdir()) == []
    assert initctl(*arguments, "--train-tokenizer", 512, "-o", tmp_path / "out").returncode == 0
    written = (tmp_path / "out" / "model.safetensors").stat().st_size
    assert 0 <= written - forecast["checkpoint_bytes"] < 8192
    run_record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run_record["peak_memory_bytes"] <= forecast["memory_bytes"]


def test_diagnose_a_bare_file(initctl, checkpoint: Path) -> None:
    run = initctl("diagnose", checkpoint / "model.safetensors", "--json")
    report = json.loads(run.stdout)
    by_tensor = {c["tensor"] for c in report["checks"] if c["name"] == "stable_rank"}
    assert "transformer.wte.weight" in by_tensor
    assert all(c["value"] == 0 for c in report["checks"] if c["name"] in ("nan", "inf"))


def test_diagnose_agrees_with_the_report_of_the_build(
    initctl, checkpoint: Path, counts_path: Path
) -> None:
    run = initctl("diagnose", checkpoint, "--counts", counts_path, "--json")
    found = {c["name"]: c["value"] for c in json.loads(run.stdout)["checks"]}
    built = json.loads((checkpoint / "report.json").read_text())
    for check in built["checks"]:
        if check["name"].startswith(("loss.", "gap.")) and check["name"] != "loss.offline":
            assert found[check["name"]] == pytest.approx(check["value"], abs=1e-6), check["name"]


def test_diagnose_on_other_text(initctl, checkpoint: Path, counts_path: Path) -> None:
    other = Path(__file__).parents[2] / "fixtures" / "corpora" / "frankenstein.txt.gz"
    options = ("--text", other, "--max-tokens", 20_000)
    with_counts = initctl("diagnose", checkpoint, "--counts", counts_path, *options, "--json")
    without = initctl("diagnose", checkpoint, *options, "--json")
    full, bare = (
        {c["name"]: c["value"] for c in json.loads(run.stdout)["checks"] if not c["tensor"]}
        for run in (with_counts, without)
    )
    assert full["loss.model"] == bare["loss.model"]
    assert full["loss.model"] < full["loss.unigram"] < full["loss.uniform"]
    assert "loss.kn2" not in bare
    assert 15_000 < full["scored"] <= 20_000


def test_diagnose_prints_short_tables(initctl, checkpoint: Path) -> None:
    table = initctl("diagnose", checkpoint).stdout.decode()
    assert "transformer.h.*.attn.c_attn.weight" in table
    assert "stable_rank" in table
    assert len(table.splitlines()) < 100


def test_a_group_of_tensors_is_its_range_and_the_worst_comes_first(initctl, tmp_path: Path):
    import torch
    from safetensors.torch import save_file

    tensors = {f"h.{i}.w": (i + 1) * torch.eye(4) for i in range(500)}
    tensors["z.0.[red]spoilt"] = torch.tensor([1.0, torch.nan])
    save_file(tensors, tmp_path / "many.safetensors")
    run = initctl("diagnose", tmp_path / "many.safetensors")
    table = run.stdout.decode()
    assert run.returncode == 7
    assert len(table.splitlines()) < 60
    (row,) = (
        line for line in table.splitlines() if "h.*.w" in line and "…" in line and "4x4" not in line
    )
    assert {"500", "1…500"} <= set(row.replace("│", " ").split())
    assert table.index("[red]spoilt") < table.index("h.*.w")


def test_thresholds_end_with_seven(initctl, checkpoint: Path, tmp_path: Path) -> None:
    rules = tmp_path / "limits.toml"
    rules.write_text('fail = ["norm.max>1e6"]\nwarn = ["stable_rank.min<1e6"]\n')
    passed = initctl("diagnose", checkpoint, "--thresholds", rules, "--json")
    assert passed.returncode == 0
    verdicts = [check["verdict"] for check in json.loads(passed.stdout)["checks"][:2]]
    assert verdicts == ["ok", "warn"]
    crossed = initctl("diagnose", checkpoint, "--thresholds", rules, "--fail-on", "norm.max>1e-6")
    assert crossed.returncode == 7
    assert b"fail" in crossed.stdout
    wrong = initctl("diagnose", checkpoint, "--fail-on", "nrom>3")
    assert (wrong.returncode, wrong.stderr.count(b"\n")) == (2, 1)
    assert b"norm" in wrong.stderr


def test_two_checkpoints_stand_side_by_side(initctl, checkpoint: Path) -> None:
    run = initctl("diagnose", checkpoint, "--against", checkpoint / "model.safetensors")
    table = run.stdout.decode()
    assert run.returncode == 0
    assert "out against model.safetensors" in table
    assert "difference" in table
