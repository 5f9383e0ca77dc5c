"""Why a text has its score: what each part of it added to the logit. Pure values.

An explanation is exact: base, spans and features add up to the logit of the score. It holds
positions and numbers, never words of the text.
"""

from collections.abc import Iterable
from itertools import accumulate
from typing import Any, Final, Literal, NamedTuple, TypeVar

Offsets = Literal["CodePoint", "Utf16"]
"""What positions count: code points, or UTF-16 code units (what JavaScript and Java count)."""
PARTS: Final = 1_000_000
"""Weights are written, and compared, in parts of one: to six digits behind the point."""
_LAST_OF_ONE_UNIT: Final = "\uffff"


class Asked(NamedTuple):
    """What a brief explanation is asked to be."""

    label: int = 0
    """Index of the label whose score is explained."""
    max_spans: int = 5
    """How many spans at most, and how many features at most."""
    offsets: Offsets = "CodePoint"
    """What positions count."""


class Span(NamedTuple):
    """A word of the text (a run of characters without white space), and what it added."""

    begin: int
    """Index of its first character in the text as sent, in code points."""
    end: int
    """Index behind its last character."""
    weight: float


class Feature(NamedTuple):
    """A property of the text as a whole, and what it added."""

    name: str
    weight: float


_Part = TypeVar("_Part", Span, Feature)


class Explanation(NamedTuple):
    """What a text's logit is the sum of: base + spans + features = total."""

    spans: tuple[Span, ...]
    """In order of the text, not overlapping."""
    features: tuple[Feature, ...]
    base: float
    """The model's intercept, the same for all texts of a label."""
    total: float
    """The logit of the score."""

    def brief(
        self, max_spans: int, offsets: Offsets = "CodePoint", text: str = ""
    ) -> dict[str, Any]:
        """Return the explanation as JSON has it, with the largest spans and features alone.

        Args:
            max_spans: how many spans at most, and how many features at most; both come largest
                first, by the size of their weights.
            offsets: what `begin` and `end` count.
            text: the text as sent; needed for Utf16 alone.

        Weights are rounded to six digits behind the point; what is 0 then is left out. `others`
        is the sum of what was left out and of what rounding lost, so that base + spans + features +
        others = total holds for the written numbers, too.
        """
        spans, features = _largest(self.spans, max_spans), _largest(self.features, max_spans)
        units = utf16(text, spans) if offsets == "Utf16" else spans
        base, total = parts(self.base), parts(self.total)
        told = sum(parts(span.weight) for span in spans)
        told += sum(parts(feature.weight) for feature in features)
        return {
            "offsets": offsets,
            "spans": [
                {"begin": begin, "end": end, "weight": parts(weight) / PARTS}
                for begin, end, weight in units
            ],
            "features": [
                {"name": name, "weight": parts(weight) / PARTS} for name, weight in features
            ],
            "others": (total - base - told) / PARTS,
            "base": base / PARTS,
            "total": total / PARTS,
        }


def parts(weight: float) -> int:
    """Return a weight in `PARTS` of one, rounded."""
    return round(weight * PARTS)


def _largest(told: Iterable[_Part], most: int) -> list[_Part]:
    """Return at most so many, those of the largest weights first, by their absolute values.

    Of weights that are written alike the first comes first.
    """
    some = [part for part in told if parts(part.weight)]
    return sorted(some, key=lambda part: -abs(parts(part.weight)))[: max(most, 0)]


def utf16(text: str, spans: Iterable[Span]) -> list[Span]:
    """Return spans whose positions count UTF-16 code units instead of code points."""
    spans = list(spans)
    if text.isascii() or max(text) <= _LAST_OF_ONE_UNIT:
        return spans
    units = list(accumulate((1 + (one > _LAST_OF_ONE_UNIT) for one in text), initial=0))
    return [Span(units[span.begin], units[span.end], span.weight) for span in spans]
