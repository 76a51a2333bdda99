"""Two checkpoints side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from structinit_core.checkpoint import open_tensors
from structinit_core.diagnose import Check, Report, beside, difference_checks, layout_of


def differences(tmp_path: Path, one: dict[str, Tensor], other: dict[str, Tensor]) -> Report:
    paths = []
    for name, tensors in (("one", one), ("other", other)):
        paths.append(tmp_path / f"{name}.safetensors")
        save_file(tensors, paths[-1])
    with open_tensors(paths[0]) as here, open_tensors(paths[1]) as there:
        checks = difference_checks(here, there, layout_of(here, None), layout_of(there, None))
        return Report(subject="one", checks=tuple(checks))


def test_how_far_apart_tensors_are(tmp_path: Path) -> None:
    one, other = (torch.randn(30, 20, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    report = differences(tmp_path, {"w": one}, {"w": other})
    ratio = float((one - other).norm() / other.norm())
    assert report.value("difference", "w") == pytest.approx(ratio, rel=1e-6)
    cosine = torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0)
    assert report.value("cosine", "w") == pytest.approx(float(cosine), rel=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
def test_a_multiple(tmp_path: Path, scale: float) -> None:
    matrix = scale * torch.arange(1.0, 7, dtype=torch.float64)
    report = differences(tmp_path, {"w": 3 * matrix}, {"w": matrix})
    assert report.value("difference", "w") == pytest.approx(2)
    assert report.value("cosine", "w") == pytest.approx(1)


def test_tensors_are_counted(tmp_path: Path) -> None:
    one = {
        "same": torch.ones(3),
        "new": torch.ones(2),
        "moved": torch.ones(2),
        "wide": torch.ones(2),
    }
    other = {"same": torch.ones(3), "old": torch.ones(2), "moved": torch.zeros(2)}
    other["wide"] = torch.ones(3)
    report = differences(tmp_path, one, other)
    names = ("equal", "changed", "other_shape", "only_here", "only_there")
    assert [report.value(name) for name in names] == [1, 1, 1, 1, 1]
    assert report.value("difference", "same") == 0
    assert report.value("difference", "moved") is None
    assert report.value("cosine", "moved") is None


def test_other_dtypes_and_what_is_not_finite(tmp_path: Path) -> None:
    values = torch.randn(50, generator=torch.Generator().manual_seed(0))
    spoilt = values.clone()
    spoilt[3] = torch.nan
    one = {"cast": values.bfloat16(), "spoilt": spoilt, "ids": torch.arange(4)}
    other = {"cast": values, "spoilt": values.clone(), "ids": torch.arange(4)}
    report = differences(tmp_path, one, other)
    assert 0 < float(report.value("difference", "cast") or 0) < 0.01
    assert {check.tensor for check in report.checks if check.tensor} == {"cast"}
    assert (report.value("equal"), report.value("changed")) == (1, 2)


def test_both_values_stand_side_by_side() -> None:
    one = Report(
        subject="one",
        checks=(Check(name="norm", value=2.0, tensor="w"), Check(name="norm", value=1.0)),
    )
    other = Report(subject="two", checks=(Check(name="norm", value=5.0, tensor="w"),))
    both = beside(one, other)
    assert both.against == "two"
    assert [check.against for check in both.checks] == [5.0, None]
    assert [check.value for check in both.checks] == [2.0, 1.0]
