"""``config.json`` to a blueprint; unknown architectures are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from structinit_core.blueprint.blueprint import Blueprint
from structinit_core.blueprint.families import FAMILIES
from structinit_core.errors import IncompatibleError, InputError, LimitError

MAX_CONFIG_BYTES = 1 << 20
MAX_PARAMETERS = 1 << 40


def read_config(path: Path) -> dict[str, Any]:
    """The mapping in a Hugging Face ``config.json``.

    Raises:
        InputError: unreadable, too large, or not a JSON object.
    """
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise InputError("is larger than 1 MiB", where=str(path))
        config = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        json.dumps(config, ensure_ascii=False).encode()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON ({error})", where=str(path)) from error
    if not isinstance(config, dict):
        raise InputError("is not a JSON object", where=str(path))
    return config


def make_blueprint(config: dict[str, Any]) -> Blueprint:
    """The blueprint of a config: a pure function, no weights, no allocation by size.

    Raises:
        IncompatibleError: an unknown ``model_type``, or a field the family cannot use.
        LimitError: an absurd number of parameters.
    """
    family = config.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise IncompatibleError(
            f"config: model_type {family!r} is not supported",
            hint=f"supported: {', '.join(sorted(FAMILIES))}",
        )
    if "auto_map" in config:
        raise IncompatibleError("config: auto_map names code to run, which is refused")
    blueprint = FAMILIES[family](config)
    if blueprint.parameters > MAX_PARAMETERS:
        raise LimitError(f"config: {blueprint.parameters:,} parameters are too many")
    return blueprint


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
