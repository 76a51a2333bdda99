"""The one schema of every diagnostic: a list of named, judged values."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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


class Report(BaseModel):
    """``report.json``: what was looked at, the checks, and remarks in plain words."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)
    schema_id: Literal["structinit/report/1"] = Field("structinit/report/1", alias="schema")
    subject: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

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
