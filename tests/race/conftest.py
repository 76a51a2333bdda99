from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from structinit_core.blueprint import make_blueprint, read_config
from structinit_core.checkpoint import write_checkpoint
from structinit_core.initializers.baselines import baseline_stream
from structinit_core.model import Bucket, Induction
from structinit_core.progress import Silent
from structinit_core.race import RaceJob, RaceProtocol, parse_arms, race_starts
from structinit_core.race.result import (
    ArmResult,
    Arrival,
    BucketChange,
    Curve,
    Estimate,
    Milestone,
    RaceResult,
    References,
    Target,
    Trial,
)

STEPS = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
TARGETS = (Target(name="default at 30 %", loss=5.1), Target(name="default at the end", loss=4.6))
REFERENCES = References(uniform=6.24, unigram=5.52, kn2=4.52, kn3=4.41, tokens=32768)


def near(mean: float, width: float = 0.02) -> Estimate:
    return Estimate(mean=mean, low=mean - width, high=mean + width, n=3)


def curve_of(start: float, end: float) -> Curve:
    mean = [start + (end - start) * math.log1p(s) / math.log1p(1000) for s in STEPS]
    mean[-1] = end
    runs = tuple(tuple(y + d for y in mean) for d in (-0.03, 0.0, 0.03))
    low, high = (tuple(y + d for y in mean) for d in (-0.08, 0.08))
    return Curve(steps=STEPS, mean=tuple(mean), low=low, high=high, runs=runs)


def make_arm(name: str = "default", start: float = 6.25, end: float = 4.6, **changes: Any):
    """A finished arm of three seeds; ``changes`` replace its fields."""
    curve = curve_of(start, end)
    lead = None if name == "default" else near(end - 4.6)
    losses = dict(zip(curve.steps, curve.mean, strict=True))
    milestones = [
        Milestone(share=s / 1000, step=s, loss=near(losses[s]), difference=lead)
        for s in (10, 30, 100, 300, 1000)
    ]
    buckets = [
        BucketChange(
            start=Bucket(low=low, high=high, tokens=100 + low, loss=start + 1),
            end=Bucket(low=low, high=high, tokens=100 + low, loss=end + 1),
        )
        for low, high in ((0, 1), (1, 10), (10, 100), (100, None))
    ]
    given = {
        "name": name,
        "source": name,
        "status": "finished",
        "learning_rate": 2e-3,
        "warmup": 0.05,
        "sweep": [
            Trial(learning_rate=1e-3, warmup=0.05, loss=end + 0.1),
            Trial(learning_rate=2e-3, warmup=0.05, loss=end),
            Trial(learning_rate=4e-3, warmup=0.05, loss=None),
        ],
        "seeds": (1, 2, 3),
        "diverged_seeds": (),
        "start_seconds": 0.05 if name == "default" else 2.5,
        "step_seconds": 0.041,
        "curve": curve,
        "milestones": milestones,
        "arrivals": [
            Arrival(
                target=TARGETS[0].name, reached=3, seeds=3, steps=near(312.5, 9), seconds=near(13)
            ),
            Arrival(
                target=TARGETS[1].name, reached=2, seeds=3, steps=near(940, 30), seconds=near(40)
            ),
        ],
        "final_difference": lead,
        "seconds_saved": lead and near(17.25, 2.1),
        "crossover_step": None,
        "gradient_norms": {"embed": 0.31, "layer 0": 1.92, "layer 1": 1.4, "head": 0.7},
        "buckets": buckets,
        "induction_start": Induction(first=start, second=start),
        "induction_end": Induction(first=end, second=end - 0.5),
        "verdict": f"What is to be said of {name}.",
    }
    return ArmResult.model_validate(given | changes)


def empty_arm(name: str = "waiting", **changes: Any) -> ArmResult:
    """An arm of which nothing is known yet."""
    nothing = dict.fromkeys(
        (
            *("learning_rate", "warmup", "start_seconds", "step_seconds", "curve"),
            *("final_difference", "seconds_saved", "crossover_step"),
            *("induction_start", "induction_end"),
        )
    )
    none = dict.fromkeys(
        ("sweep", "seeds", "diverged_seeds", "milestones", "arrivals", "buckets"), ()
    )
    given = {"name": name, "source": name, "status": "unfinished", "gradient_norms": {}}
    return ArmResult.model_validate(
        given | nothing | none | {"verdict": "Unfinished: 0 of 3 seeds."} | changes
    )


@pytest.fixture
def make_result() -> Callable[..., RaceResult]:
    """A race of ``arms``: by default four, one of them diverged; ``changes`` replace fields."""

    def make(*arms: ArmResult, **changes: Any) -> RaceResult:
        given = {
            "complete": True,
            "baseline": "default",
            "network": {"model_type": "gpt2", "n_layer": 2, "parameters": 123456},
            "text": {"train": {"tokens": 70000}, "valid": ["a.txt", "b.txt"]},
            "protocol": {"steps": 1000, "rates": [1e-3, 2e-3], "clip": 1.0, "decay": None},
            "machine": {"cpu": "some", "cuda": False},
            "references": REFERENCES,
            "targets": TARGETS,
            "arms": arms
            or (
                make_arm(),
                make_arm("unigram-bias", 5.55, 4.58),
                make_arm("closed-form", 4.72, 4.45),
                make_arm("bad", 14.02, 4.8, crossover_step=300),
                empty_arm("dead", status="diverged", verdict="Diverged at every learning rate."),
            ),
            "notes": ("a remark",),
        }
        return RaceResult.model_validate(given | changes)

    return make


@pytest.fixture
def arm() -> Callable[..., ArmResult]:
    return make_arm


@pytest.fixture
def waiting() -> Callable[..., ArmResult]:
    return empty_arm


class Reader(HTMLParser):
    """Every element with its attributes, and text outside of the style; refuses unclosed tags."""

    VOID = frozenset(("meta", "br", "rect", "line", "circle", "polyline", "polygon"))

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and data.strip():
            self.texts.append(data.strip())

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def labels(self) -> list[str]:
        """Text alternatives of the line charts."""
        return [svg["aria-label"] or "" for svg in self.tags("svg") if svg.get("class") == "lines"]


@pytest.fixture
def read() -> type[Reader]:
    return Reader


ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "fixtures" / "configs" / "gpt2-d64-l2.json"
STUDY = ROOT / "fixtures" / "corpora" / "a-study-in-scarlet.txt.gz"
PROTOCOL = RaceProtocol(steps=8, batch_tokens=128, eval_tokens=512, rates=(2e-3, 4e-3), seeds=2)


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("texts")
    words = ["the", "cat", "saw", "a", "dog", "and", "the", "dog", "saw", "the", "cat", "."]
    train, valid = directory / "train.txt", directory / "valid.txt"
    lines = [" ".join(words[i % 11 :] + words[: i % 7]) for i in range(600)]
    train.write_text("\n\n".join(lines), encoding="utf-8")
    held_out = [" ".join(words[i % 5 :] + words[: i % 9] + words[i % 3 : 7]) for i in range(60)]
    valid.write_text("\n\n".join(held_out), encoding="utf-8")
    return train, valid


def build_job(texts: tuple[Path, Path], *arms: str, **changed: Any) -> RaceJob:
    """A small race of ``arms`` on ``texts``."""
    given = {
        "config": CONFIG,
        "corpus": [texts[0]],
        "valid": [texts[1]],
        "arms": parse_arms(arms or ("default", "xavier-zero-gain")),
        "protocol": PROTOCOL,
        "train_vocabulary": 300,
    }
    return RaceJob(**(given | changed))


@pytest.fixture(scope="session")
def job() -> Callable[..., RaceJob]:
    return build_job


@pytest.fixture(scope="session")
def made_start() -> Callable[[Path], Path]:
    """Writes a checkpoint of the network without a tokenizer."""

    def make(directory: Path) -> Path:
        made = directory / "start"
        made.mkdir()
        blueprint = make_blueprint(read_config(CONFIG))
        write_checkpoint(made, blueprint.tensors, baseline_stream("gpt2", blueprint, 0), Silent())
        shutil.copy(CONFIG, made / "config.json")
        return made

    return make


@pytest.fixture(scope="session")
def finished(texts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished") / "race"
    assert race_starts(build_job(texts), output)
    return output
