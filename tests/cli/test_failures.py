"""Every expected failure: one line, its exit code, nothing left behind."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def closed_form(config: Path, output: Path, *more: object) -> tuple[object, ...]:
    return ("closed-form", "--config", config, "-o", output, *more)


@pytest.fixture
def good(tmp_path: Path, book: Path) -> Path:
    """A text that can be counted."""
    path = tmp_path / "good.txt"
    path.write_bytes(gzip.decompress(book.read_bytes())[:20_000])
    return path


@pytest.fixture
def checkpoint_file(tmp_path: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "many.safetensors"
    save_file({f"tensor{i:04}": torch.ones(2, 2) for i in range(2000)}, path)
    return path


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--train-tokenizer", "100"], 2, "--train-tokenizer"),
        ([], 2, "either a tokenizer or a vocabulary size"),
        (["--train-tokenizer", "512", "--memory", "lots"], 2, "is not a size"),
        (["--train-tokenizer", "512", "--device", "cuda"], 8, "is not present"),
        (["--train-tokenizer", "512", "--device", "tpu"], 2, "unknown device"),
        (["--train-tokenizer", "512", "--memory", "2M"], 6, "raise --memory"),
        (["--counts", "nowhere", "--train-tokenizer", "512"], 2, "are counted already"),
        (["--counts", "nowhere"], 3, "nowhere/tokenizer.json: cannot be read"),
    ],
)
def test_bad_options(
    initctl, good: Path, tiny_config: Path, tmp_path: Path, options, code: int, says
) -> None:
    if says == "is not present" and __import__("torch").cuda.is_available():
        pytest.skip("a CUDA device is present")
    run = initctl(
        *closed_form(tiny_config, tmp_path / "out", "--corpus", good, *options),
        cwd=tmp_path,
    )
    assert run.returncode == code, run.stderr
    assert says in " ".join(run.stderr.decode().split())
    assert not (tmp_path / "out").exists()


def test_a_foreign_output_is_kept_unless_forced(
    initctl, counts_path: Path, tiny_config: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "out" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("years of work")
    arguments = closed_form(tiny_config, tmp_path / "out", "--counts", counts_path)
    run = initctl(*arguments)
    assert (run.returncode, mine.read_text()) == (4, "years of work")
    assert "--force" in run.stderr.decode()
    assert initctl(*arguments, "--force").returncode == 0
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_names_in_messages_cannot_drive_the_terminal(initctl, tiny_config, tmp_path) -> None:
    evil = tmp_path / "a\x1b[2Jb.txt"
    evil.write_bytes(b"\xff\n")
    run = initctl(
        *closed_form(tiny_config, tmp_path / "out", "--corpus", evil, "--train-tokenizer", 512)
    )
    assert run.returncode == 3
    assert b"\x1b" not in run.stderr


def test_nan_is_a_crossed_threshold(initctl, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    name = "a\x1b[31mb"
    save_file({name: torch.tensor([1.0, torch.nan])}, tmp_path / "nan.safetensors")
    run = initctl("diagnose", tmp_path / "nan.safetensors")
    assert run.returncode == 7
    assert b"\x1b" not in run.stdout


def test_pipes_are_read_like_files(initctl, book: Path, tmp_path: Path) -> None:
    import threading

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = gzip.decompress(book.read_bytes())
    threading.Thread(target=pipe.write_bytes, args=(text,), daemon=True).start()
    run = initctl("cooc", pipe, "--train-tokenizer", 300, "-o", tmp_path / "counts")
    assert (run.returncode, run.stderr) == (0, b"")


def test_a_reader_that_leaves_ends_the_command_quietly(checkpoint_file: Path) -> None:
    command = [sys.executable, "-m", "initctl", "diagnose", str(checkpoint_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        process.wait(timeout=60)
        assert process.stderr.read() == b""
        assert process.returncode == -signal.SIGPIPE


def test_diagnose_refuses_pickles_and_hostile_files(initctl, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\x80\x04.")
    run = initctl("diagnose", tmp_path / "weights.bin")
    assert (run.returncode, b"never loaded" in run.stderr) == (3, True)
    (tmp_path / "bomb.safetensors").write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    run = initctl("diagnose", tmp_path / "bomb.safetensors")
    assert (run.returncode, b"Traceback" in run.stderr) == (3, False)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_signals_leave_nothing(book: Path, tiny_config, tmp_path: Path, number, code) -> None:
    """The signal arrives while work stands beside the output; it is gone afterwards."""
    arguments = closed_form(
        tiny_config, tmp_path / "out", "--corpus", *[book] * 40, "--train-tokenizer", 512
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "initctl", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _wait_for_work(tmp_path, process)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert [p.name for p in tmp_path.iterdir()] == [".out.lock"]


def test_a_locked_output_is_try_again_later(initctl, counts_path, tiny_config, tmp_path) -> None:
    from filelock import FileLock

    with FileLock(tmp_path / ".out.lock"):
        run = initctl(*closed_form(tiny_config, tmp_path / "out", "--counts", counts_path))
    assert (run.returncode, b"another run" in run.stderr) == (75, True)


def _wait_for_work(directory: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the run has staged something; a run that ends first is a failure of the test."""
    deadline = time.monotonic() + 60
    while not any(".tmp-" in p.name for p in directory.iterdir()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
