"""How certain it is that a disguised word is read as another one."""

import re
from collections.abc import Callable, Iterable
from typing import Final, Literal

from textmod_model.text.between import is_never_in_words
from textmod_model.text.letters import SIGNS, has_rare_marks
from textmod_model.text.vocabulary import is_common, is_word, letters_of, without_ending

Kind = Literal["letters", "accents", "separators", "signs", "repeats", "doubles", "capitals"]
"""A way in which a word is disguised."""

GUESS: Final = 0
"""Only the rest of the text speaks for it."""
LIKELY: Final = 1
"""The reading is a word."""
SURE: Final = 2
"""The reading is a word, and there is no other reading."""

GROUP: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
BETWEEN: Final = re.compile(r"[^\w'’]+|_+|['’](?=['’])")
SIGN: Final = re.compile(f"[{re.escape(''.join(SIGNS))}]")
# A number with its unit or ending, a word with its number, a mention: signs by right.
_NUMBERED: Final = re.compile(
    r"[$€£+-]?\d[\d.,:]*[A-Za-z]{1,3}|[A-Za-z]+-?\d+|\d[A-Za-z]\d|@.*|\d+"
)


def certainty(core: str, word: str, kinds: Iterable[Kind]) -> int:
    """Return how certain it is that what is there is read as this word, disguised in these ways."""
    letters = letters_of(word)
    return min(_JUDGES[kind](core, letters) for kind in kinds)


def _of_signs(core: str, letters: str) -> int:
    if len(letters) <= 2 or _NUMBERED.fullmatch(core):
        return GUESS
    if sum(map(str.isalpha, core)) <= 1 and len(letters) <= 3:
        return GUESS if any(map(str.isascii, SIGN.findall(core))) else LIKELY
    if core[-1] in _BEHIND_NAMES and not SIGN.search(core[:-1]):
        return GUESS  # a trademark
    if core.isupper() or set(SIGN.findall(core)) <= _BRACKETS:
        return LIKELY
    return SURE


def _of_separators(core: str, letters: str) -> int:
    core = without_ending(core)
    groups = GROUP.findall(core)
    singles = sum(len(group) == 1 for group in groups)
    foreign = len(groups) == 1 and core[1:2] in _APOSTROPHES
    if len(letters) <= 2 or foreign or (core.isupper() and singles == len(groups)):
        return GUESS  # d'accord, U.S.A.
    if singles > 2:
        return SURE
    between = set(BETWEEN.findall(core))
    never = bool(between) and all(map(is_never_in_words, between))
    pictured = never and not any(map(str.isascii, between))
    if all(is_word(group.lower()) for group in groups if pictured or len(group) > 1):
        return GUESS  # e-mail
    if all(group[0].isupper() for group in groups) or not between.isdisjoint(_BRACKETS_IN_WORDS):
        return LIKELY  # Yu-Gi-Oh, alco(ho)l
    if len(groups) > 2:
        return SURE
    parted = len(groups) == 2 and never and groups[1].islower()
    return SURE if parted else LIKELY  # rock'n'roll


def _of_letters(core: str, letters: str) -> int:
    if len(letters) > 2:
        return SURE
    mixed = any(map(str.isascii, filter(str.isalpha, core)))
    return SURE if mixed and not _GREEK.search(core) else GUESS  # Δt


def _of_accents(core: str, letters: str) -> int:
    """Names and foreign words have accents by right; a frequent word has none of the rare."""
    is_odd = len(letters) >= _LONG and is_common(letters) and has_rare_marks(core)
    return SURE if is_odd else LIKELY


def _of_repeats(core: str, letters: str) -> int:  # noqa: ARG001  # one signature
    if len(set(core.lower())) == 1:
        return GUESS  # www
    return LIKELY  # who writes "sooo" mostly means it


def _of_doubles(core: str, letters: str) -> int:  # noqa: ARG001  # one signature
    return LIKELY  # or a typing error


def _of_capitals(core: str, letters: str) -> int:  # noqa: ARG001  # one signature
    return LIKELY


_LONG: Final = 5
_APOSTROPHES: Final = frozenset("'’")
_GREEK: Final = re.compile("[\u0370-\u03ff]")
_BEHIND_NAMES: Final = frozenset("®©ªº†‡")
_BRACKETS: Final = frozenset("([{<")
_BRACKETS_IN_WORDS: Final = frozenset("()[]{}")
_JUDGES: Final[dict[Kind, Callable[[str, str], int]]] = {
    "letters": _of_letters,
    "accents": _of_accents,
    "separators": _of_separators,
    "signs": _of_signs,
    "repeats": _of_repeats,
    "doubles": _of_doubles,
    "capitals": _of_capitals,
}
