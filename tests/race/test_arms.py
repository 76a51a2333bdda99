from __future__ import annotations

from pathlib import Path

import pytest

from structinit_core.blueprint import make_blueprint
from structinit_core.errors import IncompatibleError, UsageError
from structinit_core.race.arms import METHODS, parse_arms, refuse_arm

TIED = make_blueprint(
    {"model_type": "gpt2", "vocab_size": 64, "n_embd": 32, "n_layer": 1, "n_head": 2}
)


def test_a_method_names_its_own_arm() -> None:
    (arm,) = parse_arms(["closed-form"])
    assert (arm.name, arm.method, arm.path) == ("closed-form", "closed-form", None)


def test_a_method_under_another_name() -> None:
    (arm,) = parse_arms(["control=shuffled-closed-form"])
    assert arm.name == "control"
    assert arm.shuffled
    assert arm.maker == "closed-form"
    assert arm.source == "shuffled-closed-form"


def test_a_checkpoint_is_known_by_its_name_only(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (arm,) = parse_arms([f"a={tmp_path}/mine"])
    assert arm.path == tmp_path / "mine"
    assert arm.source == "mine"
    assert not arm.shuffled


def test_a_method_wins_over_a_directory_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_arms(["default"])[0].method == "default"
    assert parse_arms(["a=./default"])[0].path == Path("default")


@pytest.mark.parametrize("name", ["", " ", "../x", "-x", "a/b", "a\nb", "é", "x" * 41, "a b"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name an arm"):
        parse_arms([f"{name}=default"])


def test_an_unknown_source_lists_the_methods() -> None:
    with pytest.raises(UsageError) as caught:
        parse_arms(["a=nothing"])
    assert caught.value.hint is not None
    assert all(method in caught.value.hint for method in METHODS)


def test_two_arms_of_one_name() -> None:
    with pytest.raises(UsageError, match="two arms"):
        parse_arms(["a=default", "a=gpt2"])


def test_only_what_counts_has_a_shuffled_control() -> None:
    with pytest.raises(UsageError):
        parse_arms(["shuffled-xavier"])


@pytest.mark.parametrize("method", ["unigram-bias", "shuffled-unigram-bias"])
def test_a_tied_head_has_no_bias(method: str) -> None:
    with pytest.raises(IncompatibleError, match="untied"):
        refuse_arm(parse_arms([method])[0], TIED)


def test_every_other_baseline_takes_a_tied_head() -> None:
    for method in METHODS:
        if "unigram-bias" not in method and "closed-form" not in method:
            refuse_arm(parse_arms([method])[0], TIED)
