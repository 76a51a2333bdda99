"""Thresholds: what is read, what crosses, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from structinit_core.diagnose import Check, Part, Report, judge, parse_rule, read_rules
from structinit_core.errors import UsageError

REPORT = Report(
    subject="out",
    checks=(
        Check(name="norm", value=3.0, tensor="wte"),
        Check(name="norm", value=5.0, tensor="h.0.c_attn[attn_q]"),
        Check(name="norm", value=10.0, tensor="h.1.c_attn[attn_q]"),
        Check(name="norm", value=None, tensor="h.2"),
        Check(name="alpha_flag", value="ok", tensor="wte"),
        Check(name="loss.model", value=9.5),
    ),
    parts=(
        Part(name="wte", role="embed"),
        Part(name="h.0.c_attn[attn_q]", role="attn_q", layer=0),
        Part(name="h.1.c_attn[attn_q]", role="attn_q", layer=1),
    ),
)


@pytest.mark.parametrize(
    ("text", "value", "tensor", "crossed"),
    [
        ("norm.max>1e1", 10, "h.1.c_attn[attn_q]", False),
        ("norm.max >= 10", 10, "h.1.c_attn[attn_q]", True),
        ("norm.min<3.5", 3, "wte", True),
        ("norm.mean==6", 6, None, True),
        ("norm.sum>18.5", 18, None, False),
        ("norm>9", 10, "h.1.c_attn[attn_q]", True),
        ("norm<4", 3, "wte", True),
        ("norm!=3", 5, "h.0.c_attn[attn_q]", True),
        ("norm[attn_q].mean>7", 7.5, None, True),
        ("norm[attn_q]<5", 5, "h.0.c_attn[attn_q]", False),
        ("norm[h.*].min>4", 5, "h.0.c_attn[attn_q]", True),
        ("norm[h.1.c_attn[attn_q]]>4", 10, "h.1.c_attn[attn_q]", True),
        ("loss.model>9", 9.5, None, True),
        ("loss.model.max>inf", 9.5, None, False),
    ],
)
def test_what_crosses(text: str, value: float, tensor: str | None, crossed: bool) -> None:
    report = judge(REPORT, [parse_rule(text)])
    check = report.checks[0]
    assert (check.value, check.tensor) == (value, tensor)
    assert check.verdict == ("fail" if crossed else "ok")
    assert report.failed == crossed
    assert report.checks[1:] == REPORT.checks


def test_a_warning_fails_nothing() -> None:
    report = judge(REPORT, [parse_rule("norm>9", "warn")])
    assert (report.checks[0].verdict, report.failed) == ("warn", False)


@pytest.mark.parametrize("text", ["condition>9", "norm[mlp_up]>0", "alpha_flag>3"])
def test_what_was_not_measured_warns(text: str) -> None:
    check = judge(REPORT, [parse_rule(text)]).checks[0]
    assert (check.value, check.verdict) == (None, "warn")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "norm",
        "norm>",
        ">3",
        "norm.max=3",
        "norm.max>lots",
        "norm.max>nan",
        "norm.worst>3",
        "nrom.max>3",
        "norm[].max>3",
        "norm.max>1 and rms<3",
        "norm\n>3 4",
        "norm" * 5000,
    ],
)
def test_what_is_no_threshold(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rule(text)
    assert caught.value.hint


def test_a_misspelt_metric_is_set_right() -> None:
    with pytest.raises(UsageError) as caught:
        parse_rule("stable_rnk<3")
    assert "stable_rank" in (caught.value.hint or "")


def test_a_file_of_rules(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text('fail = ["norm.max>1e3", "loss.model>9"]\nwarn = ["stable_rank.min < 2"]\n')
    rules = read_rules(path)
    assert [(rule.metric, rule.of, rule.op, rule.limit, rule.verdict) for rule in rules] == [
        ("norm", "max", ">", 1000, "fail"),
        ("loss.model", None, ">", 9, "fail"),
        ("stable_rank", "min", "<", 2, "warn"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"fail = [",
        b"\xff\xfe",
        b"",
        b"fail = []",
        b'fail = "norm>3"',
        b"fail = [3]",
        b'limits = ["norm>3"]',
        b'fail = ["norm is large"]',
        b"a = " + b"[" * 100_000,
        b"#" * (1 << 20) + b"#",
    ],
    ids=lambda content: ascii(content[:12]),
)
def test_files_that_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "limits.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        read_rules(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"limits\.toml"):
        read_rules(tmp_path / "limits.toml")
