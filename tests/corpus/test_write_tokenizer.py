"""The tokenizer files of a checkpoint, as transformers reads them."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, models

from structinit_core.corpus import find_frame, serialise, write_tokenizer

TEXTS = ["the cat sat", "  two  spaces , and a comma .", "zwölf Bären 🙂\n\n日本語", ""]


def test_transformers_gives_the_same_ids(trained: Tokenizer, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    write_tokenizer(serialise(trained), tmp_path, 64)
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    for text in TEXTS:
        assert loaded(text)["input_ids"] == trained.encode(text).ids
        assert loaded.decode(loaded(text)["input_ids"]) == text
    frame = find_frame(trained)
    assert frame is not None
    assert (loaded.bos_token_id, loaded.eos_token_id) == (frame.begin_id, frame.end_id)
    assert loaded.model_max_length == 64
    assert len(loaded) == trained.get_vocab_size()


def test_the_file_is_written_byte_for_byte(trained: Tokenizer, tmp_path: Path) -> None:
    write_tokenizer(serialise(trained), tmp_path, 64)
    assert (tmp_path / "tokenizer.json").read_bytes() == serialise(trained).encode()


def test_without_a_frame_no_special_tokens_are_named(tmp_path: Path) -> None:
    write_tokenizer(serialise(Tokenizer(models.WordLevel({"a": 0}, "a"))), tmp_path, 8)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert "bos_token" not in config
    assert "eos_token" not in config
    assert config["model_max_length"] == 8
