"""Letters written as escapes: `%73`, `%2573`, `=73`, `\\u0073`, `\\u{73}`, `\\x73`, `\\163`.

Behind a backslash (`BACKSLASHED`) they are certain; cleaning leaves out other backslashes, and
without them most can still be told (`read`).
"""

import re
import unicodedata
from typing import Final

from textmod_model.text.draft import Draft

_CODE: Final = "([46][1-9A-Fa-f]|[57][0-9Aa])"
# Not "20%50". A percent sign may itself be an escape, %25.
_BEYOND_DIGITS: Final = r"(?:(?<![\d%])|(?<=%[4-7][0-9A-Fa-f])|(?<=25[4-7][0-9A-Fa-f]))"
_AMONG_LETTERS: Final = r"(?:(?<=[A-Za-z])|(?<=x[4-7][0-9A-Fa-f])|(?=...x[4-7]))"  # not "x64"
# An address, which keeps its own, or an escape.
_ESCAPE: Final = re.compile(
    rf"(?:https?://|www\.)\S*|{_BEYOND_DIGITS}%(?:25){{0,3}}{_CODE}|%?u00{_CODE}|U000000{_CODE}"
    rf"|[ux]{{0{{0,4}}{_CODE}}}"
    rf"|{_AMONG_LETTERS}x{_CODE}(?!\d)|(?<!\w)x(49|61)(?!\w)"  # I, a
    r"|=([46][1-9A-F]|[57][0-9A])"  # quoted-printable
)
_GOES_ON: Final = re.compile(f"(?:(?<=[A-Za-z])={_CODE}|={_CODE}(?==[4-7]|[A-Za-z]{{3}}))[A-Za-z=]")
_SEVERAL: Final = 3
_FEW: Final = 2

BACKSLASHED: Final = re.compile(
    r"(?<!\\)\\++(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})"
    r"|[ux]\{([0-9A-Fa-f]{1,8})\}|([01][0-7]{2}))"
)
"""What may be a character written as an escape with its backslash."""
_OCTAL: Final = 5
_UNSEEN: Final = frozenset(["Mn", "Cf"])


def has_backslashed(text: str) -> bool:
    """Tell whether several letters of a text are escapes with their backslash."""
    if len(text) - len(text.replace("\\", "")) < _FEW:
        return False
    return sum(backslashed(match) != match[0] for match in BACKSLASHED.finditer(text)) >= _FEW


def backslashed(match: re.Match[str]) -> str:
    """Return the letter or mark that a match of BACKSLASHED names, else what it matched."""
    code = int(match[match.lastindex or 0], 8 if match.lastindex == _OCTAL else 16)
    character = chr(code) if code <= 0x10FFFF else ""
    is_named = character.isalpha() or (character and unicodedata.category(character) in _UNSEEN)
    return character if is_named else match[0]


def has_escapes(chunk: str) -> bool:
    """Tell whether letters of a chunk are written as escapes."""
    return _count(chunk) > 0


def read(draft: Draft) -> None:
    """Put letters for escapes if a text has several."""
    if _count(draft.text) >= _SEVERAL:
        draft.sub(_ESCAPE, _letter)


def _count(text: str) -> int:
    """Count the letters that are written as escapes. Most texts have none, and need no search."""
    if not (
        "%" in text or "x" in text or "=" in text or "u00" in text or "u{" in text or "U0" in text
    ):
        return 0
    return sum(map(_is_escape, _ESCAPE.finditer(text)))


def _is_escape(match: re.Match[str]) -> bool:
    """Tell escapes from addresses, and from numbers behind a word ("linux64", "max50", "n=50")."""
    if match.lastindex is None:
        return False
    if match[0][0] == "=":
        return _GOES_ON.match(match.string, match.start()) is not None
    number = match[0][0] == "x" and match[0][1] != "{"
    return not number or match.string[match.end() : match.end() + 1].isalpha()


def _letter(match: re.Match[str]) -> str:
    code = match[match.lastindex] if match.lastindex else None
    return chr(int(code, 16)) if code else match[0]
