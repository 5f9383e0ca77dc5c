"""The headers of a verdict: CloudEvents 1.0 in Kafka's binary mode (`ce_*`), the model, the source.

A verdict is a new event. What the original's headers say of its own data and its own event goes;
what they say of its context (subject, trace, partition key, anything else) stays.
"""

from functools import lru_cache

from textmod_model.formats.dead_letter import ERROR_PREFIX
from textmod_model.formats.framing import VALUE_SCHEMA_HEADER
from textmod_model.formats.message import Headers
from textmod_model.formats.moment import timestamp, timestamp_of

SOURCE_TIMESTAMP = "textmod.source.timestamp"

EVENT_TYPE = b"dev.textmoderation.verdict.v1"
DECIDED_EVENT_TYPE = b"dev.textmoderation.verdict.v2"
"""Of a verdict with an action."""

_REPLACED = frozenset(
    {
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_time",
        "ce_sequence",  # the place among the original source's events
        "ce_sequencetype",
        "ce_recordedtime",
        "ce_expirytime",
        "ce_signature",
        "content-type",
        "content-encoding",
        "content-length",
        "textmod.model.version",
        "textmod.model.digest",
        SOURCE_TIMESTAMP,
        VALUE_SCHEMA_HEADER,  # the key, and so its schema, is the original's
    }
)
_REPLACED_PREFIXES = ("ce_data", ERROR_PREFIX)
"""ce_dataschema, ce_datacontenttype, ce_dataref and the like; error headers of a dead letter."""


@lru_cache(maxsize=4096)
def is_kept(name: str) -> bool:
    """Tell whether an original's header stays on its verdict; names compare without case."""
    name = name.lower()
    return name not in _REPLACED and not name.startswith(_REPLACED_PREFIXES)


class VerdictHeaders:
    """Adds our headers to what stays of the original's.

    `ce_id` is the original's `topic/partition/offset`, the same at every delivery, so that a
    consumer can drop what it has seen.
    """

    def __init__(
        self, source: str, version: str, digest: str, content_type: str = "application/json"
    ) -> None:
        self._constant: Headers = [
            ("ce_specversion", b"1.0"),
            ("ce_source", source.encode()),
            ("content-type", content_type.encode()),
            ("textmod.model.version", version.encode()),
            ("textmod.model.digest", digest.encode()),
        ]

    def for_batch(self, now: float, *, decided: bool = False) -> Headers:
        """Return the headers that all verdicts of one moment share; `now` in epoch seconds.

        `decided` says that the verdicts have actions.
        """
        event_type = DECIDED_EVENT_TYPE if decided else EVENT_TYPE
        return [*self._constant, ("ce_type", event_type), ("ce_time", timestamp(now).encode())]

    def of(
        self, original: Headers | None, ce_id: str, shared: Headers, milliseconds: int | None = None
    ) -> Headers:
        """Return all headers of one verdict; `milliseconds` is the original's time stamp."""
        ours: Headers = [("ce_id", ce_id.encode()), *shared]
        if milliseconds is not None:
            ours.append((SOURCE_TIMESTAMP, timestamp_of(milliseconds)))
        if not original:
            return ours
        return [header for header in original if is_kept(header[0])] + ours
