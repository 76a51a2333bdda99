"""Sequential bootstrapping: every layer from the activations of those already made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec
from structinit_core.errors import NumericalError
from structinit_core.initializers.dpi.bases import manifold
from structinit_core.initializers.dpi.calibration import calibrated_gain
from structinit_core.initializers.dpi.cosines import warped_cosines
from structinit_core.initializers.dpi.ground import Ground, Parts
from structinit_core.initializers.dpi.head import head_losses, whitened
from structinit_core.initializers.dpi.layer import MORPHED, layer_facts, layer_parts
from structinit_core.initializers.dpi.lexical import Lexical
from structinit_core.initializers.dpi.progression import Progression, Sources
from structinit_core.initializers.dpi.sample import Probe
from structinit_core.initializers.dpi.schedule import Depth
from structinit_core.initializers.dpi.settings import CALIBRATIONS, DpiSettings
from structinit_core.initializers.stream import Compiled, compiled_tensor, finite
from structinit_core.linalg import cluster_centres, generator
from structinit_core.model import Blocks
from structinit_core.progress import Progress

_NORMS = (Role.ATTN_NORM, Role.MLP_NORM)


@dataclass(frozen=True)
class Made:
    """The stored tensors of one layer by name, the progression after it, and its facts."""

    tensors: dict[str, Tensor]
    after: Progression


class LayerSequence:
    """The tensors of a model in blueprint order, made as they are asked for.

    ``progression`` is where to go on from after the last tensor that was handed out: a layer
    is made whole, so it is what entered the layer until all its tensors are out.
    """

    def __init__(
        self,
        settings: DpiSettings,
        blueprint: Blueprint,
        lexical: Lexical,
        *,
        dtype: torch.dtype,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> None:
        self._settings, self._blueprint, self._lexical = settings, blueprint, lexical
        self._dtype, self._seed, self._device = dtype, seed, device
        self._progress = progress
        self._blocks = Blocks(blueprint, device)
        self._cosines: Tensor | None = None
        if settings.dct or settings.bands:
            rows = blueprint.feed_forward
            self._cosines = warped_cosines(rows, blueprint.width, settings.zipf_warp).to(device)
        self.progression = Progression()

    def begin(self, sources: Sources) -> None:
        """Embed the sample, the probes and what is clustered: where the first layer begins."""
        embed = self._rounded(self._lexical.embed)
        position = self._lexical.position
        if position is not None:
            position = self._rounded(position)

        def entered(ids: Tensor) -> Tensor:
            stream = embed[ids] if position is None else embed[ids] + position[: ids.shape[1]]
            return stream.to(self._device)

        centres = None
        if sources.clustered is not None:
            points = entered(sources.clustered).flatten(0, 1)
            draw = generator(self._seed, "dpi", "embedded clusters")
            centres = cluster_centres(points, self._blueprint.width, draw)
        self.progression = Progression(
            layer=0,
            stream=entered(sources.sample),
            probes=[entered(probe.ids) for probe in sources.probes],
            centres=centres,
        )

    def tensors(self, first: int = 0) -> Iterator[tuple[TensorSpec, Tensor]]:
        """Stored tensors, the first ``first`` left out: those of a run that is resumed.

        Raises:
            NumericalError: a tensor holds NaN or infinity.
        """
        specs = [spec for spec in self._blueprint.tensors if not spec.tied_to]
        made: Made | None = None
        last = {spec.layer: spec for spec in specs}
        for spec in specs[first:]:
            if spec.layer is None:
                tensor = self.around(spec)
            else:
                if made is None:
                    made = self._make(self.progression)
                    self._progress.stage("writing")
                tensor = made.tensors.pop(spec.name)
                if spec is last[spec.layer]:
                    self.progression, made = made.after, None
            if not finite(tensor):
                raise NumericalError("holds NaN or infinity", where=spec.name)
            yield spec, tensor

    def losses(self, probes: Sequence[Probe]) -> float | None:
        """Mean nats of the probes' scored tokens after the last layer; ``None`` without any."""
        if not probes:
            return None
        normed = self._final_tensors()
        head = self._head().to(self._device)
        found = []
        for probe, stream in zip(probes, self.progression.probes, strict=True):
            states = self._blocks.final_norm(normed, stream)[:, :-1]
            targets = probe.targets.to(self._device)
            scored = targets >= 0
            found.append(head_losses(states[scored], head, targets[scored]))
        return float(torch.cat(found).double().mean())

    def _make(self, before: Progression) -> Made:
        blueprint, settings = self._blueprint, self._settings
        depth = Depth(before.layer, blueprint.layers)
        stream = before.stream.flatten(0, 1)

        def clusters(count: int) -> Tensor:
            draw = generator(self._seed, "dpi", f"layer {depth.layer}", f"{count} clusters")
            return cluster_centres(stream, count, draw)

        self._progress.stage("basis of the activations")
        components = manifold(stream)
        ground = Ground(components, before.centres, self._cosines, clusters, before.previous)
        self._progress.stage("weights")
        parts = layer_parts(settings, blueprint, depth, ground, self._seed, self._device)
        facts = layer_facts(settings, blueprint, depth, parts, self._seed)
        facts |= {f"input_{name}": value for name, value in components.facts().items()}
        kept: Parts = {}
        if settings.morph_alpha:
            kept = {role: parts[role] for role in MORPHED if role in parts}
        tensors = self._stored(depth.layer, parts)
        self._progress.stage("activations")
        rule = CALIBRATIONS[settings.variant]
        uncalibrated = self._run(depth.layer, tensors, before.stream)
        facts["variance_before"] = float(uncalibrated.var())
        if settings.calibration:

            def run(part: Tensor, gain: float) -> Tensor:
                return self._run(depth.layer, self._with_gain(depth.layer, tensors, gain), part)

            target = depth.target(rule)
            facts["gain"] = calibrated_gain(rule, target, run, before.stream)
            facts["variance_target"] = target
            tensors = self._with_gain(depth.layer, tensors, facts["gain"])
            uncalibrated = self._run(depth.layer, tensors, before.stream)
        facts["variance_after"] = float(uncalibrated.var())
        after = Progression(
            layer=depth.layer + 1,
            stream=uncalibrated,
            probes=[self._run(depth.layer, tensors, probe) for probe in before.probes],
            centres=before.centres,
            previous=kept,
            facts=[*before.facts, facts],
        )
        return Made(tensors, after)

    def _stored(self, layer: int, parts: Parts) -> dict[str, Tensor]:
        compiled: Compiled = {(role, Kind.WEIGHT, layer): parts.pop(role) for role in list(parts)}
        compiled |= {at: part for at, part in self._lexical.lift.items() if at[2] == layer}
        stored: dict[str, Tensor] = {}
        for spec in self._blueprint.tensors:
            if spec.layer == layer:
                tensor = compiled_tensor(spec, compiled, self._blueprint, self._seed)
                stored[spec.name] = self._rounded(tensor).to(self._device)
                for role in spec.roles:
                    compiled.pop((role, spec.kind, layer), None)
        return stored

    def _with_gain(self, layer: int, tensors: dict[str, Tensor], gain: float) -> dict[str, Tensor]:
        gains = {
            spec.name: self._rounded(torch.full_like(tensors[spec.name], gain))
            for spec in self._blueprint.tensors
            if spec.layer == layer and spec.kind is Kind.WEIGHT and spec.roles[0] in _NORMS
        }
        return tensors | gains

    def _run(self, layer: int, tensors: dict[str, Tensor], stream: Tensor) -> Tensor:
        return self._blocks.run(layer, tensors, stream)

    def around(self, spec: TensorSpec) -> Tensor:
        """An embedding, a head, or the final norm."""
        role = spec.roles[0]
        compiled: Compiled = {}
        carried = {
            (Role.EMBED, Kind.WEIGHT): self._lexical.embed,
            (Role.POSITION, Kind.WEIGHT): self._lexical.position,
            (Role.FINAL_NORM, Kind.BIAS): self._lexical.final_bias,
        }
        part = self._head() if role is Role.HEAD else carried.get((role, spec.kind))
        if part is not None:
            compiled[role, spec.kind, None] = part
        return self._rounded(compiled_tensor(spec, compiled, self._blueprint, self._seed))

    def _final_tensors(self) -> dict[str, Tensor]:
        return {
            spec.name: self.around(spec)
            for spec in self._blueprint.tensors
            if spec.roles[0] is Role.FINAL_NORM
        }

    def _head(self) -> Tensor:
        if self._lexical.head is None:
            return self._rounded(self._lexical.embed)
        head = self._lexical.head
        if self._settings.whitening:
            head = whitened(head, self.progression.stream.flatten(0, 1))
        return self._rounded(head)

    def _rounded(self, tensor: Tensor) -> Tensor:
        """As it will be read back: activations are those of the weights as written."""
        return tensor if self._dtype == torch.float32 else tensor.to(self._dtype).float()
