"""The one schema of every diagnostic: named, judged values, and the pictures behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from structinit_core.artifact import pretty_json

REPORT = "report.json"
Verdict = Literal["ok", "warn", "fail", "info"]


class Check(BaseModel):
    """One measured value. ``verdict`` is ``info`` where no threshold applies.

    ``tensor`` names the tensor it is about, as in :class:`Part`; ``None``: the whole subject.
    Values that do not exist (a loss without text) are ``None``, never NaN. ``against`` is the
    same value of the checkpoint compared with.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    value: float | int | str | None
    unit: str = ""
    threshold: float | None = None
    verdict: Verdict = "info"
    tensor: str | None = None
    against: float | int | str | None = None


class Series(BaseModel):
    """One curve of finite values, such as the singular values of a matrix, largest first.

    ``at`` are their places counted from 1, where not every place has a value; empty: 1, 2, 3.
    ``edges``: the values are of bins between these, one more than values. ``tensor`` as in
    :class:`Check`.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    name: str
    values: tuple[float, ...]
    at: tuple[int, ...] = ()
    edges: tuple[float, ...] = ()
    unit: str = ""
    tensor: str | None = None

    @model_validator(mode="after")
    def _one_place_a_value(self) -> Self:
        if self.at and len(self.at) != len(self.values):
            raise ValueError(f"{len(self.values)} values at {len(self.at)} places")
        if self.edges and len(self.edges) != len(self.values) + 1:
            raise ValueError(f"{len(self.values)} bins between {len(self.edges)} edges")
        return self

    def places(self) -> tuple[int, ...]:
        """The place of every value, counted from 1."""
        return self.at or tuple(range(1, len(self.values) + 1))


class Grid(BaseModel):
    """A table of finite values for a picture, row by row, such as how alike heads are.

    ``layer`` counts from 0; ``None``: the whole subject.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    name: str
    rows: tuple[tuple[float, ...], ...]
    layer: int | None = None


class Part(BaseModel):
    """A tensor, or a logical matrix of a fused one (``c_attn.weight[attn_k]``), and its place.

    ``role`` as the blueprint calls it, ``layer`` from 0; ``None`` where no config says it.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    role: str | None = None
    layer: int | None = None


class Report(BaseModel):
    """``report.json``: what was looked at, the checks, remarks in plain words, and pictures.

    ``parts`` are the tensors that checks and series name; ``against`` is the checkpoint that
    ``subject`` was compared with, and ``series_against`` and ``grids_against`` are its own.
    Series and grids only serve pictures; no verdict rests on them. Fields are only ever added
    to this schema.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)
    schema_id: Literal["structinit/report/1"] = Field("structinit/report/1", alias="schema")
    subject: str
    against: str | None = None
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    series: tuple[Series, ...] = ()
    grids: tuple[Grid, ...] = ()
    series_against: tuple[Series, ...] = ()
    grids_against: tuple[Grid, ...] = ()

    @classmethod
    def read(cls, directory: Path) -> Report:
        """The ``report.json`` in ``directory``."""
        return cls.model_validate_json((directory / REPORT).read_text(encoding="utf-8"))

    def write(self, directory: Path) -> None:
        """Write ``report.json`` into ``directory``; equal reports, equal bytes."""
        text = pretty_json(self.model_dump(mode="json", by_alias=True))
        (directory / REPORT).write_text(text, encoding="utf-8")

    def value(self, name: str, tensor: str | None = None) -> float | int | str | None:
        """The value of the first check of this name (and tensor).

        Raises:
            KeyError: there is none.
        """
        for check in self.checks:
            if check.name == name and check.tensor == tensor:
                return check.value
        raise KeyError(name)

    @property
    def failed(self) -> bool:
        """Whether any check has the verdict ``fail``."""
        return any(check.verdict == "fail" for check in self.checks)
