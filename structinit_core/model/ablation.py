"""A model with some of its tensors taken out for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


@contextmanager
def silenced(model: torch.nn.Module, names: Sequence[str]) -> Iterator[None]:
    """``model`` with the parameters ``names`` at zero; afterwards they are what they were.

    Memory: a copy of them.

    Raises:
        KeyError: the model has no such parameter.
    """
    parameters = dict(model.named_parameters())
    kept = [(parameters[name], parameters[name].detach().clone()) for name in names]
    with torch.no_grad():
        for parameter, _ in kept:
            parameter.zero_()
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in kept:
                parameter.copy_(value)
