"""The real transformers model of a checkpoint directory, loaded strictly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers

from structinit_core.errors import IncompatibleError


def check_config(config: dict[str, Any]) -> Any:
    """Transformers' own object of ``config``, refused before any work where it refuses.

    Raises:
        IncompatibleError: with the first line of transformers' reason.
    """
    family = str(config.get("model_type"))
    fields = {key: value for key, value in config.items() if key != "model_type"}
    with quiet():
        try:
            return transformers.AutoConfig.for_model(family, **fields)
        except Exception as error:  # each validator of transformers raises a class of its own
            raise IncompatibleError(
                f"config: transformers refuses it ({first_line(error)})"
            ) from error


def load_model(directory: Path, device: torch.device) -> torch.nn.Module:
    """The causal language model in ``directory``: float32, evaluation mode, on ``device``.

    Nothing is fetched, no code of the directory is run, only safetensors are read.

    Raises:
        IncompatibleError: transformers cannot build it, or weights are missing, unexpected
            or of another shape.
    """
    with quiet():
        try:
            model, info = transformers.AutoModelForCausalLM.from_pretrained(
                str(directory),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
        except Exception as error:  # as above, and whatever a hostile config makes it raise
            raise IncompatibleError(
                f"transformers cannot load it ({first_line(error)})", where=str(directory)
            ) from error
    _refuse_incomplete(info, directory)
    loaded: torch.nn.Module = model.eval().to(device)
    return loaded


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from writing to the terminal; its settings come back afterwards."""
    log = transformers.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()


def first_line(error: Exception) -> str:
    """The first line of the reason that transformers gives, at most 200 characters."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip()[:200] if lines else type(error).__name__


def _refuse_incomplete(info: dict[str, Any], directory: Path) -> None:
    for key, complaint in (
        ("missing_keys", "the model needs a tensor that is not there"),
        ("unexpected_keys", "holds a tensor that the model does not know"),
        ("mismatched_keys", "holds a tensor of another shape than the model's"),
    ):
        names = sorted(str(name) for name in info.get(key, ()))
        if names:
            raise IncompatibleError(f"{complaint}: {names[0]}", where=str(directory))
