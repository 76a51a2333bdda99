"""Seed 002: encoders from paired views, by covariances and ridge solves, without labels."""

from structinit_core.initializers.paired_views.attention import attended, fed_forward
from structinit_core.initializers.paired_views.compute import Compute
from structinit_core.initializers.paired_views.config import (
    MODEL_TYPE,
    PairedViewsConfig,
    paired_views_config,
)
from structinit_core.initializers.paired_views.encoder import Block, Encoder, empty_encoder
from structinit_core.initializers.paired_views.fit import fit_encoder
from structinit_core.initializers.paired_views.flaws import BlockFlaws, block_flaws, readout_loss
from structinit_core.initializers.paired_views.mlp import MlpLayer, features, fit_mlp
from structinit_core.initializers.paired_views.model import (
    PairedViewsModel,
    fit_model,
    model_of,
    tensor_specs,
)
from structinit_core.initializers.paired_views.moments import ViewMoments
from structinit_core.initializers.paired_views.readout import Readout, calibrate, fit_readout
from structinit_core.initializers.paired_views.solve import LayerSolve, solve_moments, solve_views
from structinit_core.initializers.paired_views.windows import TextWindows, draw_windows, masked

__all__ = [
    "MODEL_TYPE",
    "Block",
    "BlockFlaws",
    "Compute",
    "Encoder",
    "LayerSolve",
    "MlpLayer",
    "PairedViewsConfig",
    "PairedViewsModel",
    "Readout",
    "TextWindows",
    "ViewMoments",
    "attended",
    "block_flaws",
    "calibrate",
    "draw_windows",
    "empty_encoder",
    "features",
    "fed_forward",
    "fit_encoder",
    "fit_mlp",
    "fit_model",
    "fit_readout",
    "masked",
    "model_of",
    "paired_views_config",
    "readout_loss",
    "solve_moments",
    "solve_views",
    "tensor_specs",
]
