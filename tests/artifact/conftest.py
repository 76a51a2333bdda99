"""A small artifact, published the way every recipe does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from structinit_core.artifact import MANIFEST, Input, Recipe, locked, staged


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        kind="demo",
        version=1,
        params={"seed": 0, "field": None},
        inputs=(Input(name="text.txt", sha256="0" * 64),),
    )


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def publish(output: Path, recipe: Recipe) -> Callable[..., Path]:
    """Publish ``files`` (name: bytes) at ``output`` and give its path."""

    def run(recipe: Recipe = recipe, **files: bytes) -> Path:
        with locked(output), staged(output, recipe) as work:
            for name, content in (files or {"data": b"12345"}).items():
                (work / name).write_bytes(content)
        return output

    return run


@pytest.fixture
def rewrite_manifest(output: Path) -> Callable[[Callable[[dict[str, Any]], object]], None]:
    """Change the published manifest in place, as a hostile or damaged one."""

    def run(change: Callable[[dict[str, Any]], object]) -> None:
        path = output / MANIFEST
        manifest = json.loads(path.read_text(encoding="utf-8"))
        change(manifest)
        path.write_text(json.dumps(manifest), encoding="utf-8")

    return run


@pytest.fixture
def leftovers(output: Path) -> Callable[[], list[str]]:
    """Names beside ``output`` that a finished run must not leave."""

    def run() -> list[str]:
        mine = {output.name, f".{output.name}.lock"}
        return sorted(path.name for path in output.parent.iterdir() if path.name not in mine)

    return run
