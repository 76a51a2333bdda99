from __future__ import annotations

import numpy as np
import torch

from structinit_core.linalg import cluster_centres, generator


def blobs(sizes: tuple[int, ...], width: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    draw = generator(0, "blobs")
    means = torch.from_numpy(20 * draw.standard_normal((len(sizes), width)))
    noise = torch.from_numpy(0.1 * draw.standard_normal((sum(sizes), width)))
    points = means.repeat_interleave(torch.tensor(sizes), 0) + noise
    return points[torch.from_numpy(draw.permutation(len(points)))].float(), means.float()


def test_every_point_is_near_a_centre_where_there_are_more_centres_than_groups() -> None:
    points, _ = blobs((50, 30, 20))
    centres = cluster_centres(points, 12, generator(0, "clusters"))
    assert torch.cdist(points, centres).min(dim=1).values.max() < 1


def test_the_largest_cluster_comes_first() -> None:
    points, means = blobs((90, 10))
    centres = cluster_centres(points, 2, generator(1, "clusters"))
    assert torch.cdist(centres, means).argmin(dim=1).tolist() == [0, 1]


def test_centres_are_means_of_what_is_nearest_to_them() -> None:
    points = torch.from_numpy(generator(0, "cloud").standard_normal((400, 3))).float()
    previous = None
    for rounds in range(2):
        centres = cluster_centres(points, 4, generator(rounds, "clusters"))
        labels = torch.cdist(points, centres).argmin(dim=1)
        error = sum(
            float((points[labels == at] - c).square().sum()) for at, c in enumerate(centres)
        )
        assert error < 0.7 * float((points - points.mean(dim=0)).square().sum())
        previous = centres if previous is None else previous
    assert not torch.equal(previous, centres)


def test_same_seed_same_bits_whatever_the_global_state() -> None:
    points, _ = blobs((40, 40, 40))
    found = []
    for state in (0, 1):
        np.random.seed(state)  # noqa: NPY002
        torch.manual_seed(state)
        found.append(cluster_centres(points, 7, generator(0, "clusters")))
    assert torch.equal(*found)


def test_more_clusters_than_points_repeat_points() -> None:
    points = torch.eye(3)
    centres = cluster_centres(points, 8, generator(0, "clusters"))
    assert centres.shape == (8, 3)
    assert torch.isfinite(centres).all()
    assert torch.cdist(points, centres).min(dim=1).values.max() == 0


def test_equal_points_give_no_nan() -> None:
    centres = cluster_centres(torch.ones(10, 2), 4, generator(0, "clusters"))
    assert torch.equal(centres, torch.ones(4, 2))
