"""The spectral self-attention block: heads from shared directions, output by ridge, one blend."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from structinit_core.initializers.paired_views.moments import ViewMoments
from structinit_core.initializers.paired_views.solve import eigenpairs, roots

_LEAST_NORM = 1e-8


def attention_weights(states: Tensor, whitening: Tensor, projections: Tensor) -> Tensor:
    """Weights (b, H, T, T) of ``states`` (b, T, d): softmax of q kᵀ/√r with q = k of length 1.

    ``whitening`` (d, d) and ``projections`` (H, d, r) make q = k = normalise(h Σ^-½ P). There is
    no causal mask. Scores lie within ±1/√r, so with r = 8 no weight can be more than e^0.71
    times another one of its row.
    """
    queries = (states @ whitening).unsqueeze(1) @ projections
    queries = torch.nn.functional.normalize(queries, dim=-1, eps=_LEAST_NORM)
    scores = queries @ queries.transpose(-1, -2) / math.sqrt(projections.shape[-1])
    return torch.softmax(scores, dim=-1)


def contexts(states: Tensor, whitening: Tensor, projections: Tensor) -> Tensor:
    """Weighted means of the states themselves, head after head: (b, T, H·d).

    The values are the raw states: there is no value map.
    """
    weights = attention_weights(states, whitening, projections)
    mixed = weights @ states.unsqueeze(1)
    return mixed.transpose(1, 2).flatten(-2)


def layer_norm(states: Tensor, epsilon: float) -> Tensor:
    """Mean out, divided by the deviation; no gain and no bias."""
    return torch.nn.functional.layer_norm(states, states.shape[-1:], eps=epsilon)


def attended(
    states: Tensor,
    whitening: Tensor,
    projections: Tensor,
    output: Tensor,
    blend: Tensor,
    epsilon: float,
) -> Tensor:
    """LN(αh + (1 − α)cO): (b, T, d)."""
    alpha = blend.clamp(0.0, 1.0)
    mixed = contexts(states, whitening, projections) @ output
    return layer_norm(alpha * states + (1 - alpha) * mixed, epsilon)


def fed_forward(states: Tensor, shrinkage: Tensor, epsilon: float) -> Tensor:
    """LN(h + relu(hA)): no bias, no expansion, and no output matrix that could subtract."""
    return layer_norm(states + torch.relu(states @ shrinkage), epsilon)


def spectral_heads(
    moments: ViewMoments, heads: int, landmarks: int, floor: float
) -> tuple[Tensor, Tensor]:
    """Σ^-½ (d, d) and the projections (H, d, r), float64, from the moments of all positions.

    S = Σ^-½ C Σ^-½ = U diag(ρ) Uᵀ, ρ descending; head i has the r eigenvectors after i·r.
    """
    own, shared = moments.covariances()
    _, inverse = roots(own, floor)
    _, basis = eigenpairs(inverse @ shared @ inverse)
    leading = basis.flip(-1)[:, : heads * landmarks]
    return inverse, leading.T.reshape(heads, landmarks, -1).transpose(1, 2).contiguous()


class OutputMoments:
    """What the output map and the blend are solved from, gathered block by block in float64.

    Memory: O((Hd)²).
    """

    def __init__(self) -> None:
        self._gram = self._with_states = self._with_mean = torch.zeros(())
        self._states = self._states_mean = torch.zeros(())

    def add(self, context: Tensor, states: Tensor, mean: Tensor) -> None:
        """Take in rows of one view: contexts (n, Hd), states (n, d), mean of both views (n, d)."""
        c, h, m = context.double(), states.double(), mean.double()
        self._gram = self._gram + c.T @ c
        self._with_states = self._with_states + c.T @ h
        self._with_mean = self._with_mean + c.T @ m
        self._states = self._states + h.square().sum()
        self._states_mean = self._states_mean + (h * m).sum()

    def solve(self, ridge: float) -> tuple[Tensor, Tensor]:
        """O = argmin Σ‖cO − h̄‖² + λ‖O‖² (Hd, d), and α of the blend, a scalar; float64.

        α = clip(⟨h − cO, h̄ − cO⟩ / ‖h − cO‖², 0, 1) minimises Σ‖αh + (1 − α)cO − h̄‖² over
        [0, 1]; where every cO is h it is 1.
        """
        eye = torch.eye(len(self._gram), dtype=self._gram.dtype, device=self._gram.device)
        output = torch.linalg.solve(self._gram + ridge * eye, self._with_mean)
        squared = (output * (self._gram @ output)).sum()
        crossed = (output * self._with_states).sum()
        targeted = (output * self._with_mean).sum()
        apart = self._states - 2 * crossed + squared
        towards = self._states_mean - crossed - targeted + squared
        blend = torch.where(apart > 0, towards / apart, 1.0).clamp(0.0, 1.0)
        return output, blend
