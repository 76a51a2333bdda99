"""A checkpoint to export, ours or anyone's: config held against tensors, values on demand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from structinit_core.blueprint import Blueprint, TensorSpec, make_blueprint, read_config
from structinit_core.checkpoint import DTYPES, StoredTensors, open_tensors
from structinit_core.errors import IncompatibleError, NumericalError, UsageError

_STORED = {"F64": None, "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_BASE = re.compile(r"^(transformer|gpt_neox|model)\.")
_BUFFER = re.compile(r"\.(attn|attention)\.(masked_)?bias$|\.rotary_emb\.inv_freq$")
"""Masks and rotary tables that old checkpoints store; they follow from the config."""


@dataclass(frozen=True)
class Source:
    """A checkpoint whose tensors are those of its config.

    ``stored`` maps each blueprint name to the checkpoint's: they differ where a model without
    its head was saved. ``dtype`` is a key of the checkpoint room's ``DTYPES``, ``None`` where no
    single one of them is the dtype of every tensor.
    """

    path: Path
    config: dict[str, Any]
    blueprint: Blueprint
    stored: dict[str, str]
    dtype: str | None

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The tensors of an export, in order: all that are not tied."""
        return tuple(spec for spec in self.blueprint.tensors if not spec.tied_to)

    def target(self, asked: str | None) -> str:
        """The dtype to write: the one asked for, else the checkpoint's own.

        Raises:
            UsageError: an unknown name. IncompatibleError: the checkpoint has no single dtype.
        """
        if asked is not None and asked not in DTYPES:
            raise UsageError(f"unknown dtype {asked!r}", hint=f"one of {', '.join(DTYPES)}")
        if asked is None and self.dtype is None:
            raise IncompatibleError(
                "its tensors are of several dtypes, or float64",
                where=str(self.path),
                hint=f"choose one with --dtype: {', '.join(DTYPES)}",
            )
        return asked or str(self.dtype)

    def tensors(self, dtype: str) -> Iterator[tuple[TensorSpec, Tensor]]:
        """Each of ``specs`` with its values as they are stored, one at a time.

        Raises:
            InputError: a tensor cannot be read.
            NumericalError: a finite value that ``dtype`` cannot hold.
        """
        with open_tensors(self.path) as stored:
            for spec in self.specs:
                tensor = stored.read(self.stored[spec.name])
                if torch.finfo(tensor.dtype).max > torch.finfo(DTYPES[dtype]).max:
                    _refuse_overflow(spec.name, tensor, DTYPES[dtype])
                yield spec, tensor


def read_source(path: Path, config: Path | None = None) -> Source:
    """The checkpoint at ``path``: a Hugging Face directory, or a file and the ``config`` for it.

    Only headers are read, and a tied head that is stored nevertheless.

    Raises:
        InputError: unreadable. UsageError: a bare file without a config, an ONNX graph.
        IncompatibleError: an unknown family, or tensors that are not the config's.
    """
    if path.suffix == ".onnx" or (
        (path / "model.onnx").is_file() and not any(path.glob("*.safetensors"))
    ):
        raise UsageError(
            "is an ONNX graph, which is written and never read",
            where=str(path),
            hint="give the checkpoint it was made of",
        )
    if config is None and path.is_file():
        raise UsageError("a file of weights needs the config of its model", hint="give --config")
    fields = read_config(config or path / "config.json")
    blueprint = make_blueprint(fields)
    if "quantization_config" in fields:
        raise IncompatibleError("config: quantised weights are not supported")
    with open_tensors(path) as tensors:
        stored = _match(blueprint, tensors)
        dtypes = {_dtype(name, tensors) for name in stored.values()}
    return Source(path, fields, blueprint, stored, dtypes.pop() if len(dtypes) == 1 else None)


def _match(blueprint: Blueprint, tensors: StoredTensors) -> dict[str, str]:
    """The checkpoint's name of every tensor that is not tied."""
    left = set(tensors.names)
    stored = {}
    for spec in blueprint.tensors:
        names = [name for name in (spec.name, _BASE.sub("", spec.name)) if name in left]
        if not names and not spec.tied_to:
            raise IncompatibleError("the config needs it, the checkpoint lacks it", where=spec.name)
        if not names:
            continue
        left.remove(names[0])
        shape = tensors.header(names[0])[1]
        if shape != spec.shape:
            raise IncompatibleError(
                f"has shape {list(shape)}, the config needs {list(spec.shape)}", where=names[0]
            )
        if not spec.tied_to:
            stored[spec.name] = names[0]
        elif not _same(tensors, names[0], stored[spec.tied_to]):
            raise IncompatibleError(
                f"differs from {spec.tied_to}, and the config ties them", where=names[0]
            )
    for name in sorted(left):
        if not _BUFFER.search(name):
            raise IncompatibleError(f"is no tensor of this {blueprint.family} config", where=name)
    return stored


def _same(tensors: StoredTensors, one: str, other: str) -> bool:
    if tensors.header(one) != tensors.header(other):
        return False
    return torch.equal(tensors.read(one), tensors.read(other))


def _dtype(name: str, tensors: StoredTensors) -> str | None:
    dtype = tensors.header(name)[0]
    if dtype not in _STORED:
        raise IncompatibleError(f"holds {dtype}, not floating-point numbers", where=name)
    return _STORED[dtype]


def _refuse_overflow(name: str, tensor: Tensor, dtype: torch.dtype) -> None:
    low, high = (float(bound) for bound in torch.aminmax(tensor))
    most = torch.finfo(dtype).max
    if most < max(-low, high) < float("inf"):
        raise NumericalError(
            f"holds {max(-low, high):.4g}, more than {str(dtype).removeprefix('torch.')} can",
            where=name,
            hint="choose another --dtype",
        )
