"""Which of several machines counts a document: a matter of the document's text alone."""

from __future__ import annotations

import hashlib


def shard_of(document: str, shards: int) -> int:
    """The shard, 0 … ``shards`` − 1, that a document belongs to: a hash of its text.

    Neither the order nor the names of files matter, copies of a document stay together, and
    the shards of a corpus are together the corpus. Evenly drawn, so a shard may be empty.
    """
    # another hash than the hold-out's, or a shard would hold out more than the others
    digest = hashlib.blake2b(document.encode(), digest_size=8, person=b"structinit shard")
    return int.from_bytes(digest.digest(), "little") % shards
