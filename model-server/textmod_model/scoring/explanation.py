"""Why a text has its score: what each part of it added to the logit. Pure values.

An explanation is exact: base, spans and features add up to the logit of the score. It holds
positions and numbers, never words of the text.
"""

from collections.abc import Iterable
from itertools import accumulate
from typing import Final, Literal, NamedTuple, TypeVar

Offsets = Literal["CodePoint", "Utf16"]
"""What positions count: code points, or UTF-16 code units (what JavaScript and Java count)."""
SAME: Final = 9
"""Digits behind the point to which weights are compared."""
_DIGITS: Final = 6
_LAST_OF_ONE_UNIT: Final = "\uffff"


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
    """What a text's logit is the sum of: base + spans + features + others = total."""

    spans: tuple[Span, ...]
    """In order of the text, not overlapping."""
    features: tuple[Feature, ...]
    base: float
    """The model's intercept: what it says of any text. The same for all texts of a label."""
    total: float
    """The logit of the score."""
    others: float = 0.0
    """What spans and features that were left out for shortness added; 0 if none were."""

    def completed(self) -> "Explanation":
        """Return the explanation with `others` such that all adds up."""
        told = self.base + sum(span.weight for span in self.spans)
        told += sum(feature.weight for feature in self.features)
        return self._replace(others=self.total - told)

    def shortened(self, most: int) -> "Explanation":
        """Return the explanation with at most so many spans and features, those of large weight."""
        return self._replace(
            spans=tuple(sorted(largest(self.spans, most))),
            features=tuple(largest(self.features, most)),
        ).completed()

    def brief(
        self, max_spans: int, offsets: Offsets = "CodePoint", text: str = ""
    ) -> dict[str, object]:
        """Return the explanation as JSON has it, with the largest spans and features alone.

        Args:
            max_spans: how many spans at most, and how many features at most; both come largest
                first, by the size of their weights.
            offsets: what `begin` and `end` count.
            text: the text as sent; needed for Utf16 alone.

        Weights are rounded to six digits behind the point. `others` takes what was left out and
        what rounding lost, so that base + spans + features + others = total holds for what is
        written, too.
        """
        spans = largest(self.spans, max_spans)
        features = largest(self.features, max_spans)
        base, total = round(self.base, _DIGITS), round(self.total, _DIGITS)
        weights = [round(span.weight, _DIGITS) for span in spans]
        weights += [round(feature.weight, _DIGITS) for feature in features]
        units = utf16(text, spans) if offsets == "Utf16" else spans
        return {
            "offsets": offsets,
            "spans": [
                {"begin": span.begin, "end": span.end, "weight": weight}
                for span, weight in zip(units, weights, strict=False)
            ],
            "features": [
                {"name": feature.name, "weight": weight}
                for feature, weight in zip(features, weights[len(spans) :], strict=True)
            ],
            "others": round(total - base - sum(weights), _DIGITS),
            "base": base,
            "total": total,
        }


def largest(parts: Iterable[_Part], most: int) -> list[_Part]:
    """Return at most so many parts, those of the largest weight first, by absolute value.

    Of weights that differ by rounding alone the first comes first.
    """
    return sorted(parts, key=lambda part: -round(abs(part.weight), SAME))[: max(most, 0)]


def utf16(text: str, spans: Iterable[Span]) -> list[Span]:
    """Return spans whose positions count UTF-16 code units instead of code points."""
    spans = list(spans)
    if text.isascii() or max(text) <= _LAST_OF_ONE_UNIT:
        return spans
    units = list(accumulate((1 + (one > _LAST_OF_ONE_UNIT) for one in text), initial=0))
    return [Span(units[span.begin], units[span.end], span.weight) for span in spans]
