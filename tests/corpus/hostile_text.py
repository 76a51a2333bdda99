"""Text that tries a tokenizer: white space of every kind, contractions, marks, scripts, digits."""

from __future__ import annotations

from hypothesis import strategies as st

SPACES = [chr(code) for code in range(0x110000) if chr(code).isspace()] + ["\u180e", "\u200b"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'r", "'l", "'", "''s", "re"]
WORDS = [
    "the",
    "Word",
    "über",
    "e\u0301",
    "İ",
    "слово",
    "日本語",
    "한국",
    "हिन्दी",
    "עברית",
    "ﬁ",
    "ª",
]
NUMBERS = ["0", "12", "½", "²", "Ⅷ", "٣", "०", "1,000.5", "3rd"]
MARKS = ["_", "-", "—", "?!", "…", "”", "’", "🙂", "👩\u200d👧", "\ufe0f", "\ufeff", "\x00", "\x1f"]
NEW = ["\uffff", "\U0010ffff", "\U000e0001", "\u0378", "\ua7f2", "\U00010d40", "\U0001e5d0"]
PIECES = [*CONTRACTIONS, *WORDS, *NUMBERS, *MARKS, *NEW, "<|endoftext|>", "http://a.b/c?d=e#f"]

hostile_text = st.lists(
    st.one_of(
        st.sampled_from(PIECES),
        st.sampled_from([" ", "  ", "\n", "\n\n", "\t", "\r\n", " \n "]),
        st.sampled_from(SPACES),
        st.text(st.characters(codec="utf-8"), max_size=4),
    ),
    max_size=40,
).map("".join)
