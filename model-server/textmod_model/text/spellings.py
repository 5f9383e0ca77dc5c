"""Which words a row of characters spells, where a character may stand for several letters.

Trying every combination is exponential in the length of a word. The words that people write are
known, so only beginnings of them are followed.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from itertools import islice, product
from typing import Final

from textmod_model.text.vocabulary import LONGEST_WORD, cost, words

MOST: Final = 16
"""Spellings of one row that are returned."""
_MOST_BEGINNINGS: Final = 256
_LONGEST_ROW: Final = 3 * LONGEST_WORD


def spellings(choices: Sequence[Sequence[str]]) -> list[str]:
    """Return at most `MOST` texts that take one of the choices for each character.

    All of them if there are no more; otherwise those that spell words, the most frequent first, and
    if there are none the first of all. Only letters count in a word.
    """
    if math.prod(map(len, choices)) > MOST:
        found = _words(choices)
        if found:
            return found
    return list(dict.fromkeys(map("".join, islice(product(*choices), MOST))))


def _words(choices: Sequence[Sequence[str]]) -> list[str]:
    """Return the texts that spell words, the most frequent first."""
    if len(choices) > _LONGEST_ROW:
        return []
    texts = {"": ""}  # by the letters of the word
    for options in choices:
        longer: dict[str, str] = {}
        for letters, text in texts.items():
            for option in options:
                more = letters + "".join(filter(str.isalpha, option.lower()))
                if more not in longer and (more == letters or _begins_a_word(more)):
                    longer[more] = text + option
            if len(longer) >= _MOST_BEGINNINGS:
                break
        texts = longer
    found = [letters for letters in texts if letters and _is_listed(letters)]
    return [texts[letters] for letters in sorted(found, key=cost)[:MOST]]


@cache
def _listed() -> list[str]:
    return sorted(words())


def _begins_a_word(letters: str) -> bool:
    listed = _listed()
    at = bisect_left(listed, letters)
    return at < len(listed) and listed[at].startswith(letters)


def _is_listed(letters: str) -> bool:
    listed = _listed()
    at = bisect_left(listed, letters)
    return at < len(listed) and listed[at] == letters
