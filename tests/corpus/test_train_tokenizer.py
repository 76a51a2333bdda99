"""Training: the same text gives the same bytes, and every text can be said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.corpus import serialise, train_tokenizer, vocabulary_size
from structinit_core.errors import InputError, UsageError

# words of equal frequency: only a tie-break decides which of them is merged first
TRAIN = """
import sys
from structinit_core.corpus import serialise, train_tokenizer

words = [a + b + c for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuväö"]
documents = [" ".join(words[start::7]) for start in range(7)] * 2
sys.stdout.buffer.write(serialise(train_tokenizer(documents, 400)).encode())
"""


ENDLESS = """
import itertools, os
from structinit_core.corpus import train_tokenizer

def documents():
    print("reading", flush=True)
    yield from itertools.repeat("one and the same")

try:
    train_tokenizer(documents(), 300)
except KeyboardInterrupt:
    os._exit(130)
"""


def test_training_can_be_interrupted() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "reading\n"
        run.send_signal(signal.SIGINT)
        try:
            assert run.wait(timeout=20) == 130
        finally:
            run.kill()


def test_separate_processes_give_the_same_bytes() -> None:
    settings_ = [("0", "1"), ("1", "2"), ("4711", "4")]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN],
            env=os.environ | {"PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads},
            stdout=subprocess.PIPE,
        )
        for seed, threads in settings_
    ]
    texts = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert texts[0] == texts[1] == texts[2]
    assert len(json.loads(texts[0])["model"]["vocab"]) == 400


def test_the_document_token_is_id_zero(trained) -> None:
    assert trained.token_to_id("<|endoftext|>") == 0
    assert trained.encode("<|endoftext|>").ids == [0]


@pytest.mark.parametrize("vocabulary", [257, 258, 300])
def test_the_vocabulary_is_filled_but_not_exceeded(vocabulary: int) -> None:
    words = " ".join(f"{a}{b}{c}" for a in "abcdef" for b in "ghijkl" for c in "mnopqr")
    tokenizer = train_tokenizer([words] * 2, vocabulary)
    assert vocabulary_size(tokenizer) == vocabulary
    assert sorted(tokenizer.get_vocab().values()) == list(range(vocabulary))


def test_a_small_corpus_gives_a_smaller_vocabulary() -> None:
    assert vocabulary_size(train_tokenizer(["abc"], 1000)) == 257


def test_a_merge_pays(trained) -> None:
    text = "the cat sat on the mat"
    assert len(trained.encode(text).ids) < len(text)


@pytest.mark.parametrize("vocabulary", [-1, 0, 1, 256])
def test_a_vocabulary_without_room_for_bytes_is_refused(vocabulary: int) -> None:
    with pytest.raises(UsageError, match="257") as caught:
        train_tokenizer(["abc"], vocabulary)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("documents", [[], iter(())])
def test_no_text_is_bad_input(documents) -> None:
    with pytest.raises(InputError, match="no text"):
        train_tokenizer(documents, 300)


def test_documents_are_read_once() -> None:
    documents = iter(["abc abc"] * 3)
    train_tokenizer(documents, 260)
    assert next(documents, None) is None


def test_a_fault_of_the_corpus_keeps_its_class() -> None:
    def documents():
        yield "one"
        raise InputError("damaged", where="a.txt:7")

    with pytest.raises(InputError, match="damaged"):
        train_tokenizer(documents(), 300)


@settings(max_examples=150, deadline=None)
@given(text=st.text())
def test_every_text_survives_encoding(trained, text: str) -> None:
    ids = trained.encode(text).ids
    assert trained.decode(ids, skip_special_tokens=False) == text


@settings(max_examples=20, deadline=None)
@given(text=st.text())
def test_a_tokenizer_survives_its_file(trained, text: str) -> None:
    again = type(trained).from_str(serialise(trained))
    assert again.encode(text).ids == trained.encode(text).ids
    assert serialise(again) == serialise(trained)
