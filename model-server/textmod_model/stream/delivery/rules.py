"""What a topic takes, known before a record is sent. Pure.

A broker refuses a batch as a whole because of one record in it, and by then others may have been
written behind it. So a record that its topic would refuse is not handed to the client at all.
"""

from typing import NamedTuple

from textmod_model.stream.kafka import KafkaError
from textmod_model.stream.records import Record, header_bytes, varint_bytes

BATCH_OVERHEAD = 61
"""Bytes of a record batch without its records (Kafka's message format 2)."""

RECORD_OVERHEAD = 3
"""Attributes, and the deltas of time stamp and offset of the first record in a batch."""

SMALL_LIMIT = 65_536
"""From here on our own headers are small, so that a value far below the limit needs no counting
unless the original had headers."""


UNLIMITED = 1 << 62
"""Bytes of a record, where a topic's limit is not known."""


class TopicRules(NamedTuple):
    """Which topic this is, and its settings that decide whether it takes a record."""

    max_bytes: int = UNLIMITED
    """`max.message.bytes`."""
    keyed: bool = False
    """Compacted: records need a key."""
    before_ms: int | None = None
    after_ms: int | None = None
    """How far a time stamp may lie in the past or the future; None: anything goes."""
    id: str = ""
    """Kafka's topic id; empty: not known, or there is none."""

    def or_else(self, before: "TopicRules") -> "TopicRules":
        """Return these rules, with what was known before for what is not known now.

        Id and settings are asked for separately, and either request may fail.
        """
        settings = before if self.max_bytes == UNLIMITED else self
        return settings._replace(id=self.id or before.id)

    def refusal(self, record: Record, now_ms: int) -> KafkaError | None:
        """Return the error that the broker would answer with; None if it takes the record."""
        size = len(record.value or b"") + len(record.key or b"")
        small = self.max_bytes >= SMALL_LIMIT and not record.source.headers()
        if (not small or size > self.max_bytes >> 1) and record_size(record) > self.max_bytes:
            return KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
        if self.keyed and record.key is None:
            return KafkaError(KafkaError.INVALID_RECORD)
        if record.milliseconds is not None:
            age = now_ms - record.milliseconds
            too_old = self.before_ms is not None and age > self.before_ms
            if too_old or (self.after_ms is not None and -age > self.after_ms):
                return KafkaError(KafkaError.INVALID_TIMESTAMP)
        return None


def record_size(record: Record) -> int:
    """Return the bytes of a batch that holds nothing but this record, uncompressed."""
    key, value = len(record.key or b""), len(record.value or b"")
    body = RECORD_OVERHEAD + varint_bytes(key) + key + varint_bytes(value) + value
    body += varint_bytes(len(record.headers)) + header_bytes(record.headers)
    return BATCH_OVERHEAD + varint_bytes(body) + body
