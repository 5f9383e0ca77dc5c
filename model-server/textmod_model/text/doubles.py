"""Words of which some letters or all are written twice: `yyoouu aarree ssttuuppiidd`.

Many words have pairs of equal letters, few have two side by side (`coffee`). So two in what is no
word make a text suspect, and what has one pair is read only in a text with some of those.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from textmod_model.text.spellings import spellings
from textmod_model.text.vocabulary import LONGEST_WORD, cost, is_word_with_ending, letters_of

_LONGEST: Final = 2 * LONGEST_WORD + 8  # with an ending
_TWO_PAIRS: Final = re.compile(r"([a-z])\1++['’]?([a-z])\2", re.IGNORECASE | re.ASCII)
_PAIR: Final = re.compile(r"([a-z])\1", re.IGNORECASE | re.ASCII)
_LEAST_RUNS: Final = 3


def has_two_pairs(text: str) -> bool:
    """Tell whether a text has two pairs of equal letters side by side, or longer runs of them.

    Takes quadratic time in the length of a run.
    """
    return _TWO_PAIRS.search(text) is not None


def has_pair(text: str) -> bool:
    """Tell whether two equal letters of ASCII are side by side, whatever their case."""
    return _PAIR.search(text) is not None


def halved(text: str) -> str | None:
    """Return what a text is of which every letter was written twice, None if some was not."""
    runs = _runs(text)
    if any(run[0].isalpha() and len(run) % 2 for run in runs) or len(runs) < _LEAST_RUNS:
        return None
    return _half(runs)


def undoubled(text: str) -> str | None:
    """Return the word that is written with letters twice, None if it is none."""
    if len(text) > _LONGEST or (not text.isascii() and "’" not in text):
        return None
    for spelled in _without_doubles(text):
        found = [one for one in spelled if is_word_with_ending(one)]
        if found:
            return min(found, key=lambda one: cost(letters_of(one)))
    return None


def _without_doubles(text: str) -> Iterator[list[str]]:
    """Yield what may have been meant, in lists, the likelier first."""
    runs = _runs(text)
    if all(len(run) % 2 == 0 for run in runs if run[0].isalpha()):
        yield [_half(runs)]
    word, apostrophe, ending = text.replace("’", "'").partition("'")
    endings: list[str] | dict[str, None] = [""]
    if apostrophe:
        endings = dict.fromkeys((ending, _half(_runs(ending))))
        runs = _runs(word)
    several = any(len(run) > 2 for run in runs)
    for longer in (("twice",), ("twice", "once")) if several else (("twice",),):
        choices: list[tuple[str, ...]] = []
        for run in runs:
            if len(run) == 1 or not run[0].isalpha():
                choices += ((character,) for character in run)
            elif len(run) == 2:
                choices.append((run[0], run))
            else:
                choices.append(tuple(run[:2] if times == "twice" else run[0] for times in longer))
        yield [one + apostrophe + end for one in spellings(choices) for end in endings]


def _runs(text: str) -> list[str]:
    """Return the letters of a text that are the same side by side, and what is between them."""
    return ["".join(run) for _, run in groupby(text, str.lower)]


def _half(runs: list[str]) -> str:
    return "".join(run[: (len(run) + 1) // 2] if run[0].isalpha() else run for run in runs)
