"""Checkpoints of a few tensors, and what the static pass says about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from structinit_core.blueprint import make_blueprint
from structinit_core.checkpoint import open_tensors
from structinit_core.diagnose import Report, static_findings
from structinit_core.diagnose.report import Check, Grid, Part, Series
from structinit_core.progress import Progress, Silent

Examine = Callable[..., Report]


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    """The report on tensors by name, with a config by role; ``more`` goes to the pass."""

    def run(
        tensors: dict[str, Tensor],
        config: dict[str, Any] | None = None,
        progress: Progress | None = None,
        **more: Any,
    ) -> Report:
        path = tmp_path / "model.safetensors"
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path)
        with open_tensors(path) as stored:
            found = list(
                static_findings(
                    stored,
                    make_blueprint(config) if config else None,
                    device=torch.device("cpu"),
                    memory_bytes=more.pop("memory_bytes", 1 << 30),
                    progress=progress or Silent(),
                    **more,
                )
            )
        path.unlink()
        return Report(
            subject="tensors",
            checks=tuple(f for f in found if isinstance(f, Check)),
            parts=tuple(f for f in found if isinstance(f, Part)),
            series=tuple(f for f in found if isinstance(f, Series)),
            grids=tuple(f for f in found if isinstance(f, Grid)),
        )

    return run


@pytest.fixture
def checks_of(examine: Examine) -> Callable[[Tensor], dict[str, Check]]:
    """The checks of one tensor by name, each of them once."""

    def run(tensor: Tensor) -> dict[str, Check]:
        found = [check for check in examine({"weights": tensor}).checks if check.tensor]
        named = {check.name: check for check in found}
        assert len(named) == len(found)
        assert {check.tensor for check in found} == {"weights"}
        return named

    return run
