"""The device policy: what is taken, what is chosen and what is refused."""

from __future__ import annotations

import pytest
import torch

from structinit_core.errors import MissingError, UsageError
from structinit_core.linalg import resolve_device

SMALL, LARGE = 10**6, 10**14


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without CUDA, whatever this one is."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two CUDA devices; resolving must not start either."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("request_", ["cpu", "auto"])
@pytest.mark.parametrize("work", [0, SMALL, LARGE])
def test_without_cuda_all_work_is_on_the_cpu(request_: str, work: int) -> None:
    device, reason = resolve_device(request_, work)
    assert device == torch.device("cpu")
    assert reason


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("request_", ["cuda", "cuda:0", "cuda:3"])
def test_absent_cuda_is_missing_and_never_replaced(request_: str) -> None:
    with pytest.raises(MissingError, match=request_) as caught:
        resolve_device(request_, SMALL)
    assert caught.value.exit_code == 8
    assert "cpu" in (caught.value.hint or "")


@pytest.mark.usefixtures("two_gpus")
def test_auto_moves_only_large_work() -> None:
    (small, why_small), (large, why_large) = (
        resolve_device("auto", work) for work in (SMALL, LARGE)
    )
    assert (small.type, large.type) == ("cpu", "cuda")
    assert why_small != why_large


@pytest.mark.usefixtures("two_gpus")
def test_a_device_named_is_the_device_taken() -> None:
    for name in ("cpu", "cuda", "cuda:0", "cuda:1"):
        assert resolve_device(name, LARGE)[0] == torch.device(name)
    with pytest.raises(MissingError):
        resolve_device("cuda:2", LARGE)


@pytest.mark.parametrize(
    "request_", ["", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "auto:0", "cpu,cuda", "0"]
)
def test_nonsense_is_a_usage_error(request_: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_device(request_, SMALL)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("request_", ["meta", "mps", "xpu", "xla"])
def test_devices_of_other_kinds_are_refused(request_: str) -> None:
    with pytest.raises(UsageError, match=request_) as caught:
        resolve_device(request_, SMALL)
    assert "cuda" in (caught.value.hint or "")
