"""English words by frequency, and the characters that look like letters: tables, read when needed.

`words.txt` and `lookalikes.txt` are made by `make text-tables` (`dev/textmod_dev/text_tables.py`),
which names their sources; `alphabets.txt` is written by hand.
"""

import math
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from string import ascii_lowercase
from typing import Final

LONGEST_WORD: Final = 20
"""Letters of the longest word that is looked for."""
_COMMON: Final = 3000
# The shorter a string of letters, the more frequent it must be to be taken for a word: most strings
# of three letters are somebody's abbreviation.
_RANKS: Final = {1: 0, 2: 0, 3: 4000, 4: 12_000}
_PAIRS: Final = frozenset(
    [
        "ah",
        "am",
        "an",
        "as",
        "at",
        "be",
        "by",
        "da",
        "de",
        "do",
        "eh",
        "go",
        "ha",
        "he",
        "hi",
        "id",
        "if",
        "im",
        "in",
        "is",
        "it",
        "la",
        "lt",
        "me",
        "mr",
        "ms",
        "my",
        "no",
        "of",
        "oh",
        "ok",
        "on",
        "or",
        "pc",
        "rt",
        "so",
        "to",
        "tv",
        "um",
        "up",
        "ur",
        "us",
        "vs",
        "we",
        "ya",
        "yo",
    ]
)
_LOANS: Final = (
    "adios anime applique attache blase cafe canape cliche communique consomme cooperate creme"
    " crepe debris debut decor deja depot detente divorce divorcee doppelganger eclair elan elite"
    " emigre entree espanol expose facade fete fiance fiancee flambe forte frappe hotel jalapeno"
    " lame latte macrame maitre mate matinee melee meme naif naive naivete nee ole outre passe"
    " pate pinata pique pokemon premiere protege puree regime resume risque role rose roue sake"
    " saute seance senor smorgasbord soiree souffle soupcon tete touche uber voila"
)
LOANS: Final = frozenset(_LOANS.split())
"""English words that many write with their accents, without them."""
_LONGEST_CORE: Final = LONGEST_WORD + 3  # with an ending
_ENDING: Final = re.compile(r"(?:['’](?:s|t|re|ve|ll|d|m|em|all)|['’])$")
_NEGATION: Final = re.compile(r"n['’]t$")
_SINGLES: Final = frozenset("ai")
_UNKNOWN: Final = 13.0
_UNKNOWN_LETTER: Final = 1.5


@cache
def _ranks() -> dict[str, int]:
    table = files("textmod_model.text") / "tables" / "words.txt"
    return {word: rank for rank, word in enumerate(table.read_text("utf-8").split())}


@cache
def look_alikes() -> dict[str, str]:
    """Return the ASCII letters that a character looks like, by the character."""
    table = files("textmod_model.text") / "tables" / "lookalikes.txt"
    letters: dict[str, str] = {}
    for line in table.read_text("utf-8").splitlines():
        letter, _, looks = line.partition(" ")
        for look in looks:
            letters[look] = letters.get(look, "") + letter
    return letters


@cache
def alphabets() -> dict[str, str]:
    """Return the small letters that a character of "fancy text" stands for, by the character.

    Each line of the table is an alphabet: what programs for such text write for a to z.
    """
    table = files("textmod_model.text") / "tables" / "alphabets.txt"
    letters: dict[str, str] = {}
    for line in table.read_text("utf-8").splitlines():
        for letter, look in zip(ascii_lowercase, line, strict=True):
            if not look.isascii() and letter not in letters.get(look, ""):
                letters[look] = letters.get(look, "") + letter
    return letters


def is_word(letters: str) -> bool:
    """Tell whether these small letters are a word that people write."""
    size = len(letters)
    if size <= 2:
        return letters in (_SINGLES if size == 1 else _PAIRS)
    rank = _ranks().get(letters)
    return rank is not None and rank < _RANKS.get(size, 1 << 30)


def without_ending(core: str) -> str:
    """Return a word without its ending behind an apostrophe."""
    return _ENDING.sub("", core)


def letters_of(core: str) -> str:
    """Return the small letters of a word without its ending behind an apostrophe."""
    lowered = core.lower()
    if "'" not in lowered and "’" not in lowered:
        return lowered
    plain = without_ending(lowered)
    if plain == lowered or is_word(plain):
        return plain
    return _NEGATION.sub("", lowered)


def is_word_with_ending(text: str) -> bool:
    """Tell whether a text is a word that people write, perhaps with an ending, in any case."""
    return len(text) <= _LONGEST_CORE and text.isascii() and is_word(letters_of(text))


def words() -> Iterator[str]:
    """Yield everything of which `is_word` is true."""
    yield from _SINGLES
    yield from _PAIRS
    yield from filter(is_word, (word for word in _ranks() if len(word) > 2))


def is_common(letters: str) -> bool:
    """Tell whether these small letters are one of the words that every English text has."""
    return is_word(letters) and (len(letters) <= 2 or _ranks()[letters] < _COMMON)


def cost(letters: str) -> float:
    """Return how unlikely these small letters are as one word, in nats (Zipf's law)."""
    if not is_word(letters):
        return cost_of_unknown(len(letters))
    return 2.5 + math.log(_ranks().get(letters, 0) + 10)


def cost_of_unknown(letters: int) -> float:
    """Return the `cost` of so many letters that are no word, in nats."""
    return _UNKNOWN + _UNKNOWN_LETTER * letters
