"""A paired-views model on disk: safetensors and a config of its own, no Hugging Face family.

No supported family can hold it. All of them have a causal mask, normalise before a branch and
not after it, and multiply queries with keys that are not of unit length; the families that
normalise queries and keys also rotate them. Each would be another function, so nothing is mapped.
"""

from __future__ import annotations

from pathlib import Path

import torch

from structinit_core.artifact import pretty_json
from structinit_core.blueprint import read_config
from structinit_core.checkpoint.reader import open_tensors
from structinit_core.checkpoint.writer import write_checkpoint
from structinit_core.initializers.paired_views import (
    PairedViewsModel,
    model_of,
    paired_views_config,
    tensor_specs,
)
from structinit_core.linalg import Device
from structinit_core.progress import Progress


def write_paired_views(
    directory: Path,
    model: PairedViewsModel,
    progress: Progress,
    hashes: dict[Path, str] | None = None,
) -> None:
    """Write ``model.safetensors``, float32, and ``config.json``; the same model, the same bytes.

    ``hashes`` as in :func:`~structinit_core.checkpoint.write_checkpoint`.
    """
    write_checkpoint(
        directory, tensor_specs(model.config), model.tensors(), progress, hashes=hashes
    )
    config = model.config.model_dump(mode="json")
    (directory / "config.json").write_text(pretty_json(config), encoding="utf-8")


def load_paired_views(directory: Path, device: Device | None = None) -> PairedViewsModel:
    """The model that ``initctl closed-form --method paired-views`` wrote, on ``device`` or CPU.

    Its ``logits`` take windows of T token ids and predict the token after each.

    Raises:
        InputError: a missing or broken file. IncompatibleError: another kind of model, or
            tensors that do not fit its config.
    """
    config = paired_views_config(read_config(directory / "config.json"))
    with open_tensors(directory) as stored:
        tensors = {name: stored.read(name) for name in stored.names}
    return model_of(config, tensors, device or torch.device("cpu"))
