"""The layer solve against the formulas written out, and against its own objective."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from structinit_core.errors import NumericalError
from structinit_core.initializers.paired_views import solve_views
from structinit_core.initializers.paired_views.attention import OutputMoments, contexts
from structinit_core.initializers.paired_views.solve import eigenpairs

Pair = tuple[torch.Tensor, torch.Tensor]


def written_out(views: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Σ and Δ of views held whole, about their common mean."""
    first, second = (view.numpy() for view in views)
    mean = (first.mean(0) + second.mean(0)) / 2
    first, second = first - mean, second - mean
    n = len(first)
    own = (first.T @ first + second.T @ second) / (2 * n)
    return own, (first - second).T @ (first - second) / n


@pytest.mark.parametrize("ridge", [0.3, 1.0, 4.0])
def test_the_square_map_is_the_formula(views: Pair, ridge: float) -> None:
    own, unlike = written_out(views)
    root = np.real(scipy.linalg.sqrtm(own))
    inverse = np.linalg.inv(root)
    whitened = inverse @ unlike @ inverse
    middle = ridge * np.linalg.inv(whitened + ridge * np.eye(7))
    solved = solve_views([views], ridge=ridge)
    np.testing.assert_allclose(solved.matrix, root @ middle @ inverse, atol=1e-9)
    generalized = scipy.linalg.eigh(unlike, own, eigvals_only=True)
    np.testing.assert_allclose(solved.disagreements, generalized, atol=1e-9)
    np.testing.assert_allclose(solved.gains, ridge / (generalized + ridge), atol=1e-9)


def test_no_other_operator_has_a_smaller_objective(views: Pair) -> None:
    """E‖G(z₁ − z₂)‖² + λ‖G − I‖² over the rows themselves, at G and near it."""
    ridge = 0.7
    own, _ = written_out(views)
    root = np.real(scipy.linalg.sqrtm(own))
    inverse = np.linalg.inv(root)
    apart = (views[0] - views[1]).numpy() @ inverse

    def objective(operator: np.ndarray) -> float:
        moved = np.square(apart @ operator.T).sum(1).mean()
        return float(moved + ridge * np.square(operator - np.eye(7)).sum())

    best = inverse @ solve_views([views], ridge=ridge).matrix.numpy() @ root
    draw = np.random.default_rng(0)
    least = objective(best)
    for size in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(20):
            assert objective(best + size * draw.standard_normal((7, 7))) > least
    assert least < min(objective(np.eye(7)), objective(np.zeros((7, 7))))


def test_the_source_s_square_map_is_transposed_for_rows(views: Pair) -> None:
    """What rows become in whitened coordinates minimises the objective by the transpose alone."""
    own, _ = written_out(views)
    root = np.real(scipy.linalg.sqrtm(own))
    inverse = np.linalg.inv(root)
    apart = (views[0] - views[1]).numpy()
    square = solve_views([views]).matrix.numpy()

    def objective(matrix: np.ndarray) -> float:
        moved = np.square(apart @ matrix @ inverse).sum(1).mean()
        return float(moved + np.square(root @ matrix @ inverse - np.eye(7)).sum())

    draw = np.random.default_rng(0)
    least = objective(square.T)
    assert objective(square) > 1.01 * least
    for _ in range(20):
        assert objective(square.T + 1e-2 * draw.standard_normal((7, 7))) > least


@pytest.mark.parametrize("cuts", [(1, 399), (13, 200, 387), (0, 400)])
def test_streaming_is_one_shot(views: Pair, cuts: tuple[int, ...]) -> None:
    whole = solve_views([views])
    parts = zip(*(torch.tensor_split(view, cuts) for view in views), strict=True)
    streamed = solve_views(parts)
    torch.testing.assert_close(streamed.matrix, whole.matrix, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(streamed.mean, whole.mean, rtol=1e-12, atol=1e-12)


def test_a_mean_far_from_zero_costs_no_digits(views: Pair) -> None:
    near = solve_views([views]).matrix
    far = solve_views([(views[0] + 1e6, views[1] + 1e6)]).matrix
    torch.testing.assert_close(far, near, rtol=1e-7, atol=1e-7)


def test_the_bottleneck_keeps_the_steadiest_directions(views: Pair) -> None:
    """A_kᵀ Σ A_k = Γ²: whitened coordinates, each shrunk by its gain."""
    own, _ = written_out(views)
    whole, narrow = solve_views([views]), solve_views([views], width=3)
    assert narrow.matrix.shape == (7, 3)
    torch.testing.assert_close(narrow.gains, whole.gains[:3])
    kept = narrow.matrix.numpy().T @ own @ narrow.matrix.numpy()
    np.testing.assert_allclose(kept, np.diag(narrow.gains.numpy() ** 2), atol=1e-9)
    torch.testing.assert_close(solve_views([views], width=99).matrix, whole.matrix)


def test_equal_views_are_left_alone_and_opposite_ones_shrunk_to_a_fifth(views: Pair) -> None:
    same = solve_views([(views[0], views[0])])
    torch.testing.assert_close(same.matrix, torch.eye(7, dtype=torch.float64))
    centred = views[0] - views[0].mean(0)
    opposite = solve_views([(centred, -centred)])
    torch.testing.assert_close(opposite.gains, torch.full((7,), 0.2, dtype=torch.float64))


def test_a_column_that_never_varies_is_no_failure(views: Pair) -> None:
    flat = tuple(torch.cat((view, torch.ones(400, 1)), 1) for view in views)
    solved = solve_views([flat])
    assert solved.matrix.isfinite().all()
    torch.testing.assert_close(
        solved.matrix[:7, :7], solve_views([views]).matrix, rtol=1e-6, atol=1e-6
    )


def test_refusals(views: Pair) -> None:
    with pytest.raises(NumericalError, match="without a row"):
        solve_views([])
    with pytest.raises(NumericalError, match="finite"):
        solve_views([(views[0] * float("nan"), views[1])])
    with pytest.raises(ValueError, match="shapes"):
        solve_views([(views[0], views[1][:, :3])])
    with pytest.raises(ValueError, match="width 3"):
        solve_views([views, (views[0][:, :3], views[1][:, :3])])
    with pytest.raises(ValueError, match="positive"):
        solve_views([views], ridge=0)


def test_it_stays_on_its_device() -> None:
    """Mixed devices raise under FakeTensorMode, without a GPU."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        block = torch.randn(10, 4, device="cuda")
        values, basis = eigenpairs(block.double().T @ block.double())
        mixed = contexts(block.unsqueeze(0), basis.float(), torch.randn(2, 4, 2, device="cuda"))
        towards = OutputMoments()
        towards.add(mixed.flatten(0, 1), block, block)
        output, blend = towards.solve(1.0)
    found = (values, basis, mixed, output, blend)
    assert {part.device.type for part in found} == {"cuda"}
    assert mixed.shape == (1, 10, 8)
