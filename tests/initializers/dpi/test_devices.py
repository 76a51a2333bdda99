from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from structinit_core.blueprint import Blueprint
from structinit_core.initializers.dpi import choose
from structinit_core.initializers.dpi.bases import Manifold
from structinit_core.initializers.dpi.ground import Ground
from structinit_core.initializers.dpi.head import head_losses
from structinit_core.initializers.dpi.layer import layer_parts
from structinit_core.initializers.dpi.schedule import Depth
from structinit_core.linalg import cluster_centres, generator


@pytest.mark.parametrize(
    ("variant", "signatures"),
    [("pid8", True), ("v14.1", True), ("v16.2", True), ("best", True), ("best", False)],
)
def test_cuda_tensors_never_meet_cpu_tensors(
    blueprint: Blueprint, variant: str, signatures: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Device mixing raises under FakeTensorMode, without a GPU."""
    device = torch.device("cuda")
    # moving what the host drew would start CUDA: it is taken for moved
    monkeypatch.setattr(torch, "from_numpy", lambda array: torch.empty(array.shape))
    own = torch.Tensor.to

    def to(tensor: torch.Tensor, target: object, *more: object) -> torch.Tensor:
        if isinstance(target, torch.device):
            return torch.empty_like(tensor, device=target)
        return own(tensor, target, *more)

    monkeypatch.setattr(torch.Tensor, "to", to)
    settings = replace(choose(variant), up_noise=0.1, phase_shift=0.9, signatures=signatures)
    with FakeTensorMode():
        width = blueprint.width
        square = torch.empty(width, width, device=device)
        components = Manifold(torch.empty(width, device=device), square)

        def clusters(count: int) -> torch.Tensor:
            return torch.empty(count, width, device=device)

        for layer in range(6):
            cosines = torch.empty(blueprint.feed_forward, width, device=device)
            ground = Ground(components, square, cosines, clusters, {})
            parts = layer_parts(settings, blueprint, Depth(layer, 6), ground, 0, device)
            assert all(part.device.type == "cuda" for part in parts.values())
        states, targets = torch.empty(9, width, device=device), torch.zeros(9, device=device)
        losses = head_losses(states, torch.empty(40, width, device=device), targets.long())
        assert losses.device.type == "cuda"


@pytest.mark.cuda
def test_clusters_on_cuda_are_as_good_as_on_the_cpu() -> None:
    drawn = generator(0, "points").standard_normal((500, 8))
    errors = []
    for device in ("cpu", "cuda"):
        points = torch.from_numpy(drawn).float().to(device)
        centres = cluster_centres(points, 20, generator(0, "clusters"))
        assert centres.device.type == device
        errors.append(float(torch.cdist(points, centres).min(dim=1).values.square().mean()))
    assert errors[0] == pytest.approx(errors[1], rel=0.1)
