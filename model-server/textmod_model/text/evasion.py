"""Read texts that are written so that people can read them and a model can't.

`undisguise` rewrites a text as a reader would read it aloud: first its characters (`characters`),
then its words, then letters that were set apart. A word is rewritten where what comes of it is a
word that people write and what was there is none, or where the text as a whole says so. Texts in
other languages, and texts that need nothing, come back as they are.

`suspicion` is how one chunk (a run of characters without white space) tells that a text may need
it; a scorer remembers it by chunk, so that texts without pay nothing.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from textmod_model.text import (
    apart,
    between,
    characters,
    drawings,
    escapes,
    inserted,
    joined,
    scripts,
)
from textmod_model.text.certainty import GUESS, SURE, Kind
from textmod_model.text.doubles import has_pair
from textmod_model.text.draft import Draft
from textmod_model.text.evidence import Evidence, core_of, marked
from textmod_model.text.readings import LONGEST, Reading, is_unreadable, reading, without_pairs
from textmod_model.text.vocabulary import is_word

LONGEST_TEXT: Final = 1 << 16
"""Characters of a text's beginning that are read; what is behind them stays as it is."""
SUSPECT: Final = 60
"""The suspicion of a chunk that alone is enough, however long its text is."""
_WEAK: Final = 4
_MARKED: Final = 14
FRAGMENT: Final = 2
"""The suspicion of a few letters that are no word. Slang has many, so it counts less."""
LEAST: Final = 3 * _WEAK
_NEAR: Final = 4
SHOUTED_WEIGHT: Final = 3
LEAST_SHOUTED: Final = 4  # letters; shorter ones are mostly abbreviations

_CHUNK: Final = re.compile(r"\S+")
_LETTERS: Final = re.compile(r"[A-Za-z]+")
_PERSON: Final = re.compile(r"(?<![A-Za-z])i(?![A-Za-z])")
_SENTENCE: Final = re.compile(r"(?:^|[.!?]\s+)[a-z]")
AROUND: Final = ">#^.,!?;:\"'()[]*_~…“”‘’"
LETTER_LIKE: Final = "!("
# What says nothing, by one expression (`_quick_suspicion` and `_suspicion` say the same): words of
# more than a fragment's letters, compounds of long words, numbers, addresses, no letters at all.
_MARKS_AROUND: Final = r"""[>#^.,!?;:"'()\[\]*_~]*+"""
_SAYS_NOTHING: Final = re.compile(
    rf"""[!-$&-@\[-`{{-~]++
    |{_MARKS_AROUND}(?:https?://|www\.|/?[ru]/|(?:doi:)?10\.\d{{4}})[!-~]*+
    |{_MARKS_AROUND}[$<=+-]*+\d[\d.,:/%+x-]*+[A-Za-z]{{0,2}}+{_MARKS_AROUND}
    |(?!.*([a-z])\1(?:\1|([a-z])\2))(?:
        (?![!(]){_MARKS_AROUND}[A-Za-z][a-z]{{4,}}+(?:\d{{1,3}}+|'(?:[stdm]|re|ve|ll))?
        |{_MARKS_AROUND}(?:(?:\d++[-/])++[A-Za-z][a-z]{{5,}}+|[A-Za-z][a-z]{{5,}}+(?=[-/.]))
            (?:(?:[-/]|\.{{2,}}+)(?:[A-Za-z][a-z]{{5,}}+|\d++))?+
    ){_MARKS_AROUND}""",
    re.VERBOSE,
)
_TRIPLE: Final = re.compile(r"([A-Za-z])\1\1")
_REPEATED: Final = re.compile(r"([A-Za-z])\1(?:\1|([A-Za-z])\2)")
"""A triple, or two pairs side by side, which few words have."""
_ENDINGS: Final = frozenset(["s", "t", "re", "ve", "ll", "d", "m", ""])
_LETTER_AND_MARK: Final = 2
_LONG_PART: Final = 5
_SHORT_PART: Final = 2
_JOINT: Final = re.compile(r"[-/]|\.{2,}")
_ADDRESS: Final = re.compile(r"https?://|www\.|/?[ru]/|(?:doi:)?10\.\d{4}")
_NUMBER: Final = re.compile(r"[A-Za-z][a-z]{4,}\d{1,3}|[$£€<>=+-]*\d[\d.,:/%+x-]*[A-Za-z]{0,2}")
# Those of texts in forms and feeds, of which a letter may have been disguised.
_ENTITY: Final = re.compile("&(?:amp|lt|gt|quot|apos|nbsp);")
_NAME: Final = re.compile("[A-Z][a-z]{2,}")
_SHOUTED: Final = re.compile(r"[^\w]*[A-Z]+(?:['’][A-Z]+)?[^\w]*")

_SEVERAL: Final = 3
_MANY: Final = 0.1
_UPPER: Final = 0.9
_MIXED: Final = 0.3
"""Share of words with capitals where nobody puts them, from which all capitals mean nothing."""


def undisguise(text: str) -> str:
    """Return a text as a reader reads it; its characters come from `text`, in order."""
    return _undisguised(Draft(text)).text


def origins(text: str) -> tuple[str, list[int]]:
    """Return what `undisguise` returns, and the index in `text` of each of its characters."""
    draft = _undisguised(Draft(text, trace=True))
    return draft.text, draft.origins or []


def rewrite(draft: Draft) -> None:
    """Do what `undisguise` does to a draft of at most LONGEST_TEXT characters.

    All of it is `Draft.sub`, so that a draft may record the steps.
    """
    _undisguised(draft)


def is_suspect(text: str) -> bool:
    """Tell whether a text is to be undisguised: what a scorer tells by remembered chunks."""
    said = list(map(suspicion, text.split()))
    return says_enough(
        [at for at, one in enumerate(said) if one], [one for one in said if one], len(said)
    )


def says_enough(places: Sequence[int], said: Sequence[int], chunks: int) -> bool:
    """Tell whether what some chunks say is enough to look at their text.

    Args:
        places: of the chunks that say something, ascending.
        said: their suspicion.
        chunks: how many chunks the text has.
    """
    if SUSPECT in said or sum(said) >= enough(chunks):
        return True
    fragments = [at for at, one in zip(places, said, strict=True) if one == FRAGMENT]
    return any(last - first <= _NEAR for first, last in pairwise(fragments[::2])) or any(
        last - first <= _NEAR for first, last in pairwise(fragments[1::2])
    )


def enough(chunks: int) -> float:
    """Return from which sum of suspicions a text of so many chunks is looked at.

    Three chunks that say a little, or a tenth of all; in a short text a quarter of them. A tenth is
    also what a reading needs of such evidence, so to look at a text with less would be in vain.
    """
    return max(_WEAK, min(LEAST, _WEAK / 4 * chunks), _MANY * _WEAK * chunks)


def suspicion(chunk: str) -> int:
    """Return how much a chunk says for looking at its text, 0 … SUSPECT."""
    quick = quick_suspicion(chunk)
    if quick is not None:
        return quick
    return _remembered(chunk) if len(chunk) <= LONGEST else _suspicion(chunk)


def quick_suspicion(chunk: str) -> int | None:
    """Return the suspicion of a chunk if it takes little time, as for most; otherwise None."""
    return 0 if _SAYS_NOTHING.fullmatch(chunk) else _quick_suspicion(chunk)


def _quick_suspicion(chunk: str) -> int | None:
    """Return what words, compounds of words, numbers and addresses say; None for other chunks."""
    core = chunk.strip(AROUND)
    if not core.isascii():
        return None
    if core.isalpha():
        return _quick_word(chunk, core)
    if _NUMBER.fullmatch(core) or _ADDRESS.match(core):
        return 0
    word, apostrophe, ending = core.replace("’", "'").partition("'")
    if apostrophe:
        return 0 if ending in _ENDINGS and _quick_word(word, word) == 0 else None
    parts = _JOINT.split(core)
    odd = [part for part in parts if not _is_ordinary(part)]
    short = len(odd) == 1 and len(odd[0]) <= _SHORT_PART and odd[0].isalnum()
    if len(parts) > 1 and (short or not odd):
        return _of_joints(chunk) if len(parts) > 2 else 0
    return _of_joints(chunk) if is_unreadable(chunk) else None


def _quick_word(chunk: str, core: str) -> int | None:
    """Return what letters between marks say; None if it has to be looked at."""
    small = core.lower()
    known = bool(core) and is_word(small)
    if known and (core[1:].islower() or len(core) == 1):
        return 0
    if not core or (_TRIPLE if known else _REPEATED).search(core):
        return None
    if core.isupper() and len(core) > 1:
        return SHOUTED_WEIGHT if known and len(chunk) >= LEAST_SHOUTED else 0
    if not core[1:].islower() and len(core) > 1:
        return None  # capitals where nobody puts them
    if chunk[0] in LETTER_LIKE and core[0].islower():
        return None  # what stands before it may be its first letter
    # With a mark beside it, a fragment is joined with nothing (initials, "al."), unless as "s. t."
    is_alone = len(core) <= apart.LONGEST_FRAGMENT and (
        chunk == core or (len(chunk) == _LETTER_AND_MARK and chunk[0].islower())
    )
    return FRAGMENT if is_alone and not _NAME.fullmatch(core) else 0


def _is_ordinary(part: str) -> bool:
    """Tell whether a part of a compound is a number, a word, or so long that it is likely one."""
    if part.isdigit():
        return True
    if len(part) <= 2 or not part.isalpha() or not part[1:].islower():
        return False
    return is_word(part.lower()) or (len(part) > _LONG_PART and not _REPEATED.search(part))


def _suspicion(chunk: str) -> int:
    if _looks_otherwise(chunk) or drawings.is_drawn(chunk):
        return SUSPECT
    tagged = ("<" in chunk or "[/" in chunk) and between.has_tags(chunk)
    if tagged or escapes.has_escapes(chunk):
        return SUSPECT if between.has_empty_tags(chunk) else _MARKED
    found = reading(chunk)
    read = _of_reading(chunk, found) if found is not None and found.certainty else 0
    if said := max(read, _of_joints(chunk)):
        return said
    if chunk.isalpha() and not _NAME.fullmatch(chunk) and apart.is_fragment(chunk):
        return FRAGMENT
    if len(chunk) >= LEAST_SHOUTED and _SHOUTED.fullmatch(chunk) and is_word(core_of(chunk)):
        return SHOUTED_WEIGHT
    return 0


def _looks_otherwise(chunk: str) -> bool:
    """Tell whether a chunk's characters are not what a reader sees, or of two scripts."""
    if chunk.isascii() and chunk.isprintable():
        return False
    draft = Draft(chunk)
    characters.show(draft)
    return draft.text != chunk or scripts.is_mixed(chunk) or inserted.is_suspect(chunk)


def _of_joints(chunk: str) -> int:
    """Return what a chunk says by marks in place of white space."""
    return min(_MARKED, _WEAK * joined.unusual_joints(inserted.as_marks(chunk)))


def _of_reading(chunk: str, found: Reading) -> int:
    if found.certainty == SURE:
        return SUSPECT
    return _MARKED if "accents" in found.kinds and marked(chunk, found) > 0 else _WEAK


_remembered = lru_cache(maxsize=1 << 15)(_suspicion)


def _undisguised(draft: Draft) -> Draft:
    """Read a draft, and if it is long its beginning alone, so that no text takes seconds."""
    if len(draft.text) > LONGEST_TEXT:
        beginning, rest = draft.text[:LONGEST_TEXT], draft.text[LONGEST_TEXT:]
        read = _undisguised(Draft(beginning, trace=draft.origins is not None))
        draft.text = read.text + rest
        if read.origins is not None and draft.origins is not None:
            draft.origins = read.origins + draft.origins[LONGEST_TEXT:]
        return draft
    first = draft.text
    marks = 0
    if not draft.text.isascii() or not draft.text.isprintable():
        marks = characters.accents(draft.text)
        characters.show(draft)
        marks -= characters.accents(draft.text)
        inserted.drop(draft)
    escapes.read(draft)
    between.drop_tags(draft)
    joined.separate(draft)
    drawings.read(draft)
    apart.join_disguised(draft)
    apart.join_by_turns(draft)
    _right_capitals(draft)
    before = draft.text
    scripts.to_latin(draft, is_meant=_read_words(draft, marks) >= _SEVERAL)
    if draft.text != before:
        _right_capitals(draft)
    apart.join(draft)
    if "&" in draft.text and draft.text != first:
        draft.sub(_ENTITY, lambda match: html.unescape(match[0]))
    return draft


def _right_capitals(draft: Draft) -> None:
    """Undo capitals that are small letters and the reverse, and texts in capitals or a mixture."""
    words = _LETTERS.findall(draft.text)
    letters = "".join(words)
    capitals = sum(map(str.isupper, letters))
    mixed = sum(not (word.isupper() or word[1:].islower()) for word in words if len(word) > 1)
    swapped = sum(word[0].islower() and word[1:].isupper() for word in words)
    if len(words) < _SEVERAL:
        return
    if swapped >= max(_SEVERAL - 1, mixed / 2) and capitals >= len(letters) / 2:
        draft.sub(_LETTERS, lambda match: match[0].swapcase())
    elif (capitals >= _UPPER * len(letters) and len(words) > _SEVERAL) or (
        mixed >= max(_SEVERAL, _MIXED * len(words))
    ):
        draft.sub(_LETTERS, lambda match: match[0].lower())
        draft.sub(_SENTENCE, lambda match: match[0].upper())
        draft.sub(_PERSON, lambda match: match[0].upper())


def _read_words(draft: Draft, marks: int) -> int:
    """Read each chunk as the word it stands for, where it and its text say enough.

    `marks` is how many accents have been left out because no letter has them. Return how many words
    are written with letters of other scripts.
    """
    chunks = draft.text.split()
    found = {chunk: new for chunk in set(chunks) if (new := reading(chunk)) is not None}
    if not found:
        return 0
    if any(new.certainty and "doubles" in new.kinds for new in found.values()):
        _read_pairs(set(chunks), found)
    evidence = Evidence(chunks, found, marks)
    if any(map(evidence.has_much, _EAGER)):
        for chunk in set(chunks) - found.keys():
            if (new := reading(chunk, eager=True)) is not None:
                found[chunk] = new._replace(certainty=GUESS)
    left_over = evidence.left_over(chunks, found)
    if instead := _borne_out(found, evidence):
        draft.sub(_CHUNK, lambda match: instead.get(match[0], match[0]))
    if left_over:
        draft.sub(left_over, lambda _: "")
    made = evidence.words_made["letters"]
    if evidence.has_accents_to_leave_out() and scripts.without_accents(draft):
        return made + _read_words(draft, 0)  # now some more are words
    return made


def _borne_out(found: Mapping[str, Reading], evidence: Evidence) -> dict[str, str]:
    """Return the chunks that are read as other words, and these."""
    instead = {chunk: new.text for chunk, new in found.items() if evidence.speaks_for(chunk, new)}
    for chunk in _capitals_for_small(instead):
        instead[chunk] = instead[chunk].lower()
    return instead


def _read_pairs(chunks: Iterable[str], found: dict[str, Reading]) -> None:
    """Read what has one pair too, in a text of words with two that are none."""
    for chunk in chunks:
        before = found.get(chunk, Reading(chunk, frozenset(), GUESS))
        if not before.certainty and has_pair(before.text):
            new = without_pairs(chunk) or without_pairs(before.text)
            if new is not None and new.certainty:
                found[chunk] = new._replace(kinds=before.kinds | new.kinds)


def _capitals_for_small(chunks: Iterable[str]) -> list[str]:
    """Return the chunks that begin with a capital beyond ASCII that is a small letter in others."""
    beyond = [chunk for chunk in chunks if not chunk.isascii()]
    used = {
        two
        for chunk in beyond
        for one, two in pairwise(chunk)
        if one.islower() and two.isupper() and not two.isascii()
    }
    return [chunk for chunk in beyond if next(filter(str.isalpha, chunk), "") in used]


_EAGER: Final[Sequence[Kind]] = ("signs", "accents", "letters")
