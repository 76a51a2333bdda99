"""What of a config decides the network: transformers' defaults filled in, labels left out."""

from __future__ import annotations

import re
from typing import Any

from structinit_core.model.load import check_config

_NO_MATTER = re.compile(
    r"architectures|dtype|torch_dtype|_.*|transformers_version|.*_token_ids?|use_cache|.*drop.*"
    r"|initializer_range|summary_.*|task_specific_params|id2label|label2id|problem_type"
    r"|return_dict|output_.*|chunk_size_feed_forward"
)
"""Fields that neither the shapes nor the forward pass without dropout depend on."""


def effective_config(config: dict[str, Any]) -> dict[str, Any]:
    """Every field that decides the network, with the values transformers gives it.

    Two configs with equal fields here are one network, whichever of them leaves defaults out.

    Raises:
        IncompatibleError: transformers refuses the config.
    """
    whole: dict[str, Any] = check_config(config).to_dict()
    return {key: value for key, value in whole.items() if not _NO_MATTER.fullmatch(key)}
