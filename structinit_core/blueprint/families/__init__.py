"""One table per model family: from a config to the names and shapes of its tensors."""

from collections.abc import Callable
from typing import Any

from structinit_core.blueprint.blueprint import Blueprint
from structinit_core.blueprint.families.gpt2 import gpt2

FAMILIES: dict[str, Callable[[dict[str, Any]], Blueprint]] = {"gpt2": gpt2}

__all__ = ["FAMILIES"]
