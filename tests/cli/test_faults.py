"""One table of what can be wrong: each fault its exit code and line, and nothing left behind."""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CORPUS, CONFIG = "corpus.txt", "config.json"


@dataclass(frozen=True)
class Fault:
    """Files and config fields that differ from a good run, and how the run must end."""

    code: int
    says: str
    corpus: str = CORPUS
    content: bytes | None = None
    config: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ("--train-tokenizer", "512")
    files: dict[str, bytes] = field(default_factory=dict)
    output: str = "made/out"
    file_bytes: int | None = None


BOOK = Path(__file__).parents[2] / "fixtures" / "corpora" / "a-study-in-scarlet.txt.gz"
FAULTS = {
    "invalid UTF-8": Fault(
        3, "corpus.txt:2: invalid UTF-8 at byte 3", content="ok\ncaf\xe9\n".encode("latin-1")
    ),
    "missing field": Fault(
        3,
        "c.jsonl:2: field 'text' is missing (found: 'body')",
        "c.jsonl",
        b'{"text": "fine"}\n{"body": "not here"}\n',
    ),
    "not JSON": Fault(3, "c.jsonl:1: not a JSON record", "c.jsonl", b"nonsense\n"),
    "truncated gzip": Fault(3, "truncated gzip", "c.txt.gz", BOOK.read_bytes()[:40_000]),
    "empty corpus": Fault(3, "the corpus holds no text", content=b""),
    "blank corpus": Fault(3, "the corpus holds no text", content=b" \n\n \n"),
    "missing corpus": Fault(3, "nowhere.txt: cannot be read", "nowhere.txt"),
    "a directory": Fault(3, "is a directory", "."),
    "no tokenizer": Fault(3, "is not a tokenizer.json", options=("--tokenizer", "t.json")),
    "vocabulary above the config's": Fault(
        4, "has 512 tokens, the config only vocab_size 300", config={"vocab_size": 300}
    ),
    "unknown architecture": Fault(4, "'mamba' is not supported", config={"model_type": "mamba"}),
    "code in the config": Fault(4, "auto_map", config={"auto_map": {"AutoModel": "x.y"}}),
    "refused by transformers": Fault(4, "transformers refuses it", config={"attn_pdrop": "lots"}),
    "no size": Fault(4, "'n_embd' must be a positive integer", config={"n_embd": "wide"}),
    "absurd vocabulary": Fault(6, "'vocab_size' is 1000000000000", config={"vocab_size": 10**12}),
    "absurd depth": Fault(6, "'n_layer' is 1000000", config={"n_layer": 10**6}),
    "larger than memory": Fault(
        6, "raise --memory", config={"vocab_size": 10**6, "n_embd": 2048, "n_positions": 64}
    ),
    "config is no object": Fault(3, "is not a JSON object", files={CONFIG: b"[1]"}),
    "config with NaN": Fault(3, "is not JSON", files={CONFIG: b'{"a": NaN}'}),
    "unwritable output": Fault(3, "cannot be written", output="t.json/out"),
    "full disk": Fault(6, "the disk is full", file_bytes=50_000),
}


def arguments(directory: Path, fault: Fault, config: Path) -> list[str]:
    fields = json.loads(config.read_text()) | fault.config
    (directory / CONFIG).write_text(json.dumps(fields))
    (directory / CORPUS).write_bytes(gzip.decompress(BOOK.read_bytes())[:50_000])
    (directory / "t.json").write_text("{}")
    if fault.content is not None:
        (directory / fault.corpus).write_bytes(fault.content)
    for name, content in fault.files.items():
        (directory / name).write_bytes(content)
    (directory / "made").mkdir()
    command = ["closed-form", "--config", CONFIG, "--corpus", fault.corpus, *fault.options]
    return [sys.executable, "-m", "initctl", *command, "-o", fault.output]


def limited(file_bytes: int | None) -> Callable[[], None] | None:
    """Files may not grow beyond a size: what a full disk does, without filling one."""
    if file_bytes is None:
        return None
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_ends_in_its_line_and_code(fault: Fault, tiny_config: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        arguments(tmp_path, fault, tiny_config),
        cwd=tmp_path,
        capture_output=True,
        preexec_fn=limited(fault.file_bytes),
        timeout=120,
        check=False,
    )
    error = run.stderr.decode()
    assert (run.returncode, run.stdout) == (fault.code, b""), error
    assert fault.says in error
    assert "Traceback" not in error
    warnings = [line for line in error.splitlines() if "warning:" in line]
    assert len(error.splitlines()) - len(warnings) == 1
    left = [path.name for path in (tmp_path / "made").iterdir()]
    assert [name for name in left if not name.endswith(".lock")] == []


def test_a_corpus_of_one_token_compiles(initctl, tiny_config: Path, tmp_path: Path) -> None:
    text = tmp_path / "one.txt"
    text.write_text("a")
    options = ("--train-tokenizer", 512, "-o", tmp_path / "out")
    run = initctl("closed-form", "--config", tiny_config, "--corpus", text, *options)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "out" / "model.safetensors").is_file()


KILLER = """
import os, signal, sys
from pathlib import Path
from structinit_core import ClosedFormJob, CountSource, closed_form

class Killer:
    at = None
    def stage(self, name, total=None):
        self.at = name
    def advance(self, steps=1):
        if self.at == sys.argv[4]:
            os.kill(os.getpid(), signal.SIGKILL)
    def warn(self, message):
        pass

config, text, output = map(Path, sys.argv[1:4])
closed_form(
    ClosedFormJob(config, CountSource([text], train_vocabulary=512, holdout=0.1)),
    output,
    progress=Killer(),
)
"""


@pytest.mark.parametrize(
    ("stage", "older"),
    [
        ("tokenizing", False),
        ("counting", False),
        ("refit on the count table", False),
        ("writing", True),
        ("scoring the checkpoint", False),
    ],
)
def test_killed_at_any_stage_nothing_half_written_is_visible(
    initctl, tiny_config: Path, tmp_path: Path, stage: str, older: bool
) -> None:
    output = tmp_path / "out"
    command = ("closed-form", "--config", tiny_config, "--corpus", BOOK, "--holdout", 0.1)
    command += ("--train-tokenizer", 512, "-o", output)
    if older:
        assert initctl(*command, "--seed", 7).returncode == 0
        old = (output / "manifest.json").read_bytes()
    killed = subprocess.run(
        [sys.executable, "-c", KILLER, *map(str, (tiny_config, BOOK, output)), stage],
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        check=False,
    )
    assert killed.returncode == -9
    assert output.exists() == older
    if older:
        assert (output / "manifest.json").read_bytes() == old
    assert initctl(*command).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "out"]
