"""Where a sequence stands between two layers: all that a resumed run needs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from structinit_core.blueprint import Role
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.dpi.ground import Parts
from structinit_core.initializers.dpi.sample import Probe

_FACTS = "facts.json"


@dataclass(frozen=True)
class Sources:
    """Token ids of the sample and of what is clustered, if anything, int64 (n, T); the probes."""

    sample: Tensor
    clustered: Tensor | None
    probes: list[Probe]


@dataclass(frozen=True)
class Progression:
    """Before ``layer``: the activations that enter it, and what earlier layers left.

    stream and probes: float32 (windows, tokens, d). centres: of the embedded positions, (d, d).
    previous: W1 and W_Q of the layer before, where they are mixed in. facts: of every layer
    made, by name.
    """

    layer: int = 0
    stream: Tensor = field(default_factory=lambda: torch.empty(0))
    probes: list[Tensor] = field(default_factory=list)
    centres: Tensor | None = None
    previous: Parts = field(default_factory=dict)
    facts: list[dict[str, float]] = field(default_factory=list)

    def save(self, directory: Path) -> None:
        """Write it into ``directory``, which holds nothing else."""
        directory.mkdir(parents=True, exist_ok=True)
        arrays = {"stream": self.stream, **{f"probe{i}": p for i, p in enumerate(self.probes)}}
        if self.centres is not None:
            arrays["centres"] = self.centres
        arrays |= {f"previous.{role}": part for role, part in self.previous.items()}
        for name, tensor in arrays.items():
            np.save(directory / f"{name}.npy", tensor.cpu().numpy(), allow_pickle=False)
        facts = {"layer": self.layer, "probes": len(self.probes), "facts": self.facts}
        (directory / _FACTS).write_text(json.dumps(facts), encoding="utf-8")


def load_progression(directory: Path, device: torch.device) -> Progression:
    """What :meth:`Progression.save` wrote, bit for bit, on ``device``.

    Raises:
        IncompatibleError: something else lies there.
    """

    def load(path: Path) -> Tensor:
        return torch.from_numpy(np.load(path, allow_pickle=False)).to(device)

    try:
        facts = json.loads((directory / _FACTS).read_text(encoding="utf-8"))
        previous = {
            Role(path.stem.removeprefix("previous.")): load(path)
            for path in sorted(directory.glob("previous.*.npy"))
        }
        centres = directory / "centres.npy"
        return Progression(
            layer=int(facts["layer"]),
            stream=load(directory / "stream.npy"),
            probes=[load(directory / f"probe{i}.npy") for i in range(int(facts["probes"]))],
            centres=load(centres) if centres.is_file() else None,
            previous=previous,
            facts=facts["facts"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IncompatibleError("is not the state of a run", where=str(directory)) from error
