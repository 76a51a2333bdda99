"""``counts.json``: the sizes of a counts artifact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from structinit_core.artifact import pretty_json
from structinit_core.errors import IncompatibleError

MAX_OFFSETS = 255
_Size = Annotated[int, Field(ge=0)]


class CountFacts(BaseModel):
    """Vocabulary, offsets K, and how many documents, tokens and held-out spans there were."""

    model_config = ConfigDict(frozen=True, strict=True)
    vocabulary: Annotated[int, Field(ge=1)]
    offsets: Annotated[int, Field(ge=1, le=MAX_OFFSETS)]
    documents: _Size
    tokens: _Size
    counted_tokens: _Size
    held_out_tokens: _Size
    held_out_spans: _Size

    def write(self, directory: Path) -> None:
        """Write ``counts.json``."""
        (directory / "counts.json").write_text(pretty_json(self.model_dump()), encoding="utf-8")


def read_facts(directory: Path) -> CountFacts:
    """The facts of the counts artifact in ``directory``.

    Raises:
        IncompatibleError: no such file, or not sizes.
    """
    try:
        text = (directory / "counts.json").read_text(encoding="utf-8")
        return CountFacts.model_validate(json.loads(text))
    except (OSError, ValueError, RecursionError) as error:
        raise IncompatibleError("is not a counts artifact", where=str(directory)) from error


def added(facts: Sequence[CountFacts]) -> CountFacts:
    """The facts of all together; vocabulary and offsets are those of each."""
    sums = {
        name: sum(getattr(each, name) for each in facts)
        for name in CountFacts.model_fields
        if name not in ("vocabulary", "offsets")
    }
    return facts[0].model_copy(update=sums)
