"""Text to documents to a memory-mapped stream of token ids."""

from tokenizers import Tokenizer

from structinit_core.corpus.encoding import encoded
from structinit_core.corpus.graph_names import GraphNames, read_graph_names
from structinit_core.corpus.graph_tokenizer import (
    GRAPH_FRAME,
    graph_tokenizer_json,
    write_graph_tokenizers,
)
from structinit_core.corpus.readers import Border, read_documents
from structinit_core.corpus.shards import shard_of
from structinit_core.corpus.token_texts import TokenTexts
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
    "GRAPH_FRAME",
    "Border",
    "Frame",
    "GraphNames",
    "Split",
    "TokenStream",
    "TokenTexts",
    "Tokenizer",
    "cut_windows",
    "encoded",
    "find_frame",
    "graph_tokenizer_json",
    "hold_out",
    "load_tokenizer",
    "read_documents",
    "read_graph_names",
    "scored_positions",
    "serialise",
    "shard_of",
    "spread",
    "tokenize",
    "train_tokenizer",
    "vocabulary_size",
    "window_starts",
    "write_graph_tokenizers",
    "write_tokenizer",
]
