"""The one schema of every diagnostic: named, judged values, and the curves behind them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Verdict = Literal["ok", "warn", "fail", "info"]


class Check(BaseModel):
    """One measured value. ``verdict`` is ``info`` where no threshold applies.

    ``tensor`` names the tensor it is about; ``None``: the whole subject. Values that do not
    exist (a loss without text) are ``None``, never NaN.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    value: float | int | str | None
    unit: str = ""
    threshold: float | None = None
    verdict: Verdict = "info"
    tensor: str | None = None


class Series(BaseModel):
    """One curve of finite values, such as the singular values of a matrix, largest first.

    ``at`` are their places counted from 1, where not every place has a value; empty: 1, 2, 3.
    ``tensor`` as in :class:`Check`.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    name: str
    values: tuple[float, ...]
    at: tuple[int, ...] = ()
    unit: str = ""
    tensor: str | None = None

    @model_validator(mode="after")
    def _one_place_a_value(self) -> Self:
        if self.at and len(self.at) != len(self.values):
            raise ValueError(f"{len(self.values)} values at {len(self.at)} places")
        return self

    def places(self) -> tuple[int, ...]:
        """The place of every value, counted from 1."""
        return self.at or tuple(range(1, len(self.values) + 1))


class Report(BaseModel):
    """``report.json``: what was looked at, the checks, remarks in plain words, and curves.

    ``series`` only serves pictures; no verdict rests on it.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)
    schema_id: Literal["structinit/report/1"] = Field("structinit/report/1", alias="schema")
    subject: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()

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
