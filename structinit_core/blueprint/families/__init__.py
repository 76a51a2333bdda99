"""One table per model family: from a config to the names and shapes of its tensors."""

from collections.abc import Callable
from typing import Any

from structinit_core.blueprint.blueprint import Blueprint
from structinit_core.blueprint.families.gpt2 import gpt2
from structinit_core.blueprint.families.gpt_neox import gpt_neox
from structinit_core.blueprint.families.llama import TABLES, llama_like

FAMILIES: dict[str, Callable[[dict[str, Any]], Blueprint]] = {
    "gpt2": gpt2,
    "gpt_neox": gpt_neox,
    **dict.fromkeys(TABLES, llama_like),
}

__all__ = ["FAMILIES"]
