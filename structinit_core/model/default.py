"""A family's own random initialisation: what transformers draws where nothing is loaded."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from structinit_core.blueprint import Role, make_blueprint
from structinit_core.errors import IncompatibleError
from structinit_core.linalg import generator
from structinit_core.model.load import check_config, first_line, quiet


def default_tensors(config: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    """The state dict of a fresh transformers model of ``config``: float32 on the CPU.

    Names are those of the checkpoint; a tied head comes under both of its names. float32
    whatever the config's dtype. Deterministic for ``seed`` and the versions of torch and
    transformers; torch's global random state stays as it was.

    Raises:
        IncompatibleError: the config has no blueprint, or transformers cannot build it.
    """
    blueprint = make_blueprint(config)
    settings = check_config(config)
    draw = int(generator(seed, "transformers default").integers(2**63))
    with quiet(), torch.random.fork_rng(devices=[]):
        # torch.manual_seed would seed CUDA's generators too, which are not brought back.
        torch.default_generator.manual_seed(draw)
        try:
            model = transformers.AutoModelForCausalLM.from_config(
                settings,
                trust_remote_code=False,
                dtype=torch.float32,
            )
        except Exception as error:  # each validator of transformers raises a class of its own
            raise IncompatibleError(
                f"config: transformers cannot build it ({first_line(error)})"
            ) from error
    tensors: dict[str, torch.Tensor] = dict(model.state_dict())
    # transformers calls every head lm_head in memory, and in checkpoints as the family does.
    for spec in blueprint.tensors:
        if Role.HEAD in spec.roles and spec.name not in tensors:
            tensors[spec.name] = tensors.pop("lm_head.weight")
    return tensors
