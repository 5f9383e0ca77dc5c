"""How one word may be read that is written with other letters, signs, repeats or marks between.

`reading` tries the few ways in which people disguise a word, alone and together, and takes the one
that needs the fewest of them and gives the most frequent word.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from textmod_model.text.between import DIGITS, is_word_with_digits
from textmod_model.text.certainty import BETWEEN, GROUP, GUESS, LIKELY, SIGN, SURE, Kind, certainty
from textmod_model.text.doubles import halved, has_two_pairs, undoubled
from textmod_model.text.escapes import has_escapes
from textmod_model.text.letters import SIGNS, TURNED, TURNED_ASCII, options
from textmod_model.text.spellings import MOST, spellings
from textmod_model.text.vocabulary import (
    cost,
    is_word,
    is_word_with_ending,
    letters_of,
)


class Reading(NamedTuple):
    """What a chunk may be read as."""

    text: str
    kinds: frozenset[Kind]
    """The ways in which it was disguised."""
    certainty: int
    """GUESS, LIKELY or SURE."""


class _Variant(NamedTuple):
    text: str
    kinds: frozenset[Kind]


LONGEST: Final = 90
"""Characters of the longest chunk that is read."""
_NOTHING: Final[frozenset[Kind]] = frozenset()
_ACCENTS: Final[frozenset[Kind]] = frozenset({"accents"})
_DOUBLES: Final[frozenset[Kind]] = frozenset({"doubles"})
_FEW: Final = 4
_REPEATED: Final = re.compile(r"([^\W\d_])\1\1+", re.IGNORECASE)
_SIGNS: Final = "$|+@!" + "".join(sign for sign in SIGNS if not sign.isascii())
_ENDING: Final = "(?:['’](?:[stdm]|re|ve|ll|em|all|[STDM]|RE|VE|LL))"
# An ordinary word between marks: small, capital or capitalised, perhaps with an ending.
_ORDINARY: Final = re.compile(
    rf"[^\w{_SIGNS}(]*\(?(?:[A-Z]?[a-z]+|[A-Z]+s?){_ENDING}?(?:!|[^\w{_SIGNS}])*"
)
_NO_LETTERS: Final = re.compile(r"[\W\d_]*")
ADDRESS: Final = re.compile(
    r"://|^www\.|^/?[ru]/|^(?:doi:)?10\.\d{4}|\.[a-z]{2,4}/|@[\w-]+\.\w"
    r"|\.(?:com|org|net|gov|edu)\b",
    re.IGNORECASE,
)
_MARKS: Final = re.compile("[\u0300-\u036f]+")  # what `characters` leaves on letters
_CORE: Final = re.compile(r"([\W_]*)(.*?)([\W_]*)", re.DOTALL)
_SIGNED_CORE: Final = re.compile(rf"([^\w{_SIGNS}(]*)(.*?)([^\w{_SIGNS}]*)", re.DOTALL)
# Alone between letters, or at two places within a word and more.
_APOSTROPHES_WITHIN: Final = re.compile(r"[A-Za-z]+['’][A-Za-z]+(?:['’][A-Za-z][A-Za-z'’]*)?")
_APOSTROPHES: Final = re.compile("['’]+")
# Two 1s may be four words: too many to try.
_GROUPED: Final = re.compile(r"(?!.*1.*1)[#&,-/:;=>?\]\"_~]*+[A-Za-z0-9#&,-/:;=>?\]\"_~]++")
_DIGITS_OR_LETTERS: Final = re.compile("[A-Za-z0-9]+")
_DIGITS_AS_LETTERS: Final = str.maketrans(
    {digit: letters for digit, letters in SIGNS.items() if digit.isdigit() and len(letters) == 1}
)
_STARS: Final = re.compile(r"(\*+)")
_VOWELS: Final = "aeiou"


def reading(chunk: str, *, eager: bool = False) -> Reading | None:
    """Return how a chunk is read, None for one that is read as it is.

    With `eager`, numbers and mentions are read as words too, where they can be.
    """
    return _reading(chunk, eager=eager) if len(chunk) <= LONGEST else None


def is_unreadable(chunk: str) -> bool:
    """Tell, of most chunks with digits or marks in them, that no part can be read as a word.

    They are letters and digits between marks that are no signs for letters. False says nothing.
    """
    if not _GROUPED.fullmatch(chunk):
        return False
    groups = _DIGITS_OR_LETTERS.findall(chunk)
    if not groups:
        return True
    doubtful = [group for group in groups if not (group.isdigit() or _is_ordinary(group))]
    if len(groups) > 1:
        doubtful.append("".join(groups))
    elif groups[0].isalpha():
        return False
    if has_escapes(chunk) or any(map(is_word_with_digits, doubtful)):
        return False
    for text in {other for group in doubtful for other in _digits_read(group.lower())}:
        if is_word(text) or _REPEATED.search(text) or has_two_pairs(text):
            return False
    return not has_two_pairs(chunk)


def _digits_read(text: str) -> Iterable[str]:
    """Return a text with letters for its digits."""
    if text.isalpha():
        return (text,)
    read = text.translate(_DIGITS_AS_LETTERS)
    return (read.replace("1", "i"), read.replace("1", "l")) if "1" in text else (read,)


@lru_cache(maxsize=1 << 14)
def _reading(chunk: str, *, eager: bool) -> Reading | None:
    if not chunk.isascii() and (plain := _MARKS.sub("", chunk)) != chunk:
        return _without_marks(chunk, plain, eager=eager)
    if ADDRESS.search(chunk):
        return _address(chunk) if eager else None
    if _is_ordinary(chunk) and not (chunk[0] == "(" and chunk[-1] != ")"):
        return without_pairs(chunk) if has_two_pairs(chunk) else None
    if not eager and _NO_LETTERS.fullmatch(chunk):
        return None
    best = None
    # Often the same. A sign is a letter first, "$h1t" no dollar and a hit; a bracket is not.
    shapes = (_CORE, _SIGNED_CORE) if chunk[0] == "(" else (_SIGNED_CORE, _CORE)
    for head, core, tail in dict.fromkeys(_parts(shape, chunk) for shape in shapes):
        if not core or (len(core) == 1 and best is not None):
            continue
        found = _read(core, eager=eager)
        if found is not None and (best is None or found.certainty > best.certainty):
            best = found._replace(text=head + found.text + tail)
        if best is not None and best.certainty == SURE:
            break
    return best


def without_pairs(chunk: str) -> Reading | None:
    """Read a chunk as a word of which letters were written twice, one pair or more."""
    head, core, tail = _parts(_CORE, chunk)
    if is_word_with_ending(core):
        return None
    text = undoubled(core)
    if text is not None:
        return Reading(head + text + tail, _DOUBLES, LIKELY)
    text = halved(core)
    return None if text is None else Reading(head + text + tail, _DOUBLES, GUESS)


def _without_marks(chunk: str, plain: str, *, eager: bool) -> Reading | None:
    """Read a chunk from which combining marks were taken."""
    found = _reading(plain, eager=eager)
    if found is None:
        core = _parts(_CORE, plain)[1]
        is_word_left = is_word_with_ending(core)
        found = Reading(plain, _NOTHING, SURE if is_word_left else GUESS)
    else:
        core = _parts(_CORE, found.text)[1]
    least = min(found.certainty, certainty(chunk, core, _ACCENTS))
    return Reading(found.text, found.kinds | _ACCENTS, least)


def _parts(shape: re.Pattern[str], chunk: str) -> tuple[str, str, str]:
    """Part a chunk into what stands before its core, the core, and what stands behind."""
    match = shape.fullmatch(chunk)
    return (match[1], match[2], match[3]) if match else ("", chunk, "")


def _address(chunk: str) -> Reading | None:
    """Read an address: letter by letter, since it is no word."""
    best = next(iter(_as_letters(chunk)))
    return Reading(best.text, best.kinds, GUESS) if best.kinds else None


def _is_ordinary(chunk: str) -> bool:
    return bool(_ORDINARY.fullmatch(chunk)) and not _REPEATED.search(chunk)


def _read(core: str, *, eager: bool) -> Reading | None:
    if is_word_with_ending(core) and not _is_odd(core):
        return None
    if not eager and not core.isascii() and is_word(core.lower()):
        return None  # café
    whole = _read_whole(core)
    if whole is not None and whole.certainty == SURE:
        return whole
    groups = GROUP.findall(core)
    if len(groups) > 1 and not all(len(group) == 1 for group in groups):
        return _read_groups(core) or whole
    return whole


def _read_groups(core: str) -> Reading | None:
    """Read each part of a compound by itself."""
    kinds: set[Kind] = set()
    best = GUESS

    def replace(match: re.Match[str]) -> str:
        nonlocal best
        part = match[0]
        if part.isdigit() or (is_word_with_ending(part) and not _is_odd(part)):
            return part
        if _is_ordinary(part):
            found = without_pairs(part) if has_two_pairs(part) else None
        else:
            found = _read_whole(part)
        if found is None or not found.certainty:
            return part
        kinds.update(found.kinds)
        best = max(best, found.certainty)
        return found.text

    text = GROUP.sub(replace, core)
    return Reading(text, frozenset(kinds), best) if best else None


def _read_whole(core: str) -> Reading | None:
    spelled = list(islice(_spelled(core), MOST * 3))
    candidates = [v for v in islice(_variants(spelled), MOST * 3) if v.kinds]
    words = [v for v in candidates if is_word_with_ending(v.text)]
    if words:
        best = min(words, key=lambda v: (len(v.kinds), cost(letters_of(v.text))))
        return Reading(best.text, best.kinds, certainty(core, *best))
    for text, kinds in spelled[:_FEW] if not core.isascii() or has_two_pairs(core) else ():
        if has_two_pairs(text) and (word := undoubled(text)) is not None:
            best = _Variant(word, kinds | _DOUBLES)
            return Reading(*best, certainty(core, *best))
    if not candidates:
        half = halved(core)
        return None if half is None else Reading(half, _DOUBLES, GUESS)
    if not core.isascii() and not any(map(str.isascii, filter(str.isalpha, core))):
        return None  # a word of another script
    last = max(candidates, key=lambda v: len(v.kinds))
    if "separators" in last.kinds and any(len(group) > 1 for group in GROUP.findall(core)):
        return None
    return Reading(last.text, last.kinds, GUESS) if last.text.isalpha() else None


def _is_odd(word: str) -> bool:
    """Tell words with capitals where nobody puts them."""
    return any(map(str.isupper, word[1:])) and any(map(str.islower, word))


def _variants(spelled: Iterable[_Variant]) -> Iterator[_Variant]:
    """Yield what a word may be that is spelled so, the likelier first."""
    for one in spelled:
        for two in _without_repeats(one):
            yield from _with_usual_capitals(two)


def _spelled(core: str) -> Iterator[_Variant]:
    """Yield what a word may be by its characters."""
    for one in _as_letters(core):
        for two in _without_separators(one):
            yield from _signs_as_letters(two)


def _as_letters(core: str) -> Iterable[_Variant]:
    if core.isascii():
        return [_Variant(core, _NOTHING)]
    turned = any(character in TURNED for character in core)
    choices: list[list[str]] = []
    kinds: set[Kind] = set()
    small = any(map(str.islower, core))
    for at, character in enumerate(core):
        looks, kind = options(character)
        if kind:
            kinds.add(kind)
        if kind and at and small:
            looks = list(map(str.lower, looks))
        if turned and (other := TURNED_ASCII.get(character)):
            looks = [*looks, *other]
        choices.append(looks)
    if not kinds:
        return [_Variant(core, _NOTHING)]
    texts = spellings(choices)
    if turned:  # it may be read from its end, too
        texts += spellings(choices[::-1])
    found = frozenset(kinds)
    return [_Variant(text, found) for text in texts]


def _without_separators(variant: _Variant) -> Iterable[_Variant]:
    yield variant
    text, kinds = variant
    if is_word_with_digits(text):
        yield _Variant(DIGITS.sub("", text), kinds | {"separators"})
    if _APOSTROPHES_WITHIN.fullmatch(text):
        yield _Variant(_APOSTROPHES.sub("", text), kinds | {"separators"})
    if not BETWEEN.search(text) or not (text[0].isalnum() and text[-1].isalnum()):
        return
    kinds |= {"separators"}
    yield _Variant(BETWEEN.sub("", text), kinds)
    if "*" in text:  # letters left out, mostly vowels
        parts = _STARS.split(text)
        choices = [_VOWELS if part.startswith("*") else (part,) for part in parts]
        yield from (_Variant(spelling, kinds) for spelling in spellings(choices))


def _signs_as_letters(variant: _Variant) -> Iterable[_Variant]:
    text, kinds = variant
    if not SIGN.search(text):
        yield variant
        return
    choices = [SIGNS.get(character, character) for character in text]
    kinds |= {"signs"}
    capitals = text.isupper()
    for letters in spellings(choices):
        yield _Variant(letters.upper() if capitals else letters, kinds)


def _without_repeats(variant: _Variant) -> Iterable[_Variant]:
    text, kinds = variant
    if not _REPEATED.search(text):
        yield variant
        return
    kinds |= {"repeats"}
    choices: list[Sequence[str]] = []
    done = 0
    for match in _REPEATED.finditer(text):
        # Every letter written three times makes six of two: that comes first.
        choices += (*text[done : match.start()],)
        once, twice = match[0][:1], match[0][:2]
        choices.append((twice, once) if len(match[0]) >= 6 else (once, twice))
        done = match.end()
    choices += (*text[done:],)
    for spelling in spellings(choices):
        yield _Variant(spelling, kinds)


def _with_usual_capitals(variant: _Variant) -> Iterable[_Variant]:
    text, kinds = variant
    if not _is_odd(text):
        yield variant
        return
    yield _Variant(text, kinds)
    yield _Variant(text.lower(), kinds or frozenset({"capitals"}))
