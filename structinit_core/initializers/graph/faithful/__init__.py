"""The formulas of seed 000 as its four versions publish them, and what is wrong with them."""

from structinit_core.initializers.graph.faithful.compile import (
    Published,
    publish,
    published_tensors,
)
from structinit_core.initializers.graph.faithful.flaws import Flaw, flaws
from structinit_core.initializers.graph.faithful.link_text import LinkText, link_text
from structinit_core.initializers.graph.faithful.versions import (
    DEFAULT_VERSION,
    VERSIONS,
    Version,
)

__all__ = [
    "DEFAULT_VERSION",
    "VERSIONS",
    "Flaw",
    "LinkText",
    "Published",
    "Version",
    "flaws",
    "link_text",
    "publish",
    "published_tensors",
]
