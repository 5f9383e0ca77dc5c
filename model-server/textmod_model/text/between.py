"""Marks, digits, tags and comments that a text has between the letters of its words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from textmod_model.text.draft import Draft
from textmod_model.text.vocabulary import is_word

_BETWEEN: Final = re.compile(r"(?<=[A-Za-z])(?:[^\w'’]+|_+|\d+|['’]+)(?=[A-Za-z])")
DIGITS: Final = re.compile(r"\d+")
_DIGITS_WITHIN: Final = re.compile(r"[A-Za-z]+\d+[A-Za-z]+\d+[A-Za-z][A-Za-z\d]*")
_FEWEST_LETTERS: Final = 3
_FREQUENT: Final = 0.04
"""Share of the marks between letters from which one is taken for a separator of the text."""
_FREQUENT_BY_RIGHT: Final = 0.2
"""The same for digits and apostrophes, which many words have."""
_FEWEST: Final = 2
_AROUND: Final = frozenset("()[]{}<>*_~|")  # as often before a letter as behind it
_RUN: Final = "{1,16}"
"""Marks or tags before a letter that are left out at once. Without a limit, a text of nothing else
would take quadratic time."""
_ENDING: Final = r"(?!(?:[stdm]|re|ve|ll)(?![A-Za-z'’]))"
_BEHIND: Final = re.compile(r"(?<=[A-Za-z])(?:[^\w\s'’\x00-\x7f]+|_+|~+)")
_NEVER: Final = frozenset("._~…•·")
_SENTENCE: Final = frozenset(".…")
_PICTURES: Final = frozenset(["So", "Sk", "Sm", "Po", "Mn", "Me", "Cf", "Co", "Cn"])
_NOTHING: Final = re.compile("(?!)")

_INLINE: Final = "(?:a|abbr|b|big|code|del|em|font|i|ins|mark|s|small|span|strong|sub|sup|tt|u)"
_ATTRIBUTES: Final = r"(?:\s[^<>]{0,200})?"
_EMPTY: Final = rf"(?:<({_INLINE}){_ATTRIBUTES}></\1>|<{_INLINE} ?/>|<wbr ?/?>)+"
_BB_CODE: Final = r"\[/?(?:[bisu]|color|font|size|sub|sup|url)(?:=[^\s\[\]]{0,200})?\]"
_TAG: Final = rf"(?:</?{_INLINE}{_ATTRIBUTES}>|{_BB_CODE})"
_EMPTY_TAGS: Final = re.compile(rf"(?<=[A-Za-z]){_EMPTY}")
_TAG_BROKEN: Final = re.compile(rf"(?<=[A-Za-z])(?:<{_INLINE}$|</{_INLINE}>)|\">[A-Za-z]+<")
"""Part of a tag with attributes, which has white space in it, beside a letter."""
_TAGS_WITHIN: Final = re.compile(rf"(?<=[A-Za-z]){_TAG}+(?=[A-Za-z])")
_TAGS_BESIDE: Final = re.compile(rf"(?<=[A-Za-z]){_TAG}+|{_TAG}{_RUN}(?=[A-Za-z])")
_SEVERAL: Final = 3

# A comment ends before the next tag at the latest, so that a text of beginnings takes linear time.
_COMMENT: Final = "<!--(?:-?>|(?:[^<>-]|-(?!->))*+-->)"
# Without words in it: where comments are shown, nothing is hidden by leaving it out.
_WORDLESS: Final = "<!--(?:-?>|(?:[^<>A-Za-z-]|-(?!->)|[A-Za-z]{1,2}(?![A-Za-z]))*+-->)"
_COMMENTS_WITHIN: Final = re.compile(rf"(?<=[A-Za-z])(?:{_COMMENT})+(?=[A-Za-z])")
_COMMENTS: Final = re.compile(rf"{_COMMENTS_WITHIN.pattern}|{_WORDLESS}")
_COMMENTS_BESIDE: Final = re.compile(rf"(?<=[A-Za-z])(?:{_COMMENT})+|{_WORDLESS}")


LINK_WITHIN: Final = re.compile(
    r"\[(?<=[A-Za-z]\[)([A-Za-z]{0,20})\]\([^\s()]{0,200}\)(?=[A-Za-z])"
)
"""A link of Markdown within a word; its first group is what a reader sees.

It begins with a literal, which the search for it makes use of.
"""


def comments(text: str) -> re.Pattern[str]:
    """Return what finds the HTML comments of a text that are part of no word a reader sees.

    These are comments within words, and comments without words. If many are within words, those
    behind words are meant as they are.
    """
    many = len(_COMMENTS_WITHIN.findall(text)) >= _SEVERAL
    return _COMMENTS_BESIDE if many else _COMMENTS


def has_empty_tags(chunk: str) -> bool:
    """Tell whether elements without content are behind letters; a browser shows nothing there."""
    return _EMPTY_TAGS.search(chunk) is not None


def has_tags(chunk: str) -> bool:
    """Tell whether tags are between letters, or elements without content behind them."""
    return any(tags.search(chunk) for tags in (_TAGS_WITHIN, _TAG_BROKEN, _EMPTY_TAGS))


def drop_tags(draft: Draft) -> None:
    """Leave out elements without content behind letters, and tags if many are between letters."""
    if "<" not in draft.text and "[/" not in draft.text:
        return
    draft.sub(_EMPTY_TAGS, lambda _: "")
    if len(_TAGS_WITHIN.findall(draft.text)) >= _SEVERAL:
        draft.sub(_TAGS_BESIDE, lambda _: "")


def is_word_with_digits(text: str) -> bool:
    """Tell whether a text is a word with digits at two places within it, or more."""
    if not _DIGITS_WITHIN.fullmatch(text):
        return False
    letters = DIGITS.sub("", text).lower()
    return len(letters) >= _FEWEST_LETTERS and is_word(letters)


def separators(chunks: Iterable[str]) -> re.Pattern[str]:
    """Return what finds the marks that are often between letters of these, beside a letter."""
    marks = Counter(mark for chunk in chunks for mark in _BETWEEN.findall(chunk))
    total = marks.total()
    signs = {mark for mark in marks if not (mark.isdigit() or mark[0] in "'’")}
    digits = {mark for mark in marks if mark.isdigit()}
    apostrophes = marks.keys() - signs - digits
    most = max(map(marks.__getitem__, signs), default=0)
    least = min(most, max(_FREQUENT * total, _FEWEST))
    frequent = [mark for mark in signs if marks[mark] >= least]
    found: list[str] = []
    if frequent:
        found.append(f"(?<=[A-Za-z])(?:{_any(frequent)})")
    if around := _AROUND.intersection("".join(frequent)):
        some = f"[{re.escape(''.join(sorted(around)))}]"
        found.append(rf"(?<=[A-Za-z]){some}+|{some}{_RUN}(?=[A-Za-z])")
    if sum(marks[mark] for mark in digits) >= _FREQUENT_BY_RIGHT * total > 0:
        found.append(rf"(?<=[A-Za-z])(?:{_any(digits)})(?!\d)")
    if sum(marks[mark] for mark in apostrophes) >= _FREQUENT_BY_RIGHT * total > 0:
        found.append(rf"(?<=[A-Za-z])['’]{_ENDING}")
    return re.compile("|".join(found)) if found else _NOTHING


@lru_cache(maxsize=4096)
def is_never_in_words(marks: str) -> bool:
    """Tell whether nobody writes these marks within a word: pictures, bullets, lines."""
    return marks in _NEVER or all(
        not mark.isascii() and unicodedata.category(mark) in _PICTURES for mark in marks
    )


def pictures(
    chunks: Iterable[str], disguised: Iterable[str], least: float
) -> re.Pattern[str] | None:
    """Return what finds pictures and such lines behind letters.

    None if there are none within the words that are surely disguised, or fewer than `least`.
    """
    within = {mark for chunk in disguised for mark in _BETWEEN.findall(chunk)} - _SENTENCE
    if not any(map(is_never_in_words, within)):
        return None
    found = [mark for chunk in chunks for mark in _BEHIND.findall(chunk)]
    never = [mark for mark in found if mark not in _SENTENCE and is_never_in_words(mark)]
    if len(never) < least:
        return None
    # By character, not by mark: a text may have thousands of different rows of pictures.
    some = re.escape("".join(sorted(set("".join(never)))))
    return re.compile(f"(?<=[A-Za-z])[{some}]+")


def _any(marks: Sequence[str] | set[str]) -> str:
    return "|".join(map(re.escape, sorted(marks, key=lambda mark: (-len(mark), mark))))
