"""What the `default` recipe sees of a text beside its words: its letters and its shape.

Both come from one chunk at a time, so that a scorer computes them once a chunk: the n-grams that
are summed over a text's chunks, and the marks that are counted and make the text's shape.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_SHORTEST_GRAM: Final = 3
_LONGEST_GRAM: Final = 4
LONG_CHUNK: Final = 8
SHORT_CHUNK: Final = 3

MARKS: Final = (
    "long", "short", "capital", "shouted", "address", "digit", "not ASCII", "bracket",
    "list or quote", "opens quotation", "ends ?", "ends !", "ends .", "ends ,", "I", "you",
)  # fmt: skip
"""Names of the marks; `marks` returns their places in this tuple."""
_LONG, _SHORT, _CAPITAL, _SHOUTED, _ADDRESS, _DIGIT, _FOREIGN, _BRACKET = range(8)
_LIST, _OPENS, _QUESTION, _CRY, _STOP, _COMMA, _I, _YOU = range(8, 16)
_BY_FIRST: Final = dict.fromkeys(">*#-", _LIST) | dict.fromkeys("\"'“‘(", _OPENS)
_BY_LAST: Final = {"?": _QUESTION, "!": _CRY, ".": _STOP, ",": _COMMA}
PERSONS: Final = dict.fromkeys(("i", "me", "my", "i'm", "i've"), _I) | dict.fromkeys(
    ("you", "your", "we", "they"), _YOU
)
_LONGEST_PERSON: Final = max(map(len, PERSONS))
_DIGITS: Final = frozenset("0123456789")
_SHORT_TEXTS: Final = (5, 12)
_LONG_TEXT: Final = 150

SHAPE: Final = (
    *(f"{mark} / root of length" for mark in MARKS),
    *(f"log of {mark}" for mark in MARKS),
    "log of length",
    "log of length, squared",
    *(f"at most {length} chunks" for length in _SHORT_TEXTS),
    f"over {_LONG_TEXT} chunks",
)
"""Names of the columns of `shape`."""


def grams_of_text(text: str) -> list[str]:
    """Return the character n-grams of every chunk of a text, in order."""
    return [gram for chunk in text.split() for gram in grams(chunk)]


def grams(chunk: str) -> list[str]:
    """Return the 3- and 4-grams of a chunk in small letters, its edges as spaces (``char_wb``)."""
    letters = padded(chunk)
    return [
        letters[start : start + size]
        for size in range(_SHORTEST_GRAM, _LONGEST_GRAM + 1)
        for start in range(len(letters) - size + 1)
    ]


def padded(chunk: str) -> str:
    """Return the letters that a chunk's n-grams are cut from."""
    return f" {chunk.lower()} "


def marks(chunk: str) -> list[int]:
    """Return which of `MARKS` a chunk has."""
    size = len(chunk)
    found = [_LONG] if size >= LONG_CHUNK else [_SHORT] if size <= SHORT_CHUNK else []
    if chunk[0].isupper():
        found.append(_SHOUTED if size > 1 and chunk.isupper() else _CAPITAL)
    if size <= _LONGEST_PERSON and (person := PERSONS.get(chunk.lower())) is not None:
        found.append(person)
    if not chunk.isalpha():
        found += _marks_of_signs(chunk)
    if not chunk.isascii():
        found.append(_FOREIGN)
    return found


def _marks_of_signs(chunk: str) -> list[int]:
    """Return the marks that only a chunk with other characters than letters has."""
    found = []
    if chunk[-1] in _BY_LAST:
        found.append(_BY_LAST[chunk[-1]])
    if chunk[0] in _BY_FIRST:
        found.append(_BY_FIRST[chunk[0]])
    if "http" in chunk or "www." in chunk:
        found.append(_ADDRESS)
    elif _has_digit(chunk):
        found.append(_DIGIT)
    if "[" in chunk:
        found.append(_BRACKET)
    return found


def _has_digit(chunk: str) -> bool:
    if chunk.isascii():
        return not _DIGITS.isdisjoint(chunk)
    return any(map(str.isdigit, chunk))


def shape(counts: NDArray[np.float64], chunks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shape of texts, shape (n, len(SHAPE)).

    `counts` says how many chunks of each text have each mark, shape (n, len(MARKS)); `chunks` how
    many chunks each text has, shape (n,).
    """
    length = np.log1p(chunks)
    return np.column_stack(
        (
            counts / np.sqrt(np.maximum(chunks, 1))[:, None],
            np.log1p(counts),
            length,
            length * length,
            *(chunks <= limit for limit in _SHORT_TEXTS),
            chunks > _LONG_TEXT,
        )
    )
