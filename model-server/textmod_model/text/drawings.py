r"""Letters drawn with several signs: `|-|` for h, `|_|` for u, `/\` for a, `|\|` for n.

A row of signs is read if a word comes of it and the text has several such words. Cleaning leaves
out backslashes, so drawings with one are read before it does (`backslashed`), others with the rest
of the words (`read`).
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from textmod_model.text.draft import Draft
from textmod_model.text.spellings import spellings
from textmod_model.text.vocabulary import is_word, is_word_with_ending

_BACKSLASHED: Final = {
    "|\\/|": "m", "/\\/\\": "m", "\\/\\/": "w", "|\\|": "n", "/\\": "a", "\\/": "v",
}  # fmt: skip
_PLAIN: Final = {
    "|-|": "h", "|_|": "u", "}{": "h", ")(": "x", "><": "x", "|<": "k", "|)": "d", "[)": "d",
    "|}": "d", "|]": "d", "()": "o", "[]": "o", "|3": "b", "|2": "r", "|*": "p", "|>": "p",
    "|=": "f", "|_": "l", "(_)": "u", "vv": "w", "ph": "f", "|": "li",
}  # fmt: skip
_DRAWINGS: Final = _BACKSLASHED | _PLAIN
_PART: Final = re.compile(
    "|".join(re.escape(drawing) for drawing in sorted(_DRAWINGS, key=lambda one: -len(one))) + "|.",
    re.DOTALL,
)
_ONLY_SIGNS: Final = re.compile(
    "|".join(re.escape(one) for one in _PLAIN if len(one) > 1 and not one.isalpha())
)
"""Finds out whether there is anything to read; asked of every chunk that is no plain word."""
_CHUNK: Final = re.compile(r"\S+")
WITH_BACKSLASH: Final = re.compile(r"[^\s\\]*\\\S*")
"""A chunk with a backslash in it."""
_ADDRESS: Final = re.compile(r"://|:\\/\\/|^www\.", re.IGNORECASE)
_BEHIND: Final = ".,!?;:\"'”’"
_BEFORE: Final = "\"'“‘#>*"
_LONGEST: Final = 60
_FEWEST: Final = 2
_SEVERAL: Final = 3


def is_drawn(chunk: str) -> bool:
    """Tell whether a chunk has letters drawn with signs and is read as a word of three or more."""
    if len(chunk) > _LONGEST or not _ONLY_SIGNS.search(chunk):
        return False
    word = _word(chunk)
    return word is not None and sum(map(str.isalpha, word)) >= _SEVERAL


def read(draft: Draft) -> None:
    """Read the drawn letters of a draft, if several words come of them."""
    if not _ONLY_SIGNS.search(draft.text):
        return
    replace = _replacement(
        chunk for chunk in draft.text.split() if any(drawing in chunk for drawing in _DRAWINGS)
    )
    if replace is not None:
        draft.sub(_CHUNK, replace)


def backslashed(text: str) -> Callable[[re.Match[str]], str] | None:
    """Return what replaces a match of WITH_BACKSLASH, None if a text has no such drawings."""
    if "/\\" not in text and "\\/" not in text and "|\\|" not in text:
        return None
    return _replacement(WITH_BACKSLASH.findall(text))


def _replacement(chunks: Iterable[str]) -> Callable[[re.Match[str]], str] | None:
    different = set(chunks)
    found = {chunk: word for chunk in different if (word := _word(chunk)) is not None}
    among_letters = sum(any(map(str.isalpha, chunk)) for chunk in found)
    if among_letters < _FEWEST:
        return None
    if among_letters >= max(_SEVERAL, len(different) / 2):  # names and rare words are drawn, too
        for chunk in different - found.keys():
            if not _ADDRESS.search(chunk):
                found[chunk] = _PART.sub(_first, chunk)
    return lambda match: found.get(match[0], match[0])


def _first(match: re.Match[str]) -> str:
    """Return the letter of a drawing that is made of several signs."""
    part = match[0]
    return part if len(part) == 1 or part.isalpha() else _DRAWINGS.get(part, part)


def _word(chunk: str) -> str | None:
    """Return the word that a chunk with drawn letters is read as, with the marks around it."""
    if len(chunk) > _LONGEST or _ADDRESS.search(chunk):
        return None
    begin = len(chunk) - len(chunk.lstrip(_BEFORE))
    core = chunk[begin:].rstrip(_BEHIND)
    end = begin + len(core)
    if not core or is_word_with_ending(core):
        return None
    parts = _PART.findall(core)
    if all(part not in _DRAWINGS or part == "|" for part in parts):
        return None
    choices = [
        [*_DRAWINGS[part], *([part] if part.isalpha() else [])] if part in _DRAWINGS else [part]
        for part in parts
    ]
    for spelling in spellings(choices):
        letters = spelling.replace("'", "").replace("’", "")
        if letters.isalpha() and letters.isascii():
            small = spelling.lower()
            if is_word_with_ending(small) or (len(small) == 1 and is_word(small)):
                return chunk[:begin] + spelling + chunk[end:]
    return None
