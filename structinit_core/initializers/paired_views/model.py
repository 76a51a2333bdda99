"""The whole written model: encoder and readouts, their tensors by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from structinit_core.blueprint import Kind, Role, TensorSpec
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.paired_views.config import PairedViewsConfig
from structinit_core.initializers.paired_views.encoder import Block, Encoder, position_code
from structinit_core.initializers.paired_views.fit import fit_encoder
from structinit_core.initializers.paired_views.readout import Readout, calibrate, fit_readout
from structinit_core.initializers.paired_views.windows import TextWindows
from structinit_core.linalg import Device
from structinit_core.progress import Progress

_CALIBRATED = 4096
"""Windows that fit the temperature, as in the source."""


@dataclass(frozen=True)
class PairedViewsModel:
    """An encoder with the ridge readouts of its original pipeline: one token a window.

    ``readout`` has one map for the **input** of each block, as the source's has: what the last
    block puts out is read by nothing.
    """

    encoder: Encoder
    readout: Readout

    @property
    def config(self) -> PairedViewsConfig:
        """Sizes and constants."""
        return self.encoder.config

    @torch.no_grad()
    def logits(self, ids: Tensor) -> Tensor:
        """Of the token after each window ``ids`` (b, T), int64: float32 (b, V)."""
        return self.readout.logits(self.encoder.features(ids))

    def tensors(self) -> Iterator[tuple[TensorSpec, Tensor]]:
        """Every tensor in the order of :func:`tensor_specs`."""
        encoder, readout = self.encoder, self.readout
        parts = [encoder.embedding]
        for block in encoder.blocks:
            parts += [
                block.whitening,
                block.projections,
                block.output,
                block.blend,
                block.shrinkage,
            ]
        parts += [*readout.maps, readout.temperature]
        return zip(tensor_specs(self.config), parts, strict=True)


def tensor_specs(config: PairedViewsConfig) -> tuple[TensorSpec, ...]:
    """The stored tensors; all multiply rows from the right. The position code is not stored."""
    d, heads, r = config.hidden_size, config.num_attention_heads, config.landmarks
    v = config.tokens

    def spec(name: str, role: Role, layer: int | None, *shape: int) -> TensorSpec:
        return TensorSpec(name, (role,), Kind.WEIGHT, layer, shape)

    specs = [spec("embedding", Role.EMBED, None, v + 1, d)]
    for i in range(config.num_hidden_layers):
        specs += [
            spec(f"blocks.{i}.whitening", Role.ATTN_Q, i, d, d),
            spec(f"blocks.{i}.projections", Role.ATTN_Q, i, heads, d, r),
            spec(f"blocks.{i}.output", Role.ATTN_OUT, i, heads * d, d),
            spec(f"blocks.{i}.blend", Role.ATTN_OUT, i),
            spec(f"blocks.{i}.shrinkage", Role.MLP_UP, i, d, d),
        ]
    specs += [spec(f"readout.{i}", Role.HEAD, None, d, v) for i in range(config.num_hidden_layers)]
    return (*specs, spec("temperature", Role.HEAD, None))


def model_of(
    config: PairedViewsConfig, tensors: Mapping[str, Tensor], device: Device
) -> PairedViewsModel:
    """The model these tensors are, on ``device``.

    Raises:
        IncompatibleError: one is missing, or has another shape or dtype, or one is too many.
    """
    wanted = {spec.name: spec.shape for spec in tensor_specs(config)}
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors or name not in wanted:
            raise IncompatibleError("is missing" if name in wanted else "is unknown", where=name)
        found = tensors[name]
        if tuple(found.shape) != wanted[name] or found.dtype != torch.float32:
            raise IncompatibleError(
                f"is {found.dtype} {tuple(found.shape)}, not torch.float32 {wanted[name]}",
                where=name,
            )
    at = {name: tensor.to(device) for name, tensor in tensors.items()}
    fields = ("whitening", "projections", "output", "blend", "shrinkage")
    blocks = tuple(
        Block(**{field: at[f"blocks.{i}.{field}"] for field in fields})
        for i in range(config.num_hidden_layers)
    )
    code = position_code(config.max_position_embeddings, config.hidden_size).to(device)
    maps = tuple(at[f"readout.{i}"] for i in range(config.num_hidden_layers))
    return PairedViewsModel(
        Encoder(config, at["embedding"], code, blocks), Readout(maps, at["temperature"])
    )


def fit_model(
    config: PairedViewsConfig,
    windows: TextWindows,
    *,
    seed: int,
    device: Device,
    progress: Progress,
) -> tuple[PairedViewsModel, Readout]:
    """The fitted model, and a readout of one depth more, which also reads the last block.

    First :func:`fit_encoder`, which sees no label; then ridge readouts for the token after each
    window and one temperature from 4,096 windows: the original pipeline's predictor for
    next-token tasks. The benchmark of the source throws these readouts away and lets gradient
    descent draw others: a linear cross-entropy head on all depths of the frozen encoder, or the
    heads of a trainable copy; for those see :mod:`structinit_core.race.paired_views`.

    Raises:
        NumericalError: a solve failed.
    """
    encoder = fit_encoder(config, windows, seed=seed, device=device, progress=progress)
    depths = config.num_hidden_layers + 1
    progress.stage("fitting the readouts", windows.count)
    with torch.no_grad():
        whole = fit_readout(
            lambda: _features(encoder, windows, progress.advance),
            depths,
            config.tokens,
            ridge=config.readout_ridge,
        )
        few = list(_features(encoder, windows.few(_CALIBRATED), lambda: None))
        rows = [torch.cat([part[depth] for part, _ in few]) for depth in range(depths)]
        labels = torch.cat([part for _, part in few])
        readout = calibrate(whole.upto(depths - 1), rows, labels)
        return PairedViewsModel(encoder, readout), calibrate(whole, rows, labels)


def _features(
    encoder: Encoder, windows: TextWindows, done: Callable[[], None]
) -> Iterator[tuple[list[Tensor], Tensor]]:
    device = encoder.embedding.device
    for ids, labels in windows.blocks():
        yield encoder.features(ids.to(device)), labels.to(device)
        done()
