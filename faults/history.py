"""What one run put in, what came out, and when: all that the checker looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

UNKNOWN = -1
"""An offset that the broker did not report."""


class Sent(NamedTuple):
    """A message that the broker acknowledged."""

    number: int
    """Its identity; it travels in the header `number`."""
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Result(NamedTuple):
    """A record of the output topic (a verdict) or of the dead-letter topic."""

    number: int
    dead: bool
    partition: int
    """Of its own topic, as the offset."""
    offset: int
    key: bytes | None
    value: bytes | None
    """Of a dead letter, which repeats the message; None for a verdict."""
    source: tuple[int, int]
    """Partition and offset of the input that its headers name."""
    headers: frozenset[str]
    """Names of all headers."""
    to_review: tuple[str, ...] = ()
    """The texts of a verdict that must have a review request, by the ids of their items."""


class Place(NamedTuple):
    """Where a message is in the input topic."""

    number: int
    partition: int
    offset: int


def placed(sent: list[Sent], there: list[Place]) -> list[Sent]:
    """Return what was sent with the offsets that the broker did not report, found in the topic.

    `there` is the content of the input topic. A message that is not there keeps its unknown offset,
    and is lost.
    """
    offsets = {(one.number, one.partition): one.offset for one in there}
    return [
        one._replace(offset=offsets.get((one.number, one.partition), UNKNOWN))
        if one.offset == UNKNOWN
        else one
        for one in sent
    ]


def copies(sent: list[Sent], there: list[Place]) -> dict[tuple[int, int], int]:
    """Return the numbers of messages that the sender wrote a second time, by partition and offset.

    An idempotent producer does, where it has to start a new epoch after answers that did not come.
    """
    known = {one.number: (one.partition, one.offset) for one in sent}
    return {
        (one.partition, one.offset): one.number
        for one in there
        if one.number in known and known[one.number] != (one.partition, one.offset)
    }


class Progress(NamedTuple):
    """How many results there were at a time."""

    at: float
    """Seconds since the run began, on a monotonic clock."""
    results: int


@dataclass(slots=True)
class History:
    """One run."""

    delivery: str
    """AtLeastOnce or ExactlyOnce."""
    promise_seconds: float
    """How long the stream may stand still with messages waiting, once the last fault is over."""
    sent: list[Sent] = field(default_factory=list)
    copies: dict[tuple[int, int], int] = field(default_factory=dict)
    """Numbers of what the sender wrote a second time, by partition and offset; each is a message of
    its own."""
    results: list[Result] = field(default_factory=list)
    committed: dict[int, int] = field(default_factory=dict)
    """The group's committed offset of each input partition."""
    progress: list[Progress] = field(default_factory=list)
    last_fault: float = 0.0
    """When the last fault was over, seconds since the run began."""
    visible: float | None = None
    """When a consumer of committed records could read all results; seconds since the run began."""
    bare: bool = False
    """Whether the dead-letter topic may refuse an original: its letter then comes without it."""
    expired: set[int] = field(default_factory=set)
    """Numbers of messages that were deleted from the input unread."""
    requests: list[str] = field(default_factory=list)
    """The item of each review request."""
    group: list[str] = field(default_factory=list)
    """What the broker said of the group while the stream stood still; a line a member."""
