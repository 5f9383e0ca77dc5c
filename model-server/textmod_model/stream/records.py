"""Messages on their way through the stream: read, judged, written. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import methodcaller
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from textmod_model.formats.message import Headers, Refused
from textmod_model.policies.evaluate import Ruling
from textmod_model.review.event import ReviewRequest


class Message(Protocol):
    """What we use of confluent_kafka's Message."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers | None: ...
    def timestamp(self) -> tuple[int, int]: ...
    def __len__(self) -> int: ...  # bytes of the value


class _Like:
    """A message with most of another's methods; subclasses add its topic and its headers."""

    def __init__(self, message: Message) -> None:
        self.partition, self.offset = message.partition, message.offset
        self.key, self.value, self.timestamp = message.key, message.value, message.timestamp
        self._size = len(message)

    def __len__(self) -> int:
        return self._size


class HeadersUnread(_Like):
    """A message with a header whose name is not UTF-8: the client can't read any of its headers."""

    refused = Refused(
        "HeaderNotUtf8",
        "the name of a header is not valid UTF-8. The message's own headers were left where these"
        " say.",
    )

    def __init__(self, message: Message) -> None:
        super().__init__(message)
        self.topic = message.topic

    def headers(self) -> None:
        """Have none, where the client would raise, or return what can't be looked at."""


class Renamed(_Like):
    """A message under another topic's name, which stands in its ids."""

    def __init__(self, message: Message, name: str) -> None:
        super().__init__(message)
        self.headers = message.headers
        self._name = name

    def topic(self) -> str:
        """Return the name."""
        return self._name


class Origin:
    """Where a message stood: what is left to know of it once it is written."""

    def __init__(self, message: Message) -> None:
        self._topic, self._partition, self._offset = source_of(message)

    def __len__(self) -> int:
        return 0

    def topic(self) -> str:
        """Return its topic, as in its ids."""
        return self._topic

    def partition(self) -> int:
        """Return its partition."""
        return self._partition

    def offset(self) -> int:
        """Return its offset."""
        return self._offset

    def key(self) -> None:
        """Have no key."""

    def value(self) -> None:
        """Have no value."""

    def headers(self) -> None:
        """Have no headers."""

    def timestamp(self) -> tuple[int, int]:
        """Have no time stamp."""
        return (0, 0)


_headers = methodcaller("headers")
"""Not a plain call: that, once the interpreter has specialised it, no longer looks whether the
client's method has left an error behind."""


def with_headers(message: Message) -> Message:
    """Make sure of the headers, which the client decodes when it is first asked for them.

    A name that is not UTF-8 makes it fail, and return a list that must not be looked at, on pain of
    a segmentation fault, when it is asked again (confluent-kafka 2.16).
    """
    try:
        _headers(message)
    except SystemError:  # what it returned comes with an error
        return HeadersUnread(message)
    return message


class Record(NamedTuple):
    """Something to write because of `source`."""

    refused: Refused | None
    """The reason for a dead letter; None for anything else."""
    source: Message
    key: bytes | None
    value: bytes | None
    headers: Headers
    milliseconds: int | None
    """Time stamp; None lets the producer take its own."""
    bare: bool = False
    """A dead letter without the original, which was too large for the dead-letter topic."""
    rulings: Sequence[Ruling] = ()
    """What the policies say of each text of a verdict; none without policies."""
    request: ReviewRequest | None = None
    """The event of a review request; None for a verdict or a dead letter."""
    withdrawn: bool = False
    """Not to be written: a review request whose topic refuses it, or whose verdict is none."""
    counts: bool = False
    """Counts of verdicts: an event of the review topic that belongs to no single message."""

    @property
    def for_review(self) -> bool:
        """Whether it goes to the review topic."""
        return self.counts or self.request is not None


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in the order of their sources, and the figures that the metrics count of them.

    The review requests of a message follow its verdict.
    """

    records: list[Record]
    offsets: dict[int, int]
    """Per input partition, the offset to go on from once all of this is written."""
    scores: NDArray[np.float64]
    lost: set[int] = field(default_factory=set)
    """Partitions that were taken away meanwhile: another consumer reads those sources again."""
    requests: int = 0
    """How many of the records are review requests."""
    counts: int = 0
    """How many of them, behind all others, are counts of verdicts."""

    def next_offsets(self) -> dict[int, int]:
        """Return the offsets of the partitions that are still ours."""
        return {p: offset for p, offset in self.offsets.items() if p not in self.lost}

    def holds(self, record: Record) -> bool:
        """Tell whether the record is still ours to write."""
        if record.withdrawn:
            return False
        return not self.lost or record.source.partition() not in self.lost

    def withdraw_requests(self, index: int) -> None:
        """Withdraw the review requests behind a verdict that became a dead letter."""
        source = self.records[index].source
        for later in range(index + 1, len(self.records)):
            record = self.records[later]
            if record.request is None or record.source is not source:
                return
            self.records[later] = record._replace(withdrawn=True)


def within(messages: list[Message], size: int) -> tuple[int, int]:
    """Return how many messages fit into `size` bytes, at least one, and their bytes."""
    total = 0
    for count, message in enumerate(messages):
        headers = message.headers()
        more = len(message) + (header_bytes(headers) if headers else 0)
        if count and total + more > size:
            return count, total
        total += more
    return len(messages), total


def header_bytes(headers: Sequence[tuple[str, str | bytes | None]]) -> int:
    """Return the bytes of headers in Kafka's message format 2, without their count."""
    total = 0
    for name, value in headers:
        length = len(name) if name.isascii() else len(name.encode())
        size = len(value.encode() if isinstance(value, str) else value or b"")
        total += varint_bytes(length) + length + varint_bytes(size) + size
    return total


def varint_bytes(number: int) -> int:
    """Return the bytes of a zigzag varint, `number` ≥ 0; null's -1 takes as many as 0."""
    return (number.bit_length() + 7) // 7


def source_of(message: Message) -> tuple[str, int, int]:
    """Return topic, partition and offset; a consumed message always has them."""
    return message.topic() or "", message.partition() or 0, message.offset() or 0


def time_stamp(message: Message) -> int | None:
    """Return the time stamp in epoch milliseconds."""
    kind, milliseconds = message.timestamp()
    return milliseconds if kind else None  # kind 0: the record has none
