"""An exported graph against the real model: logits of onnxruntime and of transformers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from structinit_core.checkpoint import linked_directory
from structinit_core.corpus import load_tokenizer
from structinit_core.errors import IncompatibleError, InputError, MissingError, NumericalError
from structinit_core.export.onnx_file import MODEL, check_onnx
from structinit_core.export.source import Source
from structinit_core.linalg import generator
from structinit_core.model import load_model
from structinit_core.progress import Progress

TOLERANCES = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 2e-2}
"""How far a logit may be off by dtype: absolutely, or of the largest logit if that is over 1."""
_LENGTHS = (1, 2, 7, 32, 65)
_STEPS = 8
_PROMPTS = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, "
    "must be in want of a wife.",
    "def add(a, b):\n    return a + b\n",
    "1, 2, 3, 4,",
)
Ids = NDArray[np.int64]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """The largest difference of a logit in one comparison, and the largest allowed."""

    name: str
    value: float
    allowed: float


def load_runtime() -> Any:
    """The onnxruntime package.

    Raises:
        MissingError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingError(
            "onnxruntime is not installed, and verifying runs the graph in it",
            hint='pip install "structinit[onnxruntime]"',
        ) from error
    return onnxruntime


def verify_onnx(
    source: Source, directory: Path, dtype: str, progress: Progress
) -> list[Difference]:
    """Differences of the graph in ``directory`` from transformers' float32 model of ``source``.

    Compared are random ids of several lengths, real prompts if there is a tokenizer, a batch
    padded on the left, and, where the graph takes a past, the same positions one by one, which
    are held against the graph's own full pass too. ``dtype``: the export's, which decides the
    tolerance. Memory: both models in float32. Deterministic on one machine class.

    Raises:
        NumericalError: a logit is off by more than :data:`TOLERANCES` allow.
        MissingError: no onnxruntime. IncompatibleError: transformers cannot load ``source``.
        InputError: the graph is not valid, or names data outside its directory.
    """
    check_onnx(directory / MODEL)
    runtime = _Runtime(directory / MODEL)
    progress.stage("verifying")
    with linked_directory(source.path, source.config) as reference:
        model = load_model(reference, torch.device("cpu"))
    differences = []
    for name, ids, mask in _cases(source, progress):
        expected = _real_logits(model, ids, mask)
        allowed = TOLERANCES[dtype] * max(1.0, float(np.abs(expected).max()))
        passes = {name: runtime.whole(ids, mask)}
        if runtime.takes_past and ids.shape[1] > 1:
            passes[f"{name}.steps"] = runtime.by_steps(ids, mask)
        compared = {key: (logits, expected) for key, logits in passes.items()}
        if len(passes) > 1:
            compared[f"{name}.steps_to_whole"] = (passes[f"{name}.steps"], passes[name])
        for key, (one, other) in compared.items():
            value = float(np.abs(one - other)[mask > 0].max())
            if not value <= allowed:
                raise NumericalError(
                    f"the graph's logits are off by {value:.3g}, allowed are {allowed:.3g}",
                    where=key,
                )
            differences.append(Difference(key, value, allowed))
        progress.advance()
    return differences


def _cases(source: Source, progress: Progress) -> Iterator[tuple[str, Ids, Ids]]:
    """Name, ids and mask of every batch to compare."""
    vocabulary, context = source.blueprint.vocabulary, source.blueprint.context
    draw = generator(0, "verify")
    rows = [draw.integers(vocabulary, size=min(length, context)) for length in _LENGTHS]
    for ids in {len(ids): ids for ids in rows}.values():
        yield f"random.{len(ids)}", ids[None], np.ones((1, len(ids)), np.int64)
    prompts = _prompts(source, progress)
    for at, ids in enumerate(prompts):
        yield f"prompt.{at}", ids[None], np.ones((1, len(ids)), np.int64)
    together = prompts if len(prompts) > 1 else rows
    longest = max(map(len, together))
    ids, mask = (np.zeros((len(together), longest), np.int64) for _ in range(2))
    for row, values in enumerate(together):
        ids[row, longest - len(values) :] = values
        mask[row, longest - len(values) :] = 1
    yield "padded", ids, mask


def _prompts(source: Source, progress: Progress) -> list[Ids]:
    """Ids of real text by the tokenizer beside the weights, as far as the model has rows."""
    file = source.path / "tokenizer.json"
    if not file.is_file():
        return []
    try:
        tokenizer = load_tokenizer(file)
    except (InputError, IncompatibleError) as error:
        progress.warn(f"verified on random ids only: {error}")
        return []
    encoded = [np.array(tokenizer.encode(text).ids, np.int64) for text in _PROMPTS]
    kept = [ids[ids < source.blueprint.vocabulary][: source.blueprint.context] for ids in encoded]
    return [ids for ids in kept if len(ids)]


def _positions(mask: Ids) -> Ids:
    positions: Ids = np.maximum(mask.cumsum(axis=1) - 1, 0)
    return positions


def _real_logits(model: Any, ids: Ids, mask: Ids) -> Logits:
    given = {"input_ids": ids, "attention_mask": mask, "position_ids": _positions(mask)}
    with torch.inference_mode():
        tensors = {name: torch.from_numpy(values) for name, values in given.items()}
        logits: Logits = model(**tensors, use_cache=False).logits.float().numpy()
    return logits


class _Runtime:
    """The graph in onnxruntime on the CPU, as many threads as torch has."""

    def __init__(self, path: Path) -> None:
        runtime = load_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        self._session = runtime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._pasts = {
            given.name: (given.shape, np.float16 if "float16" in given.type else np.float32)
            for given in self._session.get_inputs()
            if given.name.startswith("past_key_values.")
        }

    @property
    def takes_past(self) -> bool:
        """Whether keys and values of past positions are inputs."""
        return bool(self._pasts)

    def whole(self, ids: Ids, mask: Ids) -> Logits:
        """Logits of all positions at once."""
        return self._run(ids, mask, _positions(mask), self._empty(len(ids)))[0]

    def by_steps(self, ids: Ids, mask: Ids) -> Logits:
        """The same, the last positions one by one from what was kept of those before."""
        positions, past = _positions(mask), self._empty(len(ids))
        first = max(1, ids.shape[1] - _STEPS)
        borders = [0, *range(first, ids.shape[1] + 1)]
        parts = []
        for low, high in pairwise(borders):
            new = slice(low, high)
            logits, past = self._run(ids[:, new], mask[:, :high], positions[:, new], past)
            parts.append(logits)
        return np.concatenate(parts, axis=1)

    def _empty(self, batch: int) -> dict[str, Any]:
        return {
            name: np.zeros((batch, shape[1], 0, shape[3]), dtype)
            for name, (shape, dtype) in self._pasts.items()
        }

    def _run(
        self, ids: Ids, mask: Ids, positions: Ids, past: dict[str, Any]
    ) -> tuple[Logits, dict[str, Any]]:
        names = ["logits", *(name.replace("past_key_values", "present") for name in past)]
        given = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
        logits, *present = self._session.run(names, given | past)
        return logits.astype(np.float32), dict(zip(past, present, strict=True))
