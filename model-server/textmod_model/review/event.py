"""`review.requested.v1`: the event that asks people to review a text, in CloudEvents' binary mode.

It is the only event that holds a user's text. Its size is bounded, and can be reduced for a topic
that accepts only small messages; the event then has the length of the whole text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from textmod_model.formats.cloudevents import STRUCTURED, announced, is_event
from textmod_model.formats.message import Headers, RefusedError
from textmod_model.formats.moment import timestamp
from textmod_model.formats.payload import dumps, parse_json

EVENT_TYPE: Final = b"dev.textmoderation.review.requested.v1"

LONGEST_TEXT: Final = 100_000
"""Characters. Bounds the memory of a batch; no reviewer reads more."""
LONGEST_CONTEXT: Final = 2_000
LONGEST_AUTHOR: Final = 256
"""Characters."""
SMALLEST_TEXT: Final = 100
"""Characters: fewer are not enough to decide by."""

AUTHOR_FIELDS: Final = ("author", "user")
CONTEXT_FIELDS: Final = ("context", "parent")

_QUOTED: Final = tuple(f'"{name}"'.encode() for name in (*AUTHOR_FIELDS, *CONTEXT_FIELDS))

_SURROGATES: Final = re.compile("[\ud800-\udfff]")

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """The event's fields, and the strategy that the metrics count it by."""

    fields: Fields
    strategy: str

    def value(self) -> bytes:
        """Return the event as JSON."""
        return dumps(self.fields)

    def within(self, size: int) -> "ReviewRequest | None":
        """Return the same in at most `size` bytes; None if too little of the text is left.

        Context, author and explanation are removed first, then the end of the text.
        """
        rest = {name: self.fields[name] for name in self.fields if name not in _DISPENSABLE}
        smaller = replace(self, fields=rest)
        if len(smaller.value()) <= size:
            return smaller
        text: str = rest["text"]
        rest.setdefault("truncatedFrom", len(text))
        low, high = 0, len(text)  # a cut at `low` fits, one at `high` does not
        while high - low > 1:
            middle = (low + high) // 2
            rest["text"] = text[:middle]
            low, high = (middle, high) if len(dumps(rest)) <= size else (low, middle)
        rest["text"] = text[:low]
        return replace(self, fields=rest) if low >= SMALLEST_TEXT else None


_DISPENSABLE: Final = frozenset({"author", "context", "explanation"})


class EventHeaders:
    """CloudEvents' headers in the topics of review; `source` is that of the verdicts."""

    def __init__(self, source: str, event_type: bytes = EVENT_TYPE) -> None:
        self._constant: Headers = [
            ("ce_specversion", b"1.0"),
            ("ce_type", event_type),
            ("ce_source", source.encode()),
            ("content-type", b"application/json"),
        ]

    def for_batch(self, now: float) -> Headers:
        """Return the headers that all events of one moment share; `now` in epoch seconds."""
        return [*self._constant, ("ce_time", timestamp(now).encode())]

    @staticmethod
    def of(item: str, shared: Headers) -> Headers:
        """Return all headers of one event."""
        return [("ce_id", item.encode()), *shared]


def item_of(source: str, place: int, texts: int) -> str:
    """Return the id of a text: its verdict's, with `#n` behind it for one of several texts."""
    return source if texts == 1 else f"{source}#{place}"


def text_fields(text: str) -> dict[str, Any]:
    """Return the fields about the text: bounded, and always valid UTF-8."""
    fields: dict[str, Any] = {"text": _clean(text[:LONGEST_TEXT])}
    if len(text) > LONGEST_TEXT:
        fields["truncatedFrom"] = len(text)
    return fields


def people_fields(value: bytes | None, headers: Headers | None) -> dict[str, str]:
    """Return author and context of a JSON object, as far as it has them as strings.

    Of a CloudEvent in structured mode, those of its data; without its header, of either.
    """
    if value is None or not any(name in value for name in _QUOTED):  # parsing costs ten times that
        return {}
    try:
        document = parse_json(value)
    except RefusedError:
        return {}
    if not isinstance(document, dict):
        return {}
    data = document.get("data")
    data = data if isinstance(data, dict) else {}
    if headers and announced(headers) == STRUCTURED:
        document = data
    elif is_event(document):
        document = document | data
    found = {
        "author": (_first(document, AUTHOR_FIELDS), LONGEST_AUTHOR),
        "context": (_first(document, CONTEXT_FIELDS), LONGEST_CONTEXT),
    }
    return {name: _clean(text[:most]) for name, (text, most) in found.items() if text}


def _first(document: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the first of the fields that is a string; empty if none is."""
    return next((one for name in names if isinstance(one := document.get(name), str)), "")


def _clean(text: str) -> str:
    """Replace lone surrogates, which no JSON reader has to take; offsets stay what they are."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)
    return text
