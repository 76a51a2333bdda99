"""Where dense linear algebra runs: an explicit device, or a stated choice for ``auto``."""

from __future__ import annotations

import torch

from structinit_core.errors import MissingError, UsageError

Device = torch.device
"""Where tensors live; a name for rooms that do not import torch."""
_WORTH_MOVING = 10**11
"""Multiply-adds below which copying to an accelerator is not worth its start-up."""


def resolve_device(request: str, multiply_adds: int) -> tuple[torch.device, str]:
    """The torch device for work of this size, and the reason in one phrase.

    ``cpu`` and ``cuda[:n]`` are taken as they are; ``auto`` takes CUDA where it is present
    and the work is large.

    Raises:
        MissingError: CUDA was asked for and is not there.
        UsageError: not a device this program uses.
    """
    if request == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu"), "no CUDA device is present"
        if multiply_adds < _WORTH_MOVING:
            return torch.device("cpu"), "the work is too small to be worth moving"
        return torch.device("cuda"), "CUDA is present and the work is large"
    try:
        device = torch.device(request)
    except RuntimeError as error:
        raise UsageError(f"unknown device {request!r}", hint="use auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device {request!r} is not supported", hint="use auto, cpu or cuda")
    if device.type == "cuda" and (
        not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()
    ):
        raise MissingError(f"device {request!r} is not present", hint="use --device auto or cpu")
    return device, "as requested"
