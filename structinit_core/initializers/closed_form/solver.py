"""The fits on the count table: exact up to a size, above it from samples of stated error."""

from __future__ import annotations

import torch

from structinit_core.cooc import KneserNey
from structinit_core.errors import UsageError
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.columns import SampledGradient
from structinit_core.initializers.closed_form.newton import refit_second_order
from structinit_core.initializers.closed_form.recalibrate import (
    fit_bias,
    predicted_marginal,
    relative_error,
)
from structinit_core.initializers.closed_form.refit import (
    REFIT_STEPS,
    refit,
    table_loss,
    target_table,
)
from structinit_core.initializers.closed_form.sampling import chances, draw
from structinit_core.linalg import generator
from structinit_core.progress import Progress

EXACT_VOCABULARY = 16_384
"""Tokens up to which every row and column of the table is taken."""
SAMPLED_COLUMNS = 2048
"""Columns taken in a step of the refit above that, beside the counted followers."""
SAMPLED_ROWS = 8192
"""Contexts that the bias is fitted on above that."""


def refit_multiply_adds(vocabulary: int, rank: int) -> int:
    """Multiply-adds of the dense products of the refit."""
    columns = vocabulary if vocabulary <= EXACT_VOCABULARY else SAMPLED_COLUMNS
    return REFIT_STEPS * 3 * vocabulary * columns * rank


class TableSolver:
    """The KN table of a model on a device, and fits of codes to it.

    Up to :data:`EXACT_VOCABULARY` tokens they see the whole table. Above, a step of the refit
    draws columns, the bias contexts, from ``seed``; ``samples`` says how many, which share of
    the mass was certain, and the error. ``marginal_nats`` is what the bias is expected to cost;
    ``log_normalizer_nats`` is the bias of log Z in the last step only: noise in the gradients
    of the refit costs more, and is not in it.
    """

    def __init__(self, model: KneserNey, seed: int, device: torch.device) -> None:
        self.table = target_table(model, device)
        self.seed = seed
        self.exact = model.vocabulary <= EXACT_VOCABULARY
        self.mass = self.table.mass.cpu().numpy()
        size = model.vocabulary if self.exact else SAMPLED_ROWS
        self.rows = draw(chances(self.mass, size), generator(seed, "closed-form", "rows"))
        self.samples: dict[str, float] = {}

    def loss(self, codes: LogBilinear) -> float:
        """Cross entropy of the table under the codes in nats."""
        return table_loss(codes, self.table, self.rows)

    def refitted(self, codes: LogBilinear, progress: Progress, order: int = 1) -> LogBilinear:
        """The codes after the refit of both factors and the bias, first- or second-order.

        Raises:
            UsageError: the second order of a table that is sampled.
        """
        if order == 2:
            if not self.exact:
                raise UsageError(f"the second-order refit takes at most {EXACT_VOCABULARY} tokens")
            drawn = generator(self.seed, "closed-form", "curvatures")
            return refit_second_order(codes, self.table, progress, drawn)
        if self.exact:
            return refit(codes, self.table, progress)
        drawn = generator(self.seed, "closed-form", "columns")
        gradient = SampledGradient(self.table, SAMPLED_COLUMNS, drawn)
        better = refit(codes, self.table, progress, gradient=gradient)
        self.samples |= {
            "columns": SAMPLED_COLUMNS,
            "columns_certain_mass": gradient.certain_mass,
            "log_normalizer_error": gradient.error,
            "log_normalizer_nats": gradient.error**2 / 2,
        }
        return better

    def rebalanced(self, codes: LogBilinear) -> LogBilinear:
        """The codes with the bias that makes their mean prediction the table's marginal."""
        table, rows = self.table, self.rows
        balanced = fit_bias(codes, table.mass, table.marginal, rows)
        if not self.exact:
            error = relative_error(*predicted_marginal(balanced, table.mass, rows))
            self.samples |= {
                "rows": len(rows.items),
                "rows_certain_mass": rows.certain_share(self.mass),
                "marginal_error": error,
                "marginal_nats": error**2 / 2,
            }
        return balanced
