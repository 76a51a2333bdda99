"""The real transformers model of a checkpoint directory, loaded strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from structinit_core.errors import IncompatibleError


def load_model(directory: Path, device: torch.device) -> torch.nn.Module:
    """The causal language model in ``directory``: float32, evaluation mode, on ``device``.

    Nothing is fetched, no code of the directory is run, only safetensors are read.

    Raises:
        IncompatibleError: transformers cannot build it, or weights are missing, unexpected
            or of another shape.
    """
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            str(directory),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else "no reason"
        raise IncompatibleError(
            f"transformers cannot load it ({reason})", where=str(directory)
        ) from error
    finally:
        transformers.logging.set_verbosity(verbosity)
    _refuse_incomplete(info, directory)
    loaded: torch.nn.Module = model.eval().to(device)
    return loaded


def _refuse_incomplete(info: dict[str, Any], directory: Path) -> None:
    for key, complaint in (
        ("missing_keys", "the model needs a tensor that is not there"),
        ("unexpected_keys", "holds a tensor that the model does not know"),
        ("mismatched_keys", "holds a tensor of another shape than the model's"),
    ):
        names = sorted(str(name) for name in info.get(key, ()))
        if names:
            raise IncompatibleError(f"{complaint}: {names[0]}", where=str(directory))
