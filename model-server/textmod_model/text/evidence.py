"""What a text as a whole says about how its words are to be read."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from textmod_model.text import between
from textmod_model.text.certainty import SURE, Kind
from textmod_model.text.letters import has_odd_marks, has_rare_marks
from textmod_model.text.readings import Reading
from textmod_model.text.vocabulary import LOANS, is_common, letters_of

_LETTER: Final = re.compile("[A-Za-z]")
_ENGLISH: Final = 0.35
"""Share of an English text's words that are common at least; other languages have less."""
_SEVERAL: Final = 3
_FEW: Final = 2
_SOME: Final = 0.03
_LONG: Final = 6  # of a word that is hardly one of another language too
_STRONG: Final = 2
# With an accent they are no word of another language that an English text cites.
_ONLY_ENGLISH: Final = frozenset(
    ["at", "be", "by", "if", "in", "is", "it", "my", "of", "or", "to", "up", "us", "we"]
)
_MANY: Final = 0.1
# Compounds have marks between their parts, and feelings repeat letters: more of these are needed.
_MANY_OF: Final[Mapping[Kind, float]] = {"separators": 0.2, "repeats": 0.15, "doubles": 0.15}


def marked(chunk: str, new: Reading) -> int:
    """Return what a word says of accents: above 0 that they are a disguise, -1 that they are meant.

    2 is a word that alone is enough in a text that is not long.
    """
    core = core_of(new.text)
    if core in LOANS:
        return -1
    if has_odd_marks(chunk):
        return _STRONG
    if len(core) <= _FEW or (not new.certainty and len(new.kinds) > 1):
        return int(core in _ONLY_ENGLISH)  # no name has signs for letters, too
    if not new.certainty:
        return -1
    return 1 if has_rare_marks(chunk) else _of_word(core, is_small=new.text.islower())


def _of_word(core: str, *, is_small: bool) -> int:
    """Return what a word says that has accents as some European language has them."""
    if is_common(core):
        return (_STRONG if len(core) > _SEVERAL else 1) if is_small else int(len(core) > _SEVERAL)
    if is_small:
        return int(len(core) >= _LONG)
    return -1


class Evidence:
    """What a text as a whole says about how its words are to be read."""

    def __init__(self, chunks: Sequence[str], found: Mapping[str, Reading], marks: int) -> None:
        self._words = 0
        self.words_made: Counter[Kind] = Counter()
        """How many words are disguised in each way, if they are read as the words they may be."""
        self._guesses: Counter[Kind] = Counter()
        self._pictured = False
        self._marked, self._names, common = marks, 0, 0
        for chunk, times in Counter(chunks).items():
            new = found.get(chunk)
            counts = new is not None and (new.certainty or "signs" in new.kinds)
            core = core_of(new.text if new is not None and counts else chunk)
            self._words += times * bool(core)
            common += times * is_common(core)
            if new is not None:
                if "accents" in new.kinds:
                    said = marked(chunk, new)
                    self._marked += times * max(said, 0)
                    self._names += times * (said < 0)
                kinds = self.words_made if new.certainty else self._guesses
                kinds.update(dict.fromkeys(new.kinds, times))
        self._several = min(_SEVERAL, math.ceil(self._words / 2))
        self._english = common >= _ENGLISH * self._words

    def has_much(self, kind: Kind) -> bool:
        """Tell whether a kind is found so often that it is meant."""
        if kind == "accents" and (
            self._marked <= self._names or self._marked >= max(_FEW, _SOME * self._words)
        ):
            return self._marked > self._names
        if kind == "separators" and self._pictured:
            return True
        count = self.words_made[kind]
        if kind == "repeats":  # of a pair, one letter doubled makes three
            count += self.words_made["doubles"]
        # Numbers and mentions say nothing against signs for letters, which they are read as too.
        against = 0 if kind == "signs" else self._guesses[kind]
        return count >= max(self._several, _MANY_OF.get(kind, _MANY) * self._words, against)

    def has_accents_to_leave_out(self) -> bool:
        """Tell whether the accents of an English text are a disguise, of whatever word."""
        return self._english and self._marked > 0 and self.has_much("accents")

    def left_over(
        self, chunks: Sequence[str], found: Mapping[str, Reading]
    ) -> re.Pattern[str] | None:
        """Return what finds the marks that were put behind letters, at the ends of words too.

        Pictures among them are meant as separators from then on.
        """
        apart = {chunk: new for chunk, new in found.items() if "separators" in new.kinds}
        if self.has_much("separators"):
            made = {chunk for chunk, new in apart.items() if new.certainty}
            return between.separators(chunk for chunk in chunks if chunk in made)
        sure = [chunk for chunk, new in apart.items() if new.certainty == SURE]
        if not sure:
            return None
        pictures = between.pictures(chunks, sure, max(_FEW, _SOME * self._words))
        self._pictured = pictures is not None
        return pictures

    def speaks_for(self, chunk: str, new: Reading) -> bool:
        """Tell whether the text bears a reading out; a word of two scripts needs no other sign."""
        mixed = "letters" in new.kinds and _LETTER.search(chunk)
        if not self._english and not mixed:
            return False
        return new.certainty == SURE or all(map(self.has_much, new.kinds))


def core_of(chunk: str) -> str:
    """Return a chunk's small letters, without marks around them and endings."""
    core = chunk.strip(_MARKS)
    return letters_of(core if core.isascii() else _PICTURES_AROUND.sub("", core))


_PICTURES_AROUND: Final = re.compile(r"^[\W_]+|[\W_]+$")
_MARKS: Final = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~“”‘’…—–"
