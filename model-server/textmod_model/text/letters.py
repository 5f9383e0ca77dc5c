"""Which ASCII letters a character may stand for: look-alikes, accented and turned ones, signs."""

import re
import unicodedata
from functools import lru_cache
from typing import Final, Literal

from textmod_model.text.vocabulary import alphabets, look_alikes

SIGNS: Final = {
    "0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b",
    "9": "g", "@": "a", "$": "s", "!": "i", "|": "li", "+": "t", "(": "c", "€": "e", "£": "l",
    "¢": "c", "¡": "i", "§": "s", "<": "c", "¥": "y", "^": "a", "{": "c", "[": "c", "%": "x",
    "₡": "c", "₢": "c", "₣": "f", "₤": "l", "₥": "m", "₦": "n", "₩": "w", "₫": "d", "₭": "k",
    "₮": "t", "₱": "p", "₲": "g", "₳": "a", "₴": "s", "₵": "c", "₸": "t", "₹": "r", "₿": "b",
    "฿": "b", "†": "t", "×": "x", "©": "c", "®": "r", "ª": "a", "º": "o", "µ": "u", "¶": "p",
    "‡": "t", "₠": "e", "₧": "p", "₨": "r", "₪": "n", "₯": "d", "₰": "s", "₺": "t",
    "₼": "m", "₽": "p", "₾": "c", "℮": "e", "∀": "a", "∂": "d", "∃": "e", "∅": "o", "∇": "v",
    "∈": "e", "∏": "n", "∑": "e", "√": "v", "∧": "a", "∨": "v", "∩": "n", "∪": "u", "∫": "s",
    "⊂": "c", "⊆": "c", "⊃": "d", "⊥": "t", "⊤": "t", "∆": "a",
}  # fmt: skip
TURNED: Final = dict(
    zip("ɐɔǝɟƃɓɥᴉıɾſʞɯɹʇʌʍʎᗡƎℲ⅁Ǝ⅃ԀԳΛ⅄∀ꓘᴚ", "acefgghiijjkmrtvwydefgelptvyakr", strict=True)
) | dict(zip("ɒɘꟻϱʜꞁɿƨꙅƚ", "aefghjrsst", strict=True))
"""Letters upside down, and in a mirror."""
TURNED_ASCII: Final = {
    "b": "qd", "d": "pb", "p": "dq", "q": "bp", "n": "u", "u": "n", "w": "m", "m": "w", "a": "e",
    "e": "a", "6": "9", "9": "6",
}  # fmt: skip
_LATIN_WITH: Final = re.compile(
    r"LATIN (?:SMALL|CAPITAL) LETTER"
    r"(?: (?:DOTLESS|REVERSED|SCRIPT|INSULAR|OPEN|BARRED|TURNED|SIDEWAYS|TAILLESS|LONG))*"
    r" ([A-Z])(?: WITH .*| BAR)?"
)
_CAPITALS_BY_NAME: Final = re.compile("[\u10a0-\u10c5\u13a0-\u13ff]")
"""Letters of Georgian and Cherokee that are capitals to Unicode and used without small ones."""


# What European languages hardly have (Vietnamese, African languages and transcriptions do), and
# what has no letter.
_RARELY_MARKED: Final = re.compile(
    "[\u0180-\u01cc\u01dd-\u01e5\u021c-\u036f\u1e00-\u1e9d\u1e9f-\u1eff"
    "\u1d00-\u1dbf\u2c60-\u2c7f\ua720-\ua7ff\uab30-\uab6f]"
)


def has_rare_marks(text: str) -> bool:
    """Tell whether a text has letters with marks that words in an English text hardly ever have."""
    return _RARELY_MARKED.search(text) is not None


def has_odd_marks(text: str) -> bool:
    """Tell whether a text has consonants with marks that hardly any orthography puts on them."""
    return (
        not text.isascii() and _ODDLY_MARKED.search(unicodedata.normalize("NFD", text)) is not None
    )


_ODDLY_MARKED: Final = re.compile("[bfhjkmpqtvwx][\u0300\u0301\u0303\u0308\u030a]", re.IGNORECASE)


@lru_cache(maxsize=4096)
def options(character: str) -> tuple[list[str], Literal["letters", "accents"] | None]:
    """Return what ASCII letters a character may be read as; itself if as none."""
    if unicodedata.combining(character):
        return [""], "accents"
    if (
        character.isascii()
        or character in SIGNS
        or not (character.isalpha() or character in TURNED or character in alphabets())
    ):
        return [character], None
    letters = ""
    kind: Literal["letters", "accents"] = "letters"
    base = unicodedata.normalize("NFD", character)[0]
    named = _LATIN_WITH.fullmatch(unicodedata.name(character, ""))
    if base.isascii() or named:
        letters, kind = (base if base.isascii() else named[1] if named else ""), "accents"
    alike = look_alikes()
    letters += alike.get(character, "") + alike.get(base, "")
    letters = letters or alike.get(character.lower(), "") or alike.get(character.upper(), "")
    letters += alphabets().get(character, "")
    if character in TURNED:
        letters, kind = letters + TURNED[character], "letters"
    if character.isupper():
        letters = "".join(sorted(letters, key=str.islower))  # a capital looks like capitals first
    cased = (
        str.upper if character.isupper() and not _CAPITALS_BY_NAME.match(character) else str.lower
    )
    return list(dict.fromkeys(map(cased, letters))) or [character], kind if letters else None


def look(character: str) -> str:
    """Return the one letter, or the character itself, that a character most likely means."""
    if character in SIGNS:
        return character if character in _MARKS_BY_RIGHT else SIGNS[character][0]
    looks = options(character)[0][0]
    return looks if len(looks) == 1 else character


_MARKS_BY_RIGHT: Final = frozenset("!([{<^%")
