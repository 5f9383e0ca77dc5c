"""Letters and numerals of other scripts between the letters of Latin words: `s〇t〇u〇p〇i〇d`.

Marks between letters are left to `readings`. These are letters by Unicode, so a word with them is
one word; a reader reads over them all the same.
"""

import re
from typing import Final

from textmod_model.text import joined
from textmod_model.text.draft import Draft
from textmod_model.text.letters import options
from textmod_model.text.vocabulary import is_word_with_ending

_STRANGE: Final = "(?:[^\\W_\\x00-\\u02af]|[²³¹¼½¾])"
_WITHIN: Final = re.compile(rf"(?<=[A-Za-z]){_STRANGE}+(?=[A-Za-z])")
_BETWEEN_WORDS: Final = re.compile(rf"(?<=[A-Za-z,.;:!?]){_STRANGE}+(?=[A-Za-z])")
_CHUNK: Final = re.compile(r"\S+")
_LATIN: Final = re.compile("[A-Za-z]+")
_MARK: Final = "·"
"""Stands for an inserted letter where words have them in place of white space."""
_FEWEST_LETTERS: Final = 3
_FEWEST_LETTERS_ONCE: Final = 5
"""The same, of a word with a letter inserted at one place."""
_MOST: Final = 16
"""Letters inserted at one place that are left out."""
_SEVERAL: Final = 2
_MANY: Final = 3


class _Word:
    """A chunk with inserted letters, and the word without them."""

    def __init__(self, chunk: str) -> None:
        inserted = _WITHIN.findall(chunk)
        latin = [match.span() for match in _LATIN.finditer(chunk)]
        groups = _WITHIN.split(chunk[latin[0][0] : latin[-1][1]])
        letters = "".join(groups)
        least = _FEWEST_LETTERS if len(groups) > _SEVERAL else _FEWEST_LETTERS_ONCE
        is_compound = len(groups) == _SEVERAL and all(map(is_word_with_ending, groups))
        self.is_word = len(letters) >= least and is_word_with_ending(letters) and not is_compound
        self.is_sure = self.is_word and len(groups) > _SEVERAL
        """Letters are inserted at two places or more."""
        self.longest = max(map(len, inserted))
        """Letters that are inserted at one place, at most."""
        self.looks_latin = any(options(one)[1] is not None for one in "".join(inserted))


def is_suspect(chunk: str) -> bool:
    """Tell whether a chunk without its inserted letters is a word that people write."""
    if chunk.isascii() or not _WITHIN.search(chunk):
        return False
    return _Word(chunk).is_word


def as_marks(chunk: str) -> str:
    """Return a chunk with a mark in place of inserted letters."""
    return chunk if chunk.isascii() else _BETWEEN_WORDS.sub(_MARK, chunk)


def drop(draft: Draft) -> None:
    """Leave out letters that were inserted in words, and separate words that they join.

    Half of the chunks with such letters have to be words without them, so that a text of two
    languages stays as it is. A letter that looks like a Latin one may stand for it, so more words
    have to say that it does not.
    """
    if draft.text.isascii() or not _WITHIN.search(draft.text):
        return
    _separate(draft)
    words = {chunk: _Word(chunk) for chunk in set(draft.text.split()) if _WITHIN.search(chunk)}
    found = {chunk: word for chunk, word in words.items() if word.is_word}
    sure = sum(word.is_sure for word in found.values())
    if sure < _MANY:
        found = {chunk: word for chunk, word in found.items() if not word.looks_latin}
    if not found or len(found) < len(words) / 2:
        return
    # No more of them at one place than within words: a text of two languages has whole words.
    most = min(_MOST, max(word.longest for word in found.values()))
    few = f"{_STRANGE}{{1,{most}}}"
    beside = re.compile(f"(?<=[A-Za-z]){few}(?!{_STRANGE})|(?<!{_STRANGE}){few}(?=[A-Za-z])")
    if sure >= _MANY:
        draft.sub(beside, lambda _: "")
        return
    instead = {chunk: beside.sub("", chunk) for chunk in found}
    draft.sub(_CHUNK, lambda match: instead.get(match[0], match[0]))


def _separate(draft: Draft) -> None:
    """Put marks in place of inserted letters where these stand for white space."""
    marked = Draft(as_marks(draft.text))
    before = marked.text
    joined.separate(marked)
    if marked.text != before:
        draft.sub(_BETWEEN_WORDS, lambda _: _MARK)
