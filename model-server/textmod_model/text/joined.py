"""Words with marks between them in place of white space: `you_are_a_stupid_idiot`."""

import re
from collections.abc import Iterator
from typing import Final

from textmod_model.text.draft import Draft
from textmod_model.text.readings import ADDRESS
from textmod_model.text.vocabulary import is_word_with_ending

_CHUNK: Final = re.compile(r"\S+")
# Not what has a meaning between words: apostrophes, dots in a row, marks before a hashtag.
_JOINT: Final = re.compile(r"(?<=[A-Za-z])(?:#|(?!\.\.)(?:[^\w\s'’…#]|_){1,3})(?=[A-Za-z])")
_AROUND: Final = re.compile(r"^[^A-Za-z]+|[^A-Za-z]+$")
_USUAL: Final = frozenset('-/.,;:!?()&@#=+"“”')
"""Marks of which one between two words is nothing unusual: compounds, missing white space."""
_ENDS: Final = frozenset(".,;:!?")
LONGEST: Final = 1 << 16
"""Characters of the longest chunk that is taken for words."""
_WORDS: Final = 0.7
"""Share of what is between the marks of a chunk that has to be words."""
_FEWEST: Final = 4
_MOSTLY: Final = 0.4
"""Share of the gaps between a text's words from which marks are meant as white space."""


def joints(chunk: str) -> int:
    """Return between how many words of a chunk there are marks; 0 if it is not of words mostly."""
    parts = _JOINT.split(chunk) if len(chunk) <= LONGEST and not chunk.isalpha() else ()
    if len(parts) <= 1 or ADDRESS.search(chunk):
        return 0
    parts[0], parts[-1] = (_AROUND.sub("", part) for part in (parts[0], parts[-1]))
    known = sum(map(is_word_with_ending, parts))
    return len(parts) - 1 if known >= _WORDS * len(parts) else 0


def unusual_joints(chunk: str) -> int:
    """Return how many of them say that marks are meant as white space: not one in a compound."""
    found = joints(chunk)
    return found and found - any(match[0] in _USUAL for match in _JOINT.findall(chunk))


def separate(draft: Draft) -> None:
    """Put a space in place of marks between words, in a text where they often are."""
    starts = set(_starts(draft.text))
    gaps = len(draft.text.split()) - 1 + len(starts)
    if len(starts) >= _FEWEST and len(starts) >= _MOSTLY * gaps:
        draft.sub(_JOINT, lambda match: _space(match[0]) if match.start() in starts else match[0])


def _space(marks: str) -> str:
    """Return the white space that marks stand for; what ends a part of a sentence stays."""
    return f"{marks[0]} " if marks[0] in _ENDS and marks[1:].strip(marks[0]) else " "


def _starts(text: str) -> Iterator[int]:
    """Yield where marks between words begin."""
    for chunk in _CHUNK.finditer(text):
        if joints(chunk[0]):
            for match in _JOINT.finditer(text, *chunk.span()):
                yield match.start()
