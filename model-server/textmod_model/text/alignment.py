"""Where the characters of a cleaned text come from in the text as it was sent.

Cleaning itself keeps no positions, since hardly any text is asked for them. Here the same steps
are taken once more for one text, each as a new text and the edits that made it; `Alignment` leads
spans back through them. `sources` of a text that cleaning does not change costs nothing.

Positions are code points. Edits are in order and do not overlap, so mapping is monotone: a span
begins where its first character came from and ends where its last one ended. A character that was
left out (an invisible one, a hyphen between letters) belongs to a span only if it stood inside it.
"""

import html
import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Final, NamedTuple

from textmod_model.text import cleaning, drawings, escapes
from textmod_model.text.between import LINK_WITHIN, comments
from textmod_model.text.draft import Draft
from textmod_model.text.evasion import LONGEST_TEXT, rewrite

# What `html.unescape` replaces, by its own documentation: numeric and named references, the
# semicolon optional. Matched too widely it does no harm: what is no reference comes back unchanged.
_REFERENCE: Final = re.compile(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")
_SURROGATES: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_DASHES: Final = re.compile("--")
_LINK: Final = re.compile(re.escape("]("))
_NUL: Final = re.compile("\0")
_BACKSLASH: Final = re.compile(re.escape("\\"))


class Span(NamedTuple):
    """A part of a text: from `begin` up to but excluding `end`, in code points."""

    begin: int
    end: int


class Edits:
    """What one step replaced: parallel lists, in order."""

    __slots__ = ("_new", "_new_end", "_old", "_old_end")

    def __init__(self) -> None:
        self._old: list[int] = []
        self._old_end: list[int] = []
        self._new: list[int] = []
        self._new_end: list[int] = []

    def __len__(self) -> int:
        return len(self._old)

    def add(self, start: int, end: int, size: int) -> None:
        """Replace the characters from `start` to `end` of the text before by `size` others.

        Call in order of the text.
        """
        shift = self._new_end[-1] - self._old_end[-1] if self._new_end else 0
        self._old.append(start)
        self._old_end.append(end)
        self._new.append(start + shift)
        self._new_end.append(start + shift + size)

    def source(self, begin: int, end: int) -> Span:
        """Return what a span (not empty) of the new text was in the text before."""
        first = bisect_right(self._new, begin) - 1
        if first >= 0:
            inside = begin < self._new_end[first]
            begin = self._old[first] if inside else begin + self._shift(first)
        last = bisect_right(self._new, end - 1) - 1
        if last >= 0:
            inside = end - 1 < self._new_end[last]
            end = self._old_end[last] if inside else end + self._shift(last)
        return Span(begin, end)

    def _shift(self, at: int) -> int:
        return self._old_end[at] - self._new_end[at]


class Alignment:
    """A cleaned text, and the steps that lead from it back to the text as it was sent."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps: list[Edits] = []

    def source(self, begin: int, end: int) -> Span:
        """Return the span of the text as sent that a span (not empty) of `text` comes from."""
        span = Span(begin, end)
        for step in reversed(self._steps):
            span = step.source(*span)
        return span

    def sub(self, pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> None:
        """Replace every match, as `re.sub` does."""
        edits = Edits()
        pieces: list[str] = []
        done = 0
        for match in pattern.finditer(self.text):
            piece = replace(match)
            if piece != match[0]:
                start, end = match.span()
                pieces += (self.text[done:start], piece)
                done = end
                _record(edits, start, match[0], piece)
        if pieces:
            self.text = "".join((*pieces, self.text[done:]))
            self.step(self.text, edits)

    def step(self, text: str, edits: Edits) -> None:
        """Go on to a new text, by these edits."""
        self.text = text
        if edits:
            self._steps.append(edits)


class _AlignedDraft(Draft):
    """A draft whose every substitution is a step of an alignment."""

    def __init__(self, text: str, alignment: Alignment) -> None:
        super().__init__(text)
        self._alignment = alignment

    def sub(self, pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> None:
        """Replace every match, as `re.sub` does."""
        rest = self._alignment.text[len(self.text) :]
        self._alignment.text = self.text
        self._alignment.sub(pattern, replace)
        self.text = self._alignment.text
        self._alignment.text += rest


def _record(edits: Edits, start: int, old: str, new: str) -> None:
    """Record a replacement: the characters between what both begin and what both end with.

    Replacements of equal length are taken character by character, and need no edit.
    """
    if len(old) == len(new):
        return
    shorter = min(len(old), len(new))
    same = 0
    while same < shorter and old[same] == new[same]:
        same += 1
    behind = 0
    while behind < shorter - same and old[-1 - behind] == new[-1 - behind]:
        behind += 1
    edits.add(start + same, start + len(old) - behind, len(new) - same - behind)


def tidied(text: str) -> Alignment:
    """Return the alignment of `cleaning.tidy(text)`, by the same steps."""
    found = Alignment(text)
    if "&" in text:
        _unescape(found)
    if "<" in found.text:
        found.sub(cleaning.ESCAPED_CHARACTER, cleaning.escaped_character)
    if not found.text.isascii():
        _repair_encoding(found)
        found.sub(cleaning.INVISIBLE, _nothing)
    found.sub(_NUL, _nothing)
    if "<!--" in found.text:
        found.sub(comments(found.text), _nothing)
    found.sub(_DASHES, lambda _: " - ")
    found.sub(LINK_WITHIN, lambda match: match[1])
    found.sub(_LINK, lambda _: "] (")
    if escapes.has_backslashed(found.text):
        found.sub(escapes.BACKSLASHED, escapes.backslashed)
    if (drawn := drawings.backslashed(found.text)) is not None:
        found.sub(drawings.WITH_BACKSLASH, drawn)
    found.sub(_BACKSLASH, _nothing)
    return found


def undisguise(found: Alignment) -> None:
    """Take the steps of `evasion.undisguise` on top of those taken so far."""
    rewrite(_AlignedDraft(found.text[:LONGEST_TEXT], found))


def _nothing(_: re.Match[str]) -> str:
    return ""


def _unescape(found: Alignment) -> None:
    for _ in range(cleaning.UNESCAPE_PASSES):
        before = found.text
        found.sub(cleaning.HUGE_ENTITY, lambda _: "\ufffd")
        found.sub(_REFERENCE, lambda match: html.unescape(match[0]))
        if found.text == before or "&" not in found.text:
            break


def _repair_encoding(found: Alignment) -> None:
    for encoding in ("latin-1", "cp1252"):
        try:
            text = found.text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        edits = Edits()
        bytes_before = 0  # beyond one a character
        for match in _BEYOND_ASCII.finditer(text):
            size = len(match[0].encode())
            start = match.start() + bytes_before
            edits.add(start, start + size, 1)
            bytes_before += size - 1
        found.step(text, edits)
        return
    found.sub(_SURROGATES, _joined_surrogates)
    found.text = found.text.translate(cleaning.C1_CONTROLS)  # one for one


def _joined_surrogates(match: re.Match[str]) -> str:
    return match[0].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
