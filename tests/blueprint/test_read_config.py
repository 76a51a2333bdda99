"""Reading ``config.json``: what is no JSON object is bad input, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from structinit_core.blueprint import read_config
from structinit_core.blueprint.config import MAX_CONFIG_BYTES
from structinit_core.errors import InputError


def test_what_was_written_is_read(tmp_path: Path, config: dict[str, Any]) -> None:
    config["name"] = "Größe – 大小"
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    assert read_config(path) == config


BROKEN = {
    "empty": b"",
    "cut off": b'{"n_embd": 12',
    "two values": b"{} {}",
    "not utf-8": b'{"name": "\xe9"}',
    "utf-16": '{"n_embd": 12}'.encode("utf-16"),
    "binary": bytes(range(256)),
    "deep list": b"[" * 200_000 + b"]" * 200_000,
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number of 5,000 digits": b'{"n_embd": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_json(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not JSON") as caught:
        read_config(path)
    assert caught.value.exit_code == 3
    assert caught.value.where == str(path)
    assert len(str(caught.value)) < len(str(path)) + 300


@pytest.mark.parametrize("content", ["[]", "null", "12", '"gpt2"', '[{"model_type": "gpt2"}]'])
def test_what_is_no_object(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(InputError, match="object"):
        read_config(path)


def test_the_size_bound_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b"{}".ljust(MAX_CONFIG_BYTES))
    assert read_config(path) == {}
    path.write_bytes(b"{}".ljust(MAX_CONFIG_BYTES + 1))
    with pytest.raises(InputError, match="1 MiB"):
        read_config(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none.json", tmp_path, tmp_path / "file" / "config.json"):
        with pytest.raises(InputError, match="cannot be read") as caught:
            read_config(path)
        assert caught.value.where == str(path)
