"""The report schema: through JSON and back, look-ups, and what it refuses."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from structinit_core.diagnose import Check, Report, Series

numbers = st.floats(allow_nan=False, allow_infinity=False)
checks = st.builds(
    Check,
    name=st.text(max_size=6),
    value=st.none() | st.integers() | numbers | st.text(max_size=6),
    unit=st.text(max_size=4),
    threshold=st.none() | numbers,
    verdict=st.sampled_from(["ok", "warn", "fail", "info"]),
    tensor=st.none() | st.text(max_size=6),
)
series = st.builds(
    Series,
    name=st.text(max_size=6),
    values=st.lists(numbers, max_size=4).map(tuple),
    unit=st.text(max_size=4),
    tensor=st.none() | st.text(max_size=6),
)
reports = st.builds(
    Report,
    subject=st.text(max_size=6),
    checks=st.lists(checks, max_size=4).map(tuple),
    notes=st.lists(st.text(max_size=6), max_size=2).map(tuple),
    series=st.lists(series, max_size=2).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(reports)
def test_through_json_and_back(report: Report) -> None:
    text = report.model_dump_json(by_alias=True)
    again = Report.model_validate_json(text)
    assert again == report
    # equality does not tell 1 from 1.0 or from "1"
    kinds = [[type(check.value) for check in one.checks] for one in (again, report)]
    assert kinds[0] == kinds[1]
    assert json.loads(text)["schema"] == "structinit/report/1"


@settings(max_examples=60, deadline=None)
@given(reports)
def test_one_failure_fails_the_report(report: Report) -> None:
    assert report.failed == ("fail" in {check.verdict for check in report.checks})


REPORT = Report(
    subject="out",
    checks=(
        Check(name="norm", value=1.5, tensor="wte"),
        Check(name="norm", value=2.5, tensor="wpe"),
        Check(name="loss", value=None),
        Check(name="loss", value=7.0),
    ),
)


def test_values_are_found_by_name_and_tensor() -> None:
    assert REPORT.value("norm", "wpe") == 2.5
    assert REPORT.value("norm", tensor="wte") == 1.5
    assert REPORT.value("loss") is None


@pytest.mark.parametrize("what", [("norm",), ("norm", "head"), ("loss", "wte"), ("",)])
def test_values_that_are_not_there(what: tuple[str, ...]) -> None:
    with pytest.raises(KeyError):
        REPORT.value(*what)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "structinit/report/2"},
        {"schema": None},
        {"checks": None},
        {"checks": [{"name": "loss"}]},
        {"checks": [{"name": "loss", "value": 1, "verdict": "fine"}]},
        {"checks": [{"name": "loss", "value": [1]}]},
    ],
)
def test_other_schemas_are_refused(change: dict[str, Any]) -> None:
    content = REPORT.model_dump(mode="json", by_alias=True)
    assert Report.model_validate(content) == REPORT
    with pytest.raises(ValidationError):
        Report.model_validate(content | change)


def test_a_report_without_series_is_read() -> None:
    content = REPORT.model_dump(mode="json", by_alias=True)
    assert content.pop("series") == []
    assert Report.model_validate(content) == REPORT


@pytest.mark.parametrize(
    "fields", [{"values": (math.nan,)}, {"values": (math.inf,)}, {"values": (1.0,), "at": (1, 2)}]
)
def test_series_are_finite_and_every_value_has_its_place(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Series(name="curve", **fields)


def test_places_are_counted_from_one() -> None:
    assert Series(name="curve", values=(3.0, 2.0)).places() == (1, 2)
    assert Series(name="curve", values=(3.0, 2.0), at=(1, 40)).places() == (1, 40)


def test_reports_do_not_change() -> None:
    with pytest.raises(ValidationError):
        REPORT.checks[0].value = 3.0  # type: ignore[misc]
    with pytest.raises(ValidationError):
        REPORT.subject = "elsewhere"  # type: ignore[misc]
