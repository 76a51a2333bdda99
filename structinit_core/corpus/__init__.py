"""Text to documents to a memory-mapped stream of token ids."""

from tokenizers import Tokenizer

from structinit_core.corpus.encoding import encoded
from structinit_core.corpus.readers import Border, read_documents
from structinit_core.corpus.shards import shard_of
from structinit_core.corpus.tokenizer import (
    Frame,
    find_frame,
    load_tokenizer,
    serialise,
    train_tokenizer,
    vocabulary_size,
    write_tokenizer,
)
from structinit_core.corpus.tokens import Split, TokenStream, hold_out, tokenize
from structinit_core.corpus.windows import cut_windows, scored_positions, spread, window_starts

__all__ = [
    "Border",
    "Frame",
    "Split",
    "TokenStream",
    "Tokenizer",
    "cut_windows",
    "encoded",
    "find_frame",
    "hold_out",
    "load_tokenizer",
    "read_documents",
    "scored_positions",
    "serialise",
    "shard_of",
    "spread",
    "tokenize",
    "train_tokenizer",
    "vocabulary_size",
    "window_starts",
    "write_tokenizer",
]
