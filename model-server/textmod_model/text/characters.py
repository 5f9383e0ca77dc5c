"""What a reader sees of single characters: styles are letters, what is invisible is not there.

Only what a text can't need is undone. Joiners, selectors and directions stay beside letters of
scripts without capitals (Arabic, Hebrew, the Indic scripts, Thai, Han …) and beside emoji; marks
stay where Unicode has a composed letter, or where an orthography may put one mark on a letter.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from textmod_model.text.draft import Draft

# Unicode's Default_Ignorable_Code_Point, interlinear annotations, and controls that are no space.
_IGNORABLE_CHARACTERS: Final = (
    "\x01-\x08\x0e-\x1b\x7f\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_IGNORABLE: Final = re.compile(f"[{_IGNORABLE_CHARACTERS}]+")
_DIRECTIONS: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_EMOJI_STYLE: Final = "\ufe0f"
_EMOJI_LETTERS: Final = frozenset("Ⓜ🅰🅱🅾🅿")
_BLANK: Final = re.compile("[\u115f\u1160\u2800\u3164\uffa0]+")
_REVERSED: Final = re.compile("\u202e([^\u202c\n]*)(?:\u202c|$|(?=\n))")
_MARK_CHARACTERS: Final = (
    "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_MARKED: Final = re.compile(f"(.?)([{_MARK_CHARACTERS}]+)", re.DOTALL)
_LATIN: Final = "[A-Za-z\u00c0-\u024f]"
_BEHIND_LATIN: Final = re.compile(f"(?<={_LATIN})[\u0591-\U00011fff]+")
"""Among others, where marks of other scripts may be."""
_ACCENT: Final = re.compile("[\u0300-\u0333\u0339-\u036f]")
_KEYCAP: Final = "\u20e3"
_KEYCAPS: Final = frozenset("0123456789#*")
# Marks of tone, length and nasality that orthographies put on letters without a composed form.
_TONES: Final = frozenset(
    "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030c\u0323\u0327\u0328\u032d\u0331"
)
_TONED: Final = frozenset("aeiouymnɛɔəɩʊɪʉɨŋæøœɑʌ")
# Beyond IPA's letters, without the blocks of scripts that have no styles.
_STYLED: Final = re.compile(
    "[\u02b0-\u02ff\u1d2c-\u1d6a\u1d78\u1d9b-\u1dbf\u2070-\u209f\u2100-\u214f\u2160-\u217f\u2460-\u24ff"
    "\u2c7c\u2c7d\ua7f8\ua7f9\ufb00-\ufb06\uff10-\uff19\uff21-\uff3a\uff41-\uff5a"
    "\U0001d400-\U0001d7ff\U0001f110-\U0001f169\u017f]"
)
_SMALL_CAPITALS: Final = re.compile(
    "[\u1d00-\u1d2b\ua730\ua731\ua7af\u0262\u026a\u0274\u0280\u028f\u0299\u029c\u029f]"
)
_SURELY_SMALL_CAPITALS: Final = re.compile("[\u1d00-\u1d22\ua730\ua731]")
_WIDE_MARKS: Final = re.compile("[\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff5e]")
_IDEOGRAPHS: Final = re.compile(
    "[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff]"
)
_LETTER_NAME: Final = re.compile(
    r"(?:LATIN LETTER SMALL CAPITAL|MODIFIER LETTER (?:SMALL|CAPITAL)|"
    r"LATIN SUBSCRIPT SMALL LETTER|"
    r"(?:NEGATIVE )?(?:CIRCLED|SQUARED|PARENTHESIZED) LATIN (?P<big>CAPITAL|SMALL) LETTER|"
    r"REGIONAL INDICATOR SYMBOL LETTER) (?P<letter>[A-Z])"
)
_REGIONS: Final = frozenset(
    first + second
    for first, seconds in {
        "A": "CDEFGILMOQRSTUWXZ",
        "B": "ABDEFGHIJLMNOQRSTVWYZ",
        "C": "ACDFGHIKLMNOPRUVWXYZ",
        "D": "EGJKMOZ",
        "E": "ACEGHRSTU",
        "F": "IJKMOR",
        "G": "ABDEFGHILMNPQRSTUWY",
        "H": "KMNRTU",
        "I": "CDELMNOQRST",
        "J": "EMOP",
        "K": "EGHIMNPRWYZ",
        "L": "ABCIKRSTUVY",
        "M": "ACDEFGHKLMNOPQRSTUVWXYZ",
        "N": "ACEFGILOPRUZ",
        "O": "M",
        "P": "AEFGHKLMNRSTWY",
        "Q": "A",
        "R": "EOSUW",
        "S": "ABCDEGHIJKLMNORSTVXYZ",
        "T": "ACDFGHJKLMNORTVWZ",
        "U": "AGMNSYZ",
        "V": "ACEGINU",
        "W": "FS",
        "X": "K",
        "Y": "ET",
        "Z": "AMW",
    }.items()
    for second in seconds
)
"""Pairs of letters that are shown as a flag: those of ISO 3166-1 and a few of Unicode's own."""
_FLAGS: Final = re.compile("[\U0001f1e6-\U0001f1ff]+")
_EMOJI_LETTER: Final = re.compile("[\U0001f170-\U0001f189](?=(.?))", re.DOTALL)
_FEW: Final = 2


def show(draft: Draft) -> None:
    """Rewrite a draft's characters as a reader sees them."""
    if _REVERSED.search(draft.text):
        draft.sub(_REVERSED, _turned_round)
    right_to_left = any(map(_is_right_to_left, set(draft.text)))
    _drop_foreign_marks(draft)
    _drop_invisible(draft, right_to_left=right_to_left)
    if draft.text.isascii():
        return
    draft.sub(_BLANK, _blank)
    draft.sub(_MARKED, _marked)
    draft.sub(_STYLED, lambda match: _plain(match[0]))
    if _SURELY_SMALL_CAPITALS.search(draft.text):
        draft.sub(_SMALL_CAPITALS, lambda match: _plain(match[0]))
    wide = len(_WIDE_MARKS.findall(draft.text))
    if wide >= _FEW and not _IDEOGRAPHS.search(draft.text):
        draft.sub(_WIDE_MARKS, lambda match: chr(ord(match[0]) - 0xFEE0))
    _show_emoji_letters(draft)
    _drop_foreign_marks(draft)
    _drop_invisible(draft, right_to_left=right_to_left)  # now beside letters, before beside emoji


def accents(text: str) -> int:
    """Count the combining marks of a text that are above or below letters."""
    return 0 if text.isascii() else len(_ACCENT.findall(text))


def _drop_foreign_marks(draft: Draft) -> None:
    """Leave out marks of other scripts behind Latin letters."""
    marks = set(filter(_is_foreign_mark, set("".join(_BEHIND_LATIN.findall(draft.text)))))
    if marks:  # rare, or words of scripts with marks would cost an expression each
        behind_latin = re.compile(f"(?<={_LATIN})[{re.escape(''.join(sorted(marks)))}]+")
        draft.sub(behind_latin, lambda _: "")


@lru_cache(maxsize=4096)
def _is_foreign_mark(character: str) -> bool:
    """Tell the marks of other scripts than Latin."""
    return unicodedata.category(character)[0] == "M" and not _MARKED.match(character)


def _drop_invisible(draft: Draft, *, right_to_left: bool) -> None:
    draft.sub(_IGNORABLE, lambda match: match[0] if _is_used(match, right_to_left) else "")


def _turned_round(match: re.Match[str]) -> str:
    """Turn what is shown from right to left, unless its letters are written so anyway."""
    inside = match[1]
    return inside if any(map(_is_right_to_left, inside)) else inside[::-1]


def _is_right_to_left(character: str) -> bool:
    is_letter = character > "\u0590" and character not in _DIRECTIONS
    return is_letter and unicodedata.bidirectional(character) in ("R", "AL")


def _is_used(match: re.Match[str], right_to_left: bool) -> bool:
    """Tell whether what is invisible may matter where it is."""
    text, (start, end) = match.string, match.span()
    if right_to_left and not _DIRECTIONS.isdisjoint(match[0]):
        return True
    before, after = text[start - 1 : start], text[end : end + 1]
    if match[0] == _EMOJI_STYLE and before in _EMOJI_LETTERS:
        return True
    return after == _KEYCAP or _uses_invisible(before) or _uses_invisible(after)


@lru_cache(maxsize=4096)
def _uses_invisible(character: str) -> bool:
    """Tell letters without capitals, their marks, and pictures from all else."""
    if not character or character < "\u00a9":
        return False
    kind = unicodedata.category(character)
    if kind in ("Lo", "Mc", "Mn"):
        return not _MARKED.match(character) and not "\U0001d400" <= character <= "\U0001d7ff"
    return kind in ("So", "Sk", "Sm", "Po", "Co", "Cn") and not _is_letter_sign(character)


def _blank(match: re.Match[str]) -> str:
    text, (start, end) = match.string, match.span()
    near = text[start - 1 : start] + text[end : end + 1]
    return match[0] if _IDEOGRAPHS.search(near) else " "


def _marked(match: re.Match[str]) -> str:
    """Leave the marks that the letter before may have."""
    base, marks = match.groups()
    if not base or base.isspace() or _MARKED.match(base):
        return base
    if base in _KEYCAPS and _KEYCAP in marks:
        return base + _KEYCAP
    if _uses_invisible(base):
        return match[0]
    composed = unicodedata.normalize("NFC", base + marks)
    rest = composed[1:]
    if not rest:
        return composed
    letter = composed[0]
    if len(rest) == 1 and rest in _TONES and _letter_of(letter.lower()) in _TONED:
        return composed
    return _letter_of(letter)


@lru_cache(maxsize=4096)
def _letter_of(letter: str) -> str:
    return unicodedata.normalize("NFD", letter)[0]


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    """Return the letter or digit that a styled one is, or the character itself."""
    tag = unicodedata.decomposition(character).partition(" ")[0]
    compatible = unicodedata.normalize("NFKC", character)
    if tag in ("<font>", "<wide>") and len(compatible) == 1 and compatible.isalnum():
        return compatible
    if tag and compatible.isascii():
        letters = compatible.strip("()")
        if letters.isalpha() and (len(letters) == 1 or "\ufb00" <= character <= "\ufb06"):
            return letters
    match = _LETTER_NAME.match(unicodedata.name(character, ""))
    return match["letter"].lower() if match else character


def _is_letter_sign(character: str) -> bool:
    return "\u249c" <= character <= "\u24e9" or "\U0001f110" <= character <= "\U0001f1ff"


def _show_emoji_letters(draft: Draft) -> None:
    """Read letters among emoji as letters, unless they are flags, or stand alone as blood types."""
    runs = _FLAGS.findall(draft.text)
    if runs:
        all_letters = sum(not _is_flags(run) for run in runs) >= _FEW
        draft.sub(_FLAGS, lambda match: _flags_or_letters(match, all_letters=all_letters))
    signs = _EMOJI_LETTER.findall(draft.text)
    if signs:
        many = len(signs) > _FEW
        draft.sub(_EMOJI_LETTER, lambda match: _sign_or_letter(match, many=many))


def _is_flags(run: str) -> bool:
    letters = "".join(chr(ord(character) - 0x1F1E6 + ord("A")) for character in run)
    pairs = [letters[at : at + 2] for at in range(0, len(letters), 2)]
    return _REGIONS.issuperset(pairs)


def _flags_or_letters(match: re.Match[str], *, all_letters: bool) -> str:
    run = match[0]
    text, (start, end) = match.string, match.span()
    within = text[start - 1 : start].isalpha() and text[end : end + 1].isalpha()
    if _is_flags(run) and not all_letters and not within:
        return run
    return "".join(chr(ord(character) - 0x1F1E6 + ord("a")) for character in run)


def _sign_or_letter(match: re.Match[str], *, many: bool) -> str:
    before, after = match.string[match.start() - 1 : match.start()], match[1]
    return _plain(match[0]) if many or before.isalpha() or after.isalpha() else match[0]
