"""Cut a text into pieces a page can show: words with weight, plain text, visible markers.

Pure. Nothing here is HTML: the template escapes every piece. Control characters that could
reorder, hide or erase what a moderator reads are replaced by their names.
"""

from __future__ import annotations

import bisect
import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

# Beyond this many, markers would make the page itself an attack on the browser.
MAX_MARKERS = 2000
# A run of invisible characters longer than this is one marker with a count.
LONGEST_RUN = 3
LARGEST = 99.0  # of a weight: the logit of any probability that matters is far below

_NAMES = {
    0x00AD: "SHY", 0x034F: "CGJ", 0x061C: "ALM", 0x115F: "HANGUL FILLER", 0x1160: "HANGUL FILLER",
    0x17B4: "KHMER AQ", 0x17B5: "KHMER AA", 0x180E: "MVS", 0x200B: "ZWSP", 0x200C: "ZWNJ",
    0x200D: "ZWJ", 0x200E: "LRM", 0x200F: "RLM", 0x2028: "LINE SEP", 0x2029: "PARA SEP",
    0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO", 0x2060: "WJ",
    0x2061: "FUNCTION", 0x2062: "TIMES", 0x2063: "SEPARATOR", 0x2064: "PLUS", 0x2066: "LRI",
    0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0x2800: "BLANK BRAILLE", 0x3164: "HANGUL FILLER",
    0xFEFF: "BOM", 0xFFA0: "HANGUL FILLER", 0x180B: "FVS1", 0x180C: "FVS2", 0x180D: "FVS3",
    0x180F: "FVS4", **{0xFE00 + n: f"VS{n + 1}" for n in range(16)},
}  # fmt: skip
_UNASSIGNED = frozenset({0x2065, *range(0xFFF0, 0xFFF9)})
"""Reserved for characters that cannot be seen."""
_KEPT_CONTROLS = frozenset("\n\t")
_STYLES = frozenset({0xFE0E, 0xFE0F})
"""Text or emoji: the variation selectors behind a picture."""
_PICTURES_OF_PUNCTUATION = frozenset("‼⁉〰")
_KEYCAPS = frozenset("0123456789#*")


@dataclass(frozen=True)
class Piece:
    """Text to show as it is, or (marker) the name of what cannot be seen."""

    text: str
    marker: bool = False


@dataclass(frozen=True)
class Segment:
    """Pieces that share one weight in the score; None outside every span."""

    pieces: tuple[Piece, ...]
    weight: float | None = None
    strength: int = 0  # 1 (light) .. 4 (the heaviest span of this text)

    @property
    def signed(self) -> str:
        """Return the weight as a reader sees it, with its sign: +1.31, −0.40."""
        return "" if self.weight is None else f"{self.weight:+.2f}".replace("-", "−")


def marker_name(character: str, before: str = "", after: str = "") -> str | None:
    """Return the name of an invisible or reordering character, None for one that can be seen."""
    code = ord(character)
    plain = code < 0x7F and code >= 0x20
    if plain or character in _KEPT_CONTROLS or _belongs(code, before, after):
        return None
    if code in _NAMES:
        return _NAMES[code]
    if 0xE0020 <= code < 0xE007F:
        return f"TAG {chr(code - 0xE0000)}"
    unseen = (
        code in _UNASSIGNED
        or 0xE0000 <= code <= 0xE0FFF
        or unicodedata.category(character) in {"Cc", "Cf", "Cs"}
    )
    return f"U+{code:04X}" if unseen else None


def _belongs(code: int, before: str, after: str) -> bool:
    """Whether an invisible character is part of what is seen here."""
    if code == 0x0D:
        return after == "\n"  # as forms of the web end their lines
    if code == 0x200D:
        return _pictures(before, after)  # joins the parts of one emoji
    return code in _STYLES and _has_styles(before, after)


def _pictures(before: str, after: str) -> bool:
    """Whether a joiner stands between two pictures, as within a family or a flag."""
    return bool(before and after) and all(
        unicodedata.category(c) in {"So", "Sk"} or c in "\ufe0f♀♂" for c in (before, after)
    )


def _has_styles(before: str, after: str) -> bool:
    """Whether the character before can be drawn as text or as an emoji."""
    if before in _KEYCAPS:
        return after == "\u20e3"
    symbol = before != "" and unicodedata.category(before) in {"So", "Sm", "Sk"}
    return symbol or before in _PICTURES_OF_PUNCTUATION


def segments(text: str, explanation: Mapping[str, Any] | None = None) -> tuple[Segment, ...]:
    """Cut `text` at the explanation's spans and replace what cannot be seen.

    Spans that overlap, end before they begin or lie outside the text are cut to what is left of
    them, so that every character is shown once whatever an explanation claims.
    """
    spans = _clean_spans(text, explanation)
    heaviest = max((abs(weight) for _, _, weight in spans), default=0.0)
    budget = [MAX_MARKERS]
    found, at = [], 0
    for begin, end, weight in spans:
        if begin > at:
            found.append(Segment(tuple(_pieces(text[at:begin], budget))))
        strength = max(1, min(4, round(abs(weight) / heaviest * 4))) if heaviest else 1
        found.append(Segment(tuple(_pieces(text[begin:end], budget)), weight, strength))
        at = end
    if at < len(text):
        found.append(Segment(tuple(_pieces(text[at:], budget))))
    return tuple(found)


def has_markers(parts: Sequence[Segment]) -> bool:
    """Whether a text holds characters that are shown by name."""
    return any(piece.marker for part in parts for piece in part.pieces)


def _clean_spans(text: str, explanation: Mapping[str, Any] | None) -> list[tuple[int, int, float]]:
    if not explanation:
        return []
    place = _utf16_places(text) if explanation.get("offsets") == "Utf16" else None
    wanted = []
    for begin, end, weight in _spans(explanation.get("spans")):
        first, last = (begin, end) if place is None else (place(begin), place(end))
        wanted.append((max(0, first), min(len(text), last), weight))
    kept: list[tuple[int, int, float]] = []
    for begin, end, weight in sorted(wanted):
        start = max(begin, kept[-1][1] if kept else 0)
        if start < end:
            kept.append((start, end, max(-LARGEST, min(LARGEST, weight))))
    return kept


def _spans(given: object) -> Iterator[tuple[int, int, float]]:
    """Yield the spans that are spans; the review topic may hold what another program wrote."""
    for span in given if isinstance(given, list) else ():
        if not isinstance(span, dict):
            continue
        begin, end, weight = (span.get(name) for name in ("begin", "end", "weight"))
        if not isinstance(begin, int) or not isinstance(end, int):
            continue
        if isinstance(weight, int | float) and math.isfinite(weight):
            yield begin, end, float(weight)


def features(explanation: Mapping[str, Any] | None) -> tuple[tuple[str, float], ...]:
    """Return the names and weights of features that are not words, such as exclamation marks.

    As with spans, malformed ones are skipped.
    """
    given = (explanation or {}).get("features")
    found = []
    for feature in given if isinstance(given, list) else ():
        if not isinstance(feature, dict):
            continue
        name, weight = feature.get("name"), feature.get("weight")
        if isinstance(name, str) and isinstance(weight, int | float) and math.isfinite(weight):
            found.append((name, max(-LARGEST, min(LARGEST, float(weight)))))
    return tuple(found)


def _utf16_places(text: str) -> Callable[[int], int]:
    """Return the function from offsets in UTF-16 units to offsets in code points."""
    starts, at = [], 0
    for character in text:
        starts.append(at)
        at += 2 if ord(character) > 0xFFFF else 1
    return lambda offset: bisect.bisect_left(starts, offset)


def _pieces(text: str, budget: list[int]) -> Iterator[Piece]:
    """Yield runs of visible text and markers, long runs of invisible characters as one."""
    plain: list[str] = []
    run: list[str] = []
    for before, character, after in _neighbours(text):
        name = marker_name(character, before, after)
        if name is None:
            if run:
                yield from _run(run, budget)
                run = []
            plain.append(character)
        else:
            if plain:
                yield Piece("".join(plain))
                plain = []
            run.append(name)
    if plain:
        yield Piece("".join(plain))
    if run:
        yield from _run(run, budget)


def _neighbours(text: str) -> Iterator[tuple[str, str, str]]:
    padded = ["", *text, ""]
    for (before, character), (_, after) in pairwise(pairwise(padded)):
        yield before, character, after


def _run(names: list[str], budget: list[int]) -> Iterator[Piece]:
    if budget[0] <= 0:
        return
    if len(names) <= LONGEST_RUN:
        budget[0] -= len(names)
        yield from (Piece(name, marker=True) for name in names)
        return
    budget[0] -= 1
    kinds = list(dict.fromkeys(names))
    said = ", ".join(kinds[:4]) + (" …" if len(kinds) > 4 else "")
    yield Piece(f"{said} × {len(names)}", marker=True)
