"""Letters written as escapes: `%73`, and without backslashes `\\u0073`, `\\u{73}` and `\\x73`."""

import re
from typing import Final

from textmod_model.text.draft import Draft

_CODE: Final = "([46][1-9A-Fa-f]|[57][0-9Aa])"
_BEYOND_DIGITS: Final = r"(?:(?<![\d%])|(?<=%[4-7][0-9A-Fa-f]))"  # not "20%50"
_AMONG_LETTERS: Final = r"(?:(?<=[A-Za-z])|(?<=x[4-7][0-9A-Fa-f])|(?=...x[4-7]))"  # not "x64"
# An address, which keeps its own, or an escape.
_ESCAPE: Final = re.compile(
    rf"(?:https?://|www\.)\S*|{_BEYOND_DIGITS}%{_CODE}|%?u00{_CODE}|U000000{_CODE}"
    rf"|[ux]{{0{{0,4}}{_CODE}}}"
    rf"|{_AMONG_LETTERS}x{_CODE}(?!\d)|(?<!\w)x(49|61)(?!\w)"  # I, a
)
_SEVERAL: Final = 3


def has_escapes(chunk: str) -> bool:
    """Tell whether letters of a chunk are written as escapes."""
    return _count(chunk) > 0


def read(draft: Draft) -> None:
    """Put letters for escapes if a text has several."""
    if _count(draft.text) >= _SEVERAL:
        draft.sub(_ESCAPE, _letter)


def _count(text: str) -> int:
    """Count the letters that are written as escapes. Most texts have none, and need no search."""
    if not ("%" in text or "x" in text or "u00" in text or "u{" in text or "U0" in text):
        return 0
    return sum(map(_is_escape, _ESCAPE.finditer(text)))


def _is_escape(match: re.Match[str]) -> bool:
    """Tell escapes from addresses, and from numbers behind a word ("linux64", "max50")."""
    if match.lastindex is None:
        return False
    number = match[0][0] == "x" and match[0][1] != "{"
    return not number or match.string[match.end() : match.end() + 1].isalpha()


def _letter(match: re.Match[str]) -> str:
    code = match[match.lastindex] if match.lastindex else None
    return chr(int(code, 16)) if code else match[0]
