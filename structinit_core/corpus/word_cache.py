"""Token ids by a cache of distinct pre-tokens: what the tokenizer gives, many times faster."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain, compress, pairwise

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from structinit_core.corpus import numbering as nr
from structinit_core.corpus.pretokens import SPACE, CharacterClasses, character_at
from structinit_core.corpus.tokenizer import Frame

MAX_ENTRIES = (1 << 19) - 1
MAX_KEY_BYTES = 1 << 23
"""A cache that is full of entries or of their text is emptied."""
FIRST_IDS = 1 << 14
_REFERENCES = 1 << 16
_LINE = 256


class WordCache:
    """Encodes documents with a tokenizer for which :func:`.encoding.cuts_like_gpt2` is true.

    The ids of a text are those of its pre-tokens one after another, so each distinct
    pre-token is encoded by the library once and looked up afterwards. The ids do not depend
    on what is in the cache. Memory: 27 MiB, in a hostile text up to 96, and the batch.
    Calls from several threads take turns.
    Source: ours.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        frame: Frame | None,
        entries: int = MAX_ENTRIES,
        key_bytes: int = MAX_KEY_BYTES,
    ) -> None:
        self._tokenizer = tokenizer
        self._frame = ([frame.begin_id], [frame.end_id]) if frame else ([], [])
        self._classes = CharacterClasses(tokenizer.pre_tokenizer)
        line_end = tokenizer.encode("\n", add_special_tokens=False).ids
        self._line_end = line_end[0] if len(line_end) == 1 else None
        self._lock = threading.Lock()
        slots = 1 << (2 * entries).bit_length()
        entries += len(self._frame)
        self._table = nr.Table(
            slots=np.empty(slots, np.int32),
            hashes=np.empty(entries, np.uint64),
            starts=np.empty(entries + 1, np.int64),
            keys=np.empty(max(key_bytes, nr.LONGEST), np.uint8),
        )
        self._id_starts = np.empty(entries + 1, np.int64)
        self._references = np.empty(_REFERENCES, np.int32)
        self._ids = np.empty(FIRST_IDS, np.uint32)
        self._entries = self._asked = 0
        self.new = 0.0
        """The share of the last batch's text that had to be asked for."""
        self._clear()

    @property
    def memory_bytes(self) -> int:
        """Bytes of all arrays now; what is not yet touched is counted too."""
        arrays = (*self._table, self._id_starts, self._references, self._ids, self._classes.table)
        return sum(array.nbytes for array in arrays)

    def encode(self, documents: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """The framed token ids of all documents in order, and how many each document has.

        Raises:
            UnicodeEncodeError: a lone surrogate. And what the tokenizer raises.
        """
        encoded = [document.encode() for document in documents]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        data = b"".join(encoded)
        del encoded
        with self._lock:
            try:
                self._asked = 0
                found = self._encode(data, ends)
                self.new = self._asked / max(1, sum(map(len, documents)))
                return found
            except BaseException:
                self._clear()  # it may hold pre-tokens without ids
                raise

    def _encode(
        self, data: bytes, ends: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        array = np.frombuffer(data, np.uint8)
        place = np.zeros(nr.PLACE_FIELDS, np.int64)
        finished = np.zeros(len(ends), np.int64)
        token_ends = np.zeros(len(ends) + 1, np.int64)
        parts: list[NDArray[np.uint32]] = []
        done = total = 0
        while done < len(ends):
            place[nr.ENTRIES] = self._entries
            why = nr.number_pretokens(
                array, ends, place, self._classes.table, self._table, self._references, finished
            )
            self._learn(int(place[nr.ENTRIES]))
            begin, stop = int(place[nr.POSITION]), int(place[nr.STOP])
            if why == nr.UNKNOWN:
                self._classes.ask(character_at(array, stop))
                continue
            references = self._references[: place[nr.REFERENCES]]
            place[nr.REFERENCES] = 0
            ids, begins = nr.gather(references, self._id_starts, self._ids)
            before, done = done, int(place[nr.DOCUMENT])
            token_ends[before + 1 : done + 1] = total + begins[finished[before:done]]
            if why == nr.LOOSE:
                place[nr.POSITION] = stop
                [loose] = self._ask([data[begin:stop].decode()])
                ids = np.concatenate((ids, np.array(loose, np.uint32)))
            elif why == nr.FULL:
                self._clear()
            parts.append(ids)
            total += len(ids)
        return np.concatenate(parts or [np.zeros(0, np.uint32)]), np.diff(token_ends)

    def _learn(self, entries: int) -> None:
        """Ask for the ids of the entries that have none yet."""
        if entries == self._entries:
            return
        starts = self._table.starts[self._entries : entries + 1].tolist()
        keys = self._table.keys[starts[0] : starts[-1]].tobytes()
        cuts = [start - starts[0] for start in starts]
        found = self._ask([keys[a:b].decode() for a, b in pairwise(cuts)])
        self._add(found)

    def _ask(self, texts: list[str]) -> list[list[int]]:
        """The ids of each pre-token, asked for in lines of many: a call for each costs more.

        A line end between two words is a pre-token of its own, and they do not hold any.
        """
        classes = self._classes.table
        blank = [classes[ord(text[-1])] == SPACE for text in texts]
        words = [text for text, alone in zip(texts, blank, strict=True) if not alone]
        lines = [words[at : at + _LINE] for at in range(0, len(words), _LINE)]
        self._asked += sum(map(len, texts))
        encoded = self._encode_each(["\n".join(line) for line in lines])
        found = chain.from_iterable(map(self._apart, lines, encoded))
        spaces = iter(self._encode_each(list(compress(texts, blank))))
        return [next(spaces) if alone else next(found) for alone in blank]

    def _apart(self, words: list[str], ids: list[int]) -> list[list[int]]:
        """The ids of a line of words, word by word."""
        cuts = [at for at, token in enumerate(ids) if token == self._line_end]
        if len(cuts) != len(words) - 1:
            return self._encode_each(words)  # the line end has no token of its own
        return [ids[a + 1 : b] for a, b in pairwise((-1, *cuts, len(ids)))]

    def _encode_each(self, texts: list[str]) -> list[list[int]]:
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def _add(self, found: Sequence[list[int]]) -> None:
        """Append the ids of the entries that follow."""
        used, entries = int(self._id_starts[self._entries]), self._entries + len(found)
        ends = used + np.cumsum([len(ids) for ids in found])
        if ends[-1] > len(self._ids):
            larger = np.empty(2 * int(ends[-1]), np.uint32)
            larger[:used] = self._ids[:used]
            self._ids = larger
        self._ids[used : ends[-1]] = list(chain.from_iterable(found))
        self._id_starts[self._entries + 1 : entries + 1] = ends
        self._entries = entries

    def _clear(self) -> None:
        self._table.slots.fill(-1)
        self._table.starts[: len(self._frame) + 1] = 0
        self._ids = np.empty(FIRST_IDS, np.uint32)
        self._id_starts[0] = self._entries = 0
        self._add(self._frame)
