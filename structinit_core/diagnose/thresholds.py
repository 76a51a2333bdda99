"""Thresholds a user sets: ``norm.max>1e3``, one by one or in a TOML file."""

from __future__ import annotations

import math
import operator
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from structinit_core.diagnose.metrics import METRICS
from structinit_core.diagnose.report import Check, Report, Verdict
from structinit_core.errors import UsageError

_RULE = re.compile(
    r"\s*(?P<metric>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)\s*(?:\[(?P<where>[^\[\]]+(?:\[\w+\])?)\])?"
    r"\s*(?:\.(?P<of>max|min|mean|sum))?\s*(?P<op><=|>=|==|!=|<|>)\s*(?P<limit>\S+)\s*"
)
_SUMMARIES = ("max", "min", "mean", "sum")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_FORM = "write METRIC[ROLE or NAME].max>NUMBER; also .min .mean .sum, < <= >= == !="
_MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Rule:
    """``metric`` of the parts whose role or name matches ``where``, summarised by ``of``.

    Without ``of`` any single value that crosses is enough. ``verdict`` is given when
    ``op limit`` holds.
    """

    text: str
    metric: str
    where: str | None
    of: str | None
    op: str
    limit: float
    verdict: Verdict = "fail"

    def crossed(self, value: float) -> bool:
        """Whether ``value`` crosses the threshold."""
        return _OPERATORS[self.op](value, self.limit)


def parse_rule(text: str, verdict: Verdict = "fail") -> Rule:
    """The rule in ``text``: ``METRIC[WHERE].SUMMARY OP NUMBER``.

    ``[WHERE]``, a role or a pattern of tensor names with ``*``, and the summary (max, min,
    mean, sum) may be left out. A metric is a name of :data:`METRICS`.

    Raises:
        UsageError: anything else.
    """
    found = _RULE.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no threshold", hint=_FORM)
    metric, of = found["metric"], found["of"]
    if of is None and found["where"] is None:
        head, _, last = metric.rpartition(".")
        if head and last in _SUMMARIES:
            metric, of = head, last
    if metric not in METRICS:
        near = get_close_matches(metric, METRICS, 3) or ["norm", "stable_rank", "alpha"]
        raise UsageError(
            f"{text!r}: nothing measures {metric!r}", hint=f"measured are {', '.join(near)} …"
        )
    try:
        limit = float(found["limit"])
    except ValueError:
        limit = math.nan
    if math.isnan(limit):
        raise UsageError(f"{text!r}: {found['limit']!r} is no number", hint=_FORM)
    return Rule(text.strip(), metric, found["where"], of, found["op"], limit, verdict)


def read_rules(path: Path) -> list[Rule]:
    """The rules of a TOML file with the lists ``fail`` and ``warn`` of rules as texts.

    Raises:
        UsageError: unreadable, not TOML, anything but these two lists, or no rule.
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise UsageError(f"{path}: is larger than 1 MiB")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is not TOML ({error})") from error
    verdicts: tuple[Verdict, ...] = ("fail", "warn")
    if unknown := sorted(set(content) - set(verdicts)):
        raise UsageError(f"{path}: {unknown[0]!r} is not 'fail' or 'warn'")
    rules = []
    for verdict in verdicts:
        texts = content.get(verdict, [])
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise UsageError(f"{path}: {verdict!r} is not a list of texts")
        rules += [parse_rule(text, verdict) for text in texts]
    if not rules:
        raise UsageError(f"{path}: holds no threshold", hint='fail = ["norm.max>1e3"]')
    return rules


def judge(report: Report, rules: Sequence[Rule]) -> Report:
    """``report`` with one more check for each rule: its value, and its verdict where crossed.

    The value is the summary, or without one the value that crosses furthest, and ``tensor``
    where it is. A rule that nothing was measured for has no value and warns.
    """
    if not rules:
        return report
    roles = {part.name: part.role for part in report.parts}
    judged = [_judged(rule, report.checks, roles) for rule in rules]
    return report.model_copy(update={"checks": (*judged, *report.checks)})


def _judged(rule: Rule, checks: Iterable[Check], roles: dict[str, str | None]) -> Check:
    found = [
        (float(check.value), check.tensor)
        for check in checks
        if check.name == rule.metric
        and isinstance(check.value, int | float)
        and _matches(rule.where, check.tensor, roles)
    ]
    name = f"threshold {rule.text}"
    if not found:
        return Check(name=name, value=None, threshold=_shown(rule.limit), verdict="warn")
    value, tensor = _summary(rule, found)
    verdict = rule.verdict if rule.crossed(value) else "ok"
    return Check(
        name=name, value=value, threshold=_shown(rule.limit), verdict=verdict, tensor=tensor
    )


def _matches(where: str | None, tensor: str | None, roles: dict[str, str | None]) -> bool:
    if where is None:
        return True
    if tensor is None:
        return False
    return roles.get(tensor) == where or tensor == where or fnmatchcase(tensor, where)


def _summary(rule: Rule, found: list[tuple[float, str | None]]) -> tuple[float, str | None]:
    values = [value for value, _ in found]
    if rule.of in ("mean", "sum"):
        total = math.fsum(values)
        return (total / len(values) if rule.of == "mean" else total), None
    if rule.of is None and rule.op in ("==", "!="):
        crossing = [pair for pair in found if rule.crossed(pair[0])]
        return (crossing or found)[0]
    largest = rule.of == "max" or (rule.of is None and rule.op in (">", ">="))
    return (max if largest else min)(found, key=lambda pair: pair[0])


def _shown(limit: float) -> float | None:
    return limit if math.isfinite(limit) else None
