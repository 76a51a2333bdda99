"""The protocol of ``graph-predictions`` and the job that names its graphs and its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from structinit_core.artifact import Recipe, file_input
from structinit_core.corpus import Border
from structinit_core.errors import InputError, UsageError
from structinit_core.initializers.graph import GraphShape, GraphTokens
from structinit_core.race.graph_predictions.domain import DEBIAN, WORDNET, domain_paths
from structinit_core.race.protocol import RaceProtocol

KIND, VERSION = "graph-predictions", 1
_EVALUATED = (0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1)


class GraphPredictionsProtocol(BaseModel):
    """Sizes of the graphs, the texts and the network, and the training all arms share.

    particles: of each graph, those its texts mention and links join most; extra_words: tokens for
    the most frequent words that no label matches, and one more for all others. ginis: of the
    neurons' stakes, from the lowest. AdamW as in every race. Each arm has its own rate on each
    text from a sweep of ``sweep_steps`` at a seed apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    particles: int = Field(1500, ge=16)
    extra_words: int = Field(800, ge=1)
    tokens: int = Field(50_000, ge=256)
    held_out: float = Field(0.1, gt=0, lt=1)
    family: str = "gpt2"
    width: int = Field(192, ge=96)
    layers: int = Field(2, ge=1)
    heads: int = Field(6, ge=1)
    ginis: tuple[float, ...] = (0.0, 0.6, 0.9)
    steps: int = Field(240, ge=4)
    sweep_steps: int = Field(240, ge=1)
    batch_tokens: int = Field(256, ge=64)
    eval_tokens: int = Field(1536, ge=2)
    rates: tuple[float, ...] = (1e-3, 2e-3, 4e-3)
    seeds: int = Field(3, ge=1, le=1000)
    seed: int = Field(0, ge=0, lt=2**63)

    @field_validator("ginis")
    @classmethod
    def _rising(cls, ginis: tuple[float, ...]) -> tuple[float, ...]:
        if (
            len(ginis) < 2
            or list(ginis) != sorted(set(ginis))
            or not 0 <= ginis[0] <= ginis[-1] < 1
        ):
            raise ValueError("two or more levels from 0 to below 1, rising")
        return ginis

    @property
    def evidence_seeds(self) -> tuple[int, ...]:
        """Seeds of the runs that count; the sweep has the seed before them to itself."""
        return tuple(range(self.seed + 1, self.seed + 1 + self.seeds))

    @property
    def evaluated(self) -> tuple[int, ...]:
        """Steps after which the held-out loss is measured."""
        return tuple(sorted({round(share * self.steps) for share in _EVALUATED}))

    def training(self) -> RaceProtocol:
        """The same as every race has it."""
        return RaceProtocol(
            steps=self.steps, batch_tokens=self.batch_tokens, rates=self.rates, seeds=self.seeds
        )

    def shape(self) -> GraphShape:
        """The network's sizes."""
        return GraphShape(self.family, self.width, self.layers, self.heads, 0)

    def config(self, tokens: GraphTokens, vocabulary: int) -> dict[str, object]:
        """The Hugging Face config, of ``vocabulary`` rows."""
        return self.shape().config(tokens) | {"vocab_size": vocabulary}


@dataclass(frozen=True)
class GraphPredictionsRace:
    """Directories of wordnet-3.0 and debian-packages, and a general text as contrast."""

    wordnet: Path
    debian: Path
    general: Sequence[Path]
    protocol: GraphPredictionsProtocol = field(default_factory=GraphPredictionsProtocol)
    border: Border = Border.BLANK
    text_field: str | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.general:
            raise UsageError("graph-predictions needs a general text to contrast with")

    def paths(self) -> list[Path]:
        """Every file read."""
        graphs = [*domain_paths(WORDNET, self.wordnet), *domain_paths(DEBIAN, self.debian)]
        return [*graphs, *self.general]

    def recipe(self) -> Recipe:
        """What decides the result's bytes.

        Raises:
            InputError: a file that is not there.
        """
        for path in self.paths():
            if not path.is_file():
                raise InputError("is not there", where=str(path))
        params = self.protocol.model_dump(mode="json") | {
            "border": self.border.value,
            "text_field": self.text_field,
        }
        inputs = tuple(file_input(path) for path in self.paths())
        return Recipe(kind=KIND, version=VERSION, params=params, inputs=inputs)
