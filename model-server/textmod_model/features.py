"""What the `default` recipe sees of a chunk beside its words: its letters and its shape.

Everything here depends on one chunk alone, so that a scorer computes it once a chunk.
"""

from collections.abc import Iterator
from typing import Final

_SHORTEST: Final = 2
_LONGEST: Final = 5
_LONG_WORD: Final = 8


def of_text(text: str) -> list[str]:
    """Return the features of every chunk of a text, in order."""
    return [feature for chunk in text.split() for feature in of_chunk(chunk)]


def of_chunk(chunk: str) -> list[str]:
    """Return a chunk's features: its marks, and character n-grams with its edges as spaces."""
    return [*_marks(chunk), *_grams(f" {chunk.lower()} ")]


def _grams(padded: str) -> list[str]:
    """Return all n-grams of 2 to 5 characters, as scikit-learn's ``char_wb`` does."""
    return [
        padded[start : start + size]
        for size in range(_SHORTEST, _LONGEST + 1)
        for start in range(len(padded) - size + 1)
    ]


def _marks(chunk: str) -> Iterator[str]:
    """Name what lower-casing and n-grams lose. No n-gram is as long as these names."""
    yield "mark:chunk"
    if len(chunk) >= _LONG_WORD:
        yield "mark:long"
    first = chunk[0]
    if first.isupper():
        yield "mark:shout" if len(chunk) > 1 and chunk.isupper() else "mark:capital"
    elif not chunk.isalpha():
        if "http" in chunk:
            yield "mark:address"
        elif any(map(str.isdigit, chunk)):
            yield "mark:number"
        if first == ">":
            yield "mark:quote"
    last = chunk[-1]
    if last in "?!.,":
        yield f"mark:ends {last}"
