"""Membership of the consumer group: which partitions are ours, and where reading each begins.

librdkafka would look up committed offsets by itself, with two faults:

- A killed member leaves a transaction whose offsets are pending; the broker then answers
  UNSTABLE_OFFSET_COMMIT. If the assignment changes while librdkafka 2.16 retries, it starts the
  partition without an offset, and `auto.offset.reset` reads all of it again.
- A paused partition that is revoked comes back paused, and nothing says so.

So the committed offset is read here, again and again until the broker has a stable answer, every
partition is assigned with an explicit offset, and the pause state is set with every assignment.
`tests/reproductions/` holds these faults as programs for librdkafka alone.

A third one cannot be avoided from here. If the connection to the coordinator breaks while an
assignment waits for the application, librdkafka 2.16 (KIP-848) reports that it has no partitions.
The coordinator gives some of them to another member, and then the application is called with the
old assignment. Both members are valid, so the broker takes the offsets of both. So a member joins
only when it can take what it is assigned (`GroupConsumer`). Exactly once, it also has the
coordinator confirm that new partitions are its own (`ownership`), and compares their committed
offsets with those it knows before it commits others: `displaced`.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from textmod_model.stream.input_identity import InputIdentity
from textmod_model.stream.kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaException,
    TopicPartition,
)

log = logging.getLogger(__name__)

LOOKUP_SECONDS = 0.25
"""How long one lookup of offsets may hold up the partitions that are read already."""

RETRY_SECONDS = 1.0

OVERLAP_SECONDS = 10.0
"""How long after its assignment another member may still have a partition: more than a heartbeat's
interval, in which a member learns what it has to give up."""

LIST_SECONDS = 0.25
"""The longest wait for the number of partitions; asked only where policies have budgets."""

BEYOND_END_SECONDS = 10.0
"""After a change of leader a partition may seem shorter than it is, for a moment. If it stays
shorter than our position, the topic was deleted and created again."""


@dataclass(slots=True)
class _Pending:
    """A partition that is assigned to us and not read yet."""

    since: float
    position: int | None = None
    """None: start at the committed offset. Else the broker says this one is out of range."""
    error: str = "not asked yet"


@dataclass(slots=True)
class _Claim:
    """A partition's committed offset, as this member knows it."""

    committed: int
    """As we read or wrote it last; negative: none."""
    since: float
    """When it was assigned."""


class Membership:
    """The partitions assigned to this member, with explicit start offsets and pause state.

    Args:
        topic: the input topic.
        identity: which topic of that name the partitions are read from.
        cooperative: whether the rebalance protocol is cooperative (KIP-848, cooperative-sticky);
            otherwise eager, where every change replaces the whole assignment.
        noted: called with a partition and with what stands beside its committed offset.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        topic: str,
        identity: InputIdentity,
        *,
        cooperative: bool,
        clock: Callable[[], float],
        noted: Callable[[int, str], None] = lambda _partition, _note: None,
    ) -> None:
        self._noted = noted
        self._topic = topic
        self._identity = identity
        self._cooperative = cooperative
        self._clock = clock
        self._started: dict[int, int] = {}
        """Partitions that are read, and the offset that reading began at."""
        self._pending: dict[int, _Pending] = {}
        self._claims: dict[int, _Claim] = {}
        self._paused = False
        self._retry_at = 0.0
        self.topic_size: int | None = None
        """How many partitions the topic has, as last reported; None: unknown."""

    @property
    def partitions(self) -> set[int]:
        """All partitions that the group assigned to this member."""
        return self._started.keys() | self._pending.keys()

    @property
    def pending(self) -> bool:
        """Whether a partition still waits for its start offset."""
        return bool(self._pending)

    @property
    def starts(self) -> dict[int, int]:
        """The offsets that reading began at, where they are known."""
        return {p: offset for p, offset in self._started.items() if offset >= 0}

    def overdue(self, now: float, seconds: float) -> dict[int, str]:
        """Return why partitions that wait for longer than `seconds` for an offset still wait."""
        return {p: one.error for p, one in self._pending.items() if now - one.since > seconds}

    # --- rebalance callbacks ----------------------------------------------------------------------

    def assign(self, consumer: Consumer, partitions: Iterable[int]) -> None:
        """Take newly assigned partitions; start those whose offset is known at once."""
        now = self._clock()
        new = set(partitions)
        if not self._cooperative:
            self.forget(self.partitions)
        self._pending |= {p: _Pending(now) for p in new - self._started.keys()}
        self._start(consumer, self._look_up(consumer), always=True)

    def unassign(self, consumer: Consumer, partitions: Iterable[int]) -> None:
        """Give up partitions. The pause state would outlive the assignment, so it is cleared."""
        leaving = set(partitions)
        read = self._started.keys() & leaving
        if read:
            consumer.resume(self._where(read))
        self.forget(leaving)
        self._stop(consumer, read)

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop partitions from the books only."""
        for partition in partitions:
            self._started.pop(partition, None)
            self._pending.pop(partition, None)
            self._claims.pop(partition, None)
            self._identity.forget(partition)

    # --- two members with one partition -----------------------------------------------------------

    def committed(self, offsets: Mapping[int, int]) -> None:
        """Take note of offsets that this member has committed."""
        for partition in self._claims.keys() & offsets.keys():
            self._claims[partition].committed = offsets[partition]

    def displaced(self, consumer: Consumer, partitions: Iterable[int]) -> set[int] | None:
        """Return partitions whose committed offset another member moved; they start again there.

        Only those that were assigned in the last OVERLAP_SECONDS are asked about. None: the broker
        cannot say yet, for example while a transaction of another member is open.
        """
        earliest = self._clock() - OVERLAP_SECONDS
        recent = [p for p in partitions if p in self._claims and self._claims[p].since > earliest]
        if not recent:
            return set()
        try:
            answers = consumer.committed(self._where(recent), timeout=LOOKUP_SECONDS)
        except KafkaException as exception:
            log.info("compare committed offsets: %s; retrying", exception.args[0].str())
            return None
        if any(one.error is not None for one in answers):
            return None
        moved = {
            one.partition for one in answers if one.offset != self._claims[one.partition].committed
        }
        self._start_again(consumer, moved)
        return moved

    def _start_again(self, consumer: Consumer, partitions: set[int]) -> None:
        """Stop reading partitions that are ours, and read on at their committed offset."""
        now = self._clock()
        stopped = self._started.keys() & partitions
        for partition in stopped:
            log.warning("another member committed offsets of partition %d; reading on", partition)
            del self._started[partition]
            self._pending[partition] = _Pending(now)
            self._identity.forget(partition)
        if not stopped:
            return
        self._identity.ask()  # or the topic was created again, and has no committed offset
        if self._cooperative:
            self._stop(consumer, stopped)
        else:
            self._start(consumer, {}, always=True)
        self._retry_at = 0.0

    def size(self, consumer: Consumer) -> int | None:
        """Return how many partitions the topic has, None while no broker answers."""
        if self.topic_size is None:
            try:
                listed = consumer.list_topics(self._topic, timeout=LIST_SECONDS)
            except KafkaException:
                return None
            self.topic_size = len(listed.topics[self._topic].partitions) or None
        return self.topic_size

    # --- start offsets ----------------------------------------------------------------------------

    def start_pending(self, consumer: Consumer) -> None:
        """Look up the start offsets that are still missing; call it between fetches."""
        if self._pending and self._clock() >= self._retry_at:
            self._start(consumer, self._look_up(consumer))

    def out_of_range(self, consumer: Consumer, partition: int) -> None:
        """Handle a position that the broker no longer or not yet has, where reading has stopped."""
        if partition not in self._started:
            return
        position = self.positions(consumer)[partition]
        self._pending[partition] = _Pending(self._clock(), position, "its position is out of range")
        self._identity.ask()
        del self._started[partition]
        if self._cooperative:
            self._stop(consumer, [partition])
        self._retry_at = 0.0

    def restart(self, consumer: Consumer, partition: int) -> None:
        """Make the client read a partition again from where it stands."""
        if partition not in self._started:
            return
        position = self.positions(consumer)[partition]
        del self._started[partition]
        if self._cooperative:
            self._stop(consumer, [partition])
        self._start(consumer, {partition: position})

    def positions(self, consumer: Consumer) -> dict[int, int]:
        """Return the next offset to read, by partition; OFFSET_BEGINNING if none is known."""
        if not self._started:
            return {}
        found = consumer.position(self._where(self._started))
        return {
            one.partition: one.offset if one.offset >= 0 else self._started[one.partition]
            for one in found
        }

    def _look_up(self, consumer: Consumer) -> dict[int, int]:
        """Return the start offsets that are known now, within LOOKUP_SECONDS."""
        asked = [p for p, one in self._pending.items() if one.position is None]
        found: dict[int, int] = {}
        if asked:
            found = self._committed(consumer, asked)
            if not found and len(asked) > 1:  # one unstable partition fails a request for many
                for partition in asked:
                    answer = self._committed(consumer, [partition])
                    if not answer:
                        break  # it goes to the end of the queue
                    found |= answer
        for partition, one in list(self._pending.items()):
            if one.position is not None:
                found |= self._in_range(consumer, partition, one)
        self._retry_at = self._clock() + RETRY_SECONDS
        return found

    def _committed(self, consumer: Consumer, partitions: list[int]) -> dict[int, int]:
        try:
            answers = consumer.committed(self._where(partitions), timeout=LOOKUP_SECONDS)
        except KafkaException as exception:
            self._failed(partitions, exception.args[0].str())
            return {}
        for one in answers:
            if one.error is not None:
                self._failed([one.partition], one.error.str())
            else:
                since = self._pending[one.partition].since
                self._claims[one.partition] = _Claim(one.offset, since)
                self._noted(one.partition, one.metadata or "")
        starts = {
            one.partition: self._identity.start_at(one.partition, one.offset, one.metadata or "")
            for one in answers
            if one.error is None
        }
        if unsure := [partition for partition, offset in starts.items() if offset is None]:
            self._failed(unsure, f"the id of topic {self._topic} is not known yet")
        return {
            partition: offset if offset >= 0 else OFFSET_BEGINNING
            for partition, offset in starts.items()
            if offset is not None
        }

    def _failed(self, partitions: list[int], error: str) -> None:
        sentence = f"its committed offset cannot be read: {error}"
        if any(self._pending[partition].error != sentence for partition in partitions):
            log.info("read committed offsets of %s: %s; retrying", partitions, error)
        for partition in partitions:
            pending = self._pending.pop(partition)
            pending.error = sentence
            self._pending[partition] = pending

    def _in_range(self, consumer: Consumer, partition: int, pending: _Pending) -> dict[int, int]:
        """Return where to read on after a position was out of range, once that is certain."""
        if not self._identity.is_same(partition):
            return {}  # created again, as the consumer sees too, or not known yet
        [where] = self._where([partition])
        try:
            low, high = consumer.get_watermark_offsets(where, timeout=LOOKUP_SECONDS)
        except KafkaException as exception:
            pending.error = f"its offsets cannot be read: {exception.args[0].str()}"
            return {}
        position = pending.position or 0
        if position > high and self._clock() - pending.since < BEYOND_END_SECONDS:
            return {}
        if low <= position <= high:
            return {partition: position}
        log.error(
            "position %d of partition %d of %s is out of range (%d to %d): reading on at %d;"
            " messages were deleted before they were read, or the topic was created again",
            position,
            partition,
            self._topic,
            low,
            high,
            low,
        )
        return {partition: low}

    def _start(self, consumer: Consumer, offsets: dict[int, int], *, always: bool = False) -> None:
        """Assign partitions at explicit offsets, in the pause state that all of ours are in."""
        if not offsets and not always:
            return
        try:
            if self._cooperative:
                consumer.incremental_assign(self._where(offsets, offsets))
            else:
                # The client has no position for a partition that was not read before this.
                offsets = self.positions(consumer) | offsets
                consumer.assign(self._where(offsets, offsets))
        except KafkaException as exception:
            self._postpone(consumer, offsets, exception.args[0].str())
            return
        for partition in offsets:
            self._pending.pop(partition, None)
        self._started |= offsets
        self._identity.started(offsets)
        self._set_pause(consumer, offsets)

    def _postpone(self, consumer: Consumer, offsets: dict[int, int], error: str) -> None:
        """Keep partitions that the client would not take, such as amid a rebalance, for later."""
        log.warning("assign partitions %s: %s; retrying", sorted(offsets), error)
        for partition, offset in offsets.items():
            known = offset if offset >= 0 else None
            pending = self._pending.setdefault(partition, _Pending(self._clock(), known))
            pending.error = f"the client does not take it: {error}"
        if self._cooperative:
            self._stop(consumer, offsets)

    def _stop(self, consumer: Consumer, partitions: Iterable[int]) -> None:
        """Have the client stop reading; with the eager protocol, all partitions."""
        try:
            if self._cooperative:
                consumer.incremental_unassign(self._where(partitions))
            else:
                consumer.unassign()
        except KafkaException as exception:  # it does not have them any more
            log.info("unassign partitions %s: %s", sorted(partitions), exception.args[0].str())

    # --- pause state ------------------------------------------------------------------------------

    def pause(self, consumer: Consumer) -> None:
        """Read nothing until `resume`, of partitions that come later neither."""
        self._paused = True
        self._set_pause(consumer, self._started)

    def resume(self, consumer: Consumer) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            self._set_pause(consumer, self._started)

    def _set_pause(self, consumer: Consumer, partitions: Iterable[int]) -> None:
        where = self._where(partitions)
        if where:
            (consumer.pause if self._paused else consumer.resume)(where)

    def _where(
        self, partitions: Iterable[int], offsets: dict[int, int] | None = None
    ) -> list[TopicPartition]:
        if offsets is None:
            return [TopicPartition(self._topic, partition) for partition in partitions]
        return [TopicPartition(self._topic, p, offsets[p]) for p in partitions]
