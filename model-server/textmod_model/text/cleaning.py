"""Clean text as the model sees it: one function, used in training and in serving alike.

What a comment goes through between a keyboard and a topic leaves marks on it: HTML entities,
escapes such as ``<U+2019>``, UTF-8 that was read as Latin-1, half a surrogate pair. Authors who
want to be read by people alone leave others (`evasion`). `clean` undoes both. It never raises, and
its cost is linear in the length of the text.
"""

import html
import re
from typing import Final

from textmod_model.text import between, drawings, escapes
from textmod_model.text.evasion import is_suspect, undisguise

MAX_CHUNK: Final = 128
"""Longest run of characters without white space, in characters, that the tokenizer is shown.

A tokenizer that peels affixes off one by one is quadratic in the length of such a run: 1 MiB of
``((((`` would keep it busy for an hour. Words are shorter; longer runs are cut into pieces.
"""

SYMBOLS: Final = frozenset("!$%^&*()_+|~-=`{}[]:\";'<>?,./-")
"""Tokens that say nothing alone; they are no words."""
URL_WORD: Final = "URL"
"""The word every address becomes; upper case, so no other word is the same."""
FIRST_WORD: Final = "START"
LAST_WORD: Final = "END"
"""Words put before and behind a text by recipes to which its first and last words matter."""

# A numeric entity of eight digits or more names no character, and thousands of digits would make
# int() raise inside html.unescape.
HUGE_ENTITY: Final = re.compile(r"&#[0-9]{8,};?")
ESCAPED_CHARACTER: Final = re.compile(r"<[uU]\+([0-9a-fA-F]{4,6})>")
# Zero width space, word joiner, byte order mark, soft hyphen: seen by nobody, they split words.
_INVISIBLE_BEYOND_LATIN: Final = "\u200b\u2060\ufeff"
INVISIBLE: Final = re.compile(f"[{_INVISIBLE_BEYOND_LATIN}\u00ad]")
_LONG_CHUNK: Final = re.compile(rf"\S{{{MAX_CHUNK + 1},}}")
# What browsers do too (WHATWG, "numeric character reference end state"): the C1 controls are
# never meant, the characters of Windows-1252 at the same places are.
C1_CONTROLS: Final = {
    code: bytes([code]).decode("cp1252", errors="replace").replace("\ufffd", " ")
    for code in range(0x80, 0xA0)
}
_C1_CONTROL: Final = re.compile("[\x80-\x9f]")
UNESCAPE_PASSES: Final = 3


def clean(text: str, *, undisguises: bool = True) -> str:
    """Return `text` with its marks undone and no run of non-space characters over MAX_CHUNK.

    Takes any str, lone surrogates included; returns a str that encodes to UTF-8. Never raises.
    Without `undisguises` it is what it was for models that were trained before it could.
    """
    text = tidy(text)
    return cut(undisguise(text) if undisguises and is_suspect(text) else text)


def cut(text: str) -> str:
    """Cut runs of non-space characters over MAX_CHUNK into pieces."""
    if len(text) > MAX_CHUNK:
        text = _LONG_CHUNK.sub(lambda match: " ".join(pieces(match[0])), text)
    return text


def tidy(text: str) -> str:
    """Undo entities, escapes, comments, wrong encodings and links: the first part of `clean`."""
    if "&" in text:
        text = _unescape(text)
    if "<" in text and ("<U+" in text or "<u+" in text):
        text = ESCAPED_CHARACTER.sub(escaped_character, text)
    if not text.isascii():
        text = _repair_characters(text)
    if "\0" in text:
        text = text.replace("\0", "")
    if "--" in text:
        if "<!--" in text:
            text = between.comments(text).sub("", text)
        text = text.replace("--", " - ")
    if "](" in text:  # [words](address): the address becomes a chunk of its own, broken or not
        text = between.LINK_WITHIN.sub(r"\1", text).replace("](", "] (")
    return _without_backslashes(text) if "\\" in text else text


def pieces(chunk: str) -> list[str]:
    """Cut one run of non-space characters into pieces of at most MAX_CHUNK characters."""
    return [chunk[start : start + MAX_CHUNK] for start in range(0, len(chunk), MAX_CHUNK)]


def word(lemma: str) -> str:
    """Return the word that a token with this lemma counts as, empty if it is none."""
    lowered = lemma.lower().strip()
    return "" if lowered in SYMBOLS else lowered


def _without_backslashes(text: str) -> str:
    """Read letters that are written with backslashes, and leave out all others."""
    if escapes.has_backslashed(text):
        text = escapes.BACKSLASHED.sub(escapes.backslashed, text)
    if (drawn := drawings.backslashed(text)) is not None:
        text = drawings.WITH_BACKSLASH.sub(drawn, text)
    return text.replace("\\", "")


def _unescape(text: str) -> str:
    """Undo HTML entities, nested ones (``&amp;gt;``) too, to a depth of `UNESCAPE_PASSES`."""
    for _ in range(UNESCAPE_PASSES):
        before = text
        text = html.unescape(HUGE_ENTITY.sub("\ufffd", text) if "&#" in text else text)
        if text == before or "&" not in text:
            break
    return text


def escaped_character(match: re.Match[str]) -> str:
    """Return the character that a match of ESCAPED_CHARACTER names."""
    code = int(match[1], 16)
    return chr(code) if code <= 0x10FFFF else "\ufffd"


def _repair_characters(text: str) -> str:
    """Repair the encoding and leave out what nobody sees; most texts need neither."""
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError:
        suspect = True
    else:
        # Wrong encodings and C1 controls leave characters from U+0080 to U+00FF, which begin with
        # one of these bytes. Curly quotes, dashes, emoji and most scripts do not.
        suspect = b"\xc3" in encoded or b"\xc2" in encoded
    if suspect:
        return INVISIBLE.sub("", _repair_encoding(text))
    for character in _INVISIBLE_BEYOND_LATIN:
        if character in text:
            text = text.replace(character, "")
    return text


def _repair_encoding(text: str) -> str:
    """Undo UTF-8 that was read as Latin-1 or Windows-1252; replace what is no character."""
    for encoding in ("latin-1", "cp1252"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # surrogates: join pairs, replace lone ones
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if _C1_CONTROL.search(text):  # str.translate takes long, and hardly any text has one
        text = text.translate(C1_CONTROLS)
    return text
