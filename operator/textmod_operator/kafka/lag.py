"""Consumer lag, read from the broker: what waits, and for how long it has waited.

One `LagMonitor` per Kafka cluster, shared by all objects there. What it asks for grows with
brokers, not with objects: end offsets of all partitions of all topics are one request per broker
and poll, and so are the committed offsets of all groups, log starts and partition counts. A group
that had read everything and whose end offsets stood still is not even part of a request.

Seconds behind come from the monitor's own record of when each end offset was reached, which costs
no request. Where that record does not reach back (the operator has just started), the timestamp of
the next unread record is read, for all such partitions of all objects in one go.

What can't be read is `LagUnknown` for that object alone, with a sentence that says why.
"""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from statistics import median_low
from typing import Any, Literal, Self

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec  # type: ignore[attr-defined]

from textmod_operator import metrics
from textmod_operator.kafka.offsets import GroupOffsets, Partition
from textmod_operator.state import KafkaConnection, LagReading, LagUnknown, ObjectKey, PartitionLag

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 60.0
"""How often partition counts and log starts are read again without a sign of change."""
IDLE_REFRESH_SECONDS = 300.0
"""How often the committed offsets of an idle group are read again: somebody may have reset them."""
STANDSTILL_SECONDS = 10.0
"""A lag that has not moved for this long is looked at: residue, or a group that rebalances?"""
DESCRIBE_SECONDS = 10.0
"""A group that stands still is asked this often whether it rebalances."""
DESCRIBE_GROUPS = 5
"""At most so many in one poll: this is the one question that takes a request for each group."""
PROBE_PARTITIONS = 64
"""At most this many partitions are probed in one poll, for all objects together."""
PROBE_AGAIN_SECONDS = 10.0
"""Before a probe without an answer is tried again."""
PROBE_SECONDS = 3.0
"""At most this long, too."""
HISTORY_POINTS = 96
"""Per partition, 16 bytes each."""

LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]

MOST_RATE = 1e6
"""Messages/s. No consumer tells a higher one in earnest."""
_RATE = re.compile(r"rate=(\d{1,7}(?:\.\d{1,6})?)", re.ASCII)

_REBALANCING = {
    ConsumerGroupState.PREPARING_REBALANCING,
    ConsumerGroupState.COMPLETING_REBALANCING,
}
"""Groups of the classic protocol. The newer one (KIP-848) has no pause to wait for."""


def told_rate(notes: Iterable[str]) -> float | None:
    """Messages/s of one busy consumer: the median of what committers wrote beside their offsets
    (``rate=812.5``). Whoever may commit may write anything there: what is not a positive number
    that a process can reach says nothing."""
    rates = [float(found[1]) for note in notes if (found := _RATE.fullmatch(note))]
    return median_low(rates) if (rates := [r for r in rates if 0 < r <= MOST_RATE]) else None


class ArrivalHistory:
    """When the end of one partition was at which offset: points (time, end), both ascending.

    Sparse: a flat stretch is two points, and when it is full every other point of its older half
    goes, so that a fixed size reaches back further and further at a falling resolution.
    """

    def __init__(self, limit: int = HISTORY_POINTS) -> None:
        self._times = array("d")
        self._ends = array("q")
        self._limit = limit

    def add(self, at: float, end: int) -> None:
        """Note that the end was seen at `end` at the time `at` (seconds). Going back in offsets,
        as a topic made anew does, forgets everything before; going back in time is ignored."""
        if self._ends and end < self._ends[-1]:
            del self._times[:], self._ends[:]
        if self._times and at <= self._times[-1]:
            return
        if len(self._ends) > 1 and self._ends[-1] == self._ends[-2] == end:
            self._times[-1] = at
            return
        self._times.append(at)
        self._ends.append(end)
        if len(self._times) > self._limit:
            self._thin()

    def reach_back(self, at: float, offset: int) -> None:
        """Note that the record at `offset` was written at `at`, before all that is known."""
        if self._ends and offset < self._ends[0]:
            self._times.insert(0, min(at, self._times[0]))
            self._ends.insert(0, offset)

    def arrived_at(self, offset: int) -> float | None:
        """When the record at `offset` arrived, interpolated; None when that was before all that is
        known, or has not happened yet."""
        if not self._ends or offset < self._ends[0] or offset >= self._ends[-1]:
            return None
        low, high = 0, len(self._ends) - 1  # end[low] <= offset < end[high]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._ends[middle] <= offset else (low, middle)
        done = (offset - self._ends[low]) / (self._ends[high] - self._ends[low])
        return self._times[low] + done * (self._times[high] - self._times[low])

    def __len__(self) -> int:
        return len(self._times)

    def _thin(self) -> None:
        half = len(self._times) // 2
        keep = [i for i in range(len(self._times)) if i >= half or i % 2 == 0]
        self._times = array("d", (self._times[i] for i in keep))
        self._ends = array("q", (self._ends[i] for i in keep))


@dataclass
class _Watch:
    """What is remembered of one object between polls; dictionaries are by partition."""

    topic: str
    group: str
    ends: dict[int, int] = field(default_factory=dict)
    committed: dict[int, int] | None = None
    """None: not read yet. A partition that is missing has no committed offset."""
    committed_at: float = 0.0
    """When `committed` was read."""
    told_rate: float | None = None
    """Messages/s of one busy consumer, as they tell it themselves."""
    moved_at: float = 0.0
    """When an end or a committed offset was last seen to move."""
    progressed_at: float = 0.0
    """When a committed offset was last seen to move, or nothing waited."""
    arrivals: dict[int, ArrivalHistory] = field(default_factory=dict)
    residue: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The (position, end) between which a probe found no record."""
    probed: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    """The (position, end) of the last probe, and when it may be tried again."""
    rebalancing: bool = False
    described_at: float = 0.0
    """When the group was last asked whether it rebalances."""


class LagMonitor:
    """Reads the lag of every watched object on one Kafka cluster. Thread-safe.

    Nothing is asked before the first `poll`. `request_seconds` bounds every request.
    """

    def __init__(self, connection: KafkaConnection, *, request_seconds: float = 10.0) -> None:
        self._connection = connection
        self._request_seconds = request_seconds
        self._watches: dict[ObjectKey, _Watch] = {}
        self._lock = threading.Lock()
        """Guards `_watches`; never held while the broker is asked."""
        self._polling = threading.Lock()
        self._admin = AdminClient(
            {**connection.librdkafka(), "client.id": "textmod-lag"}, logger=logger
        )
        self._groups = GroupOffsets(connection, request_seconds=request_seconds)
        self._consumer: Consumer | None = None
        self._partitions: dict[str, tuple[int, ...] | str] = {}
        """Topic → its partitions, or the sentence that says why they are not known."""
        self._starts: dict[Partition, int] = {}
        self._refreshed_at = 0.0

    def watch(self, key: ObjectKey, topic: str, group: str) -> None:
        """Read the lag of `group` on `topic` for `key` from the next poll on. Idempotent."""
        with self._lock:
            known = self._watches.get(key)
            if known is None or (known.topic, known.group) != (topic, group):
                self._watches[key] = _Watch(topic, group)

    def forget(self, key: ObjectKey) -> None:
        """Stop reading for `key`. Idempotent."""
        with self._lock:
            self._watches.pop(key, None)

    def close(self) -> None:
        """Let go of the connections. Idempotent."""
        with self._polling:
            self._groups.close()
            if self._consumer is not None:
                self._consumer.close()
            self._consumer = None

    def poll(self, now: float) -> dict[ObjectKey, LagReading | LagUnknown]:
        """Read every watched object once. `now` is Unix time in seconds.

        Never raises for what a broker may answer: that is a `LagUnknown` of the objects concerned.
        """
        with self._polling:
            with self._lock:
                watches = dict(self._watches)
            if not watches:
                return {}
            return self._read(watches, now)

    # --- One poll, step by step -------------------------------------------------------------

    def _read(
        self, watches: dict[ObjectKey, _Watch], now: float
    ) -> dict[ObjectKey, LagReading | LagUnknown]:
        topics = {watch.topic for watch in watches.values()}
        self._refresh(topics, now)
        partitions = [(topic, p) for topic in topics for p in self._known_partitions(topic)]
        ends = self._offsets(partitions, LATEST)
        if any(isinstance(end, str) for end in ends.values()):
            self._refreshed_at = 0.0  # leaders have moved: the next poll asks who they are
        _note_arrivals(watches.values(), ends, now)
        failed = self._fetch_committed(watches, now)
        # A group that reads on between the two requests is ahead of the ends of a moment ago.
        ahead = [
            (watch.topic, p)
            for watch in watches.values()
            for p, committed in (watch.committed or {}).items()
            if committed > watch.ends.get(p, committed)
        ]
        again = self._offsets(ahead, LATEST)
        _note_arrivals(watches.values(), again, now)
        ends.update(again)
        self._read_starts(watches.values())

        states = {
            key: LagUnknown(now, failed[key]) if key in failed else self._lags(watch, ends, now)
            for key, watch in watches.items()
        }
        known = [(watches[key], s) for key, s in states.items() if not isinstance(s, LagUnknown)]
        self._probe(known, now)
        self._notice_rebalances(known, now)
        return {
            key: state if isinstance(state, LagUnknown) else _reading(watches[key], state, now)
            for key, state in states.items()
        }

    def _known_partitions(self, topic: str) -> tuple[int, ...]:
        partitions = self._partitions.get(topic, ())
        return () if isinstance(partitions, str) else partitions

    def _refresh(self, topics: set[str], now: float) -> None:
        """Partition counts: of all topics once a minute, of new and failing ones at every poll."""
        if now - self._refreshed_at >= REFRESH_SECONDS:
            self._refreshed_at = now
            stale = topics
        else:
            stale = {topic for topic in topics if not self._known_partitions(topic)}
        if not stale:
            return
        described = self._ask(
            "describe_topics",
            lambda admin: admin.describe_topics(
                TopicCollection(sorted(stale)), request_timeout=self._request_seconds
            ),
        )
        for topic in stale:
            answer = described.get(topic, _Refusal("no answer"))
            if not isinstance(answer, _Refusal):
                self._partitions[topic] = tuple(sorted(p.id for p in answer.partitions))
            elif answer.missing or not self._known_partitions(topic):
                self._partitions[topic] = f"Topic {topic} can't be read: {answer}."

    def _read_starts(self, watches: Iterable[_Watch]) -> None:
        """Log starts, where they matter: where something waits, retention may have taken it."""
        wanted = {
            (watch.topic, p)
            for watch in watches
            for p, end in watch.ends.items()
            if (watch.committed or {}).get(p, -1) < end or (watch.topic, p) not in self._starts
        }
        for at, start in self._offsets(wanted, EARLIEST).items():
            if isinstance(start, int):
                self._starts[at] = start

    def _offsets(self, wanted: Iterable[Partition], spec: OffsetSpec) -> dict[Partition, int | str]:
        """One ListOffsets request per broker. A partition's value is its offset, or why there is
        none. Uncommitted transactions are left out: nobody can read them yet."""
        request = {TopicPartition(topic, partition): spec for topic, partition in wanted}
        if not request:
            return {}
        answers = self._ask(
            "list_offsets",
            lambda admin: admin.list_offsets(
                request,
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=self._request_seconds,
            ),
        )
        return {
            (at.topic, at.partition): answer if isinstance(answer, str) else _offset(answer)
            for at, answer in answers.items()
        }

    def _fetch_committed(
        self, watches: Mapping[ObjectKey, _Watch], now: float
    ) -> dict[ObjectKey, str]:
        """Read the committed offsets that can have changed; returns why it failed, where it did."""
        due = {key: watch for key, watch in watches.items() if _may_have_moved(watch, now)}
        wanted: dict[str, set[Partition]] = {}
        for watch in due.values():
            at = {(watch.topic, p) for p in self._known_partitions(watch.topic)}
            if at and watch.ends:
                wanted.setdefault(watch.group, set()).update(at)
        answers = self._groups.fetch(wanted) if wanted else {}
        failed: dict[ObjectKey, str] = {}
        for key, watch in due.items():
            answer = answers.get(watch.group)
            if isinstance(answer, str):
                failed[key] = f"Consumer group {watch.group} can't be read: {answer}."
            elif answer is not None:
                mine = {p: at for (topic, p), at in answer.items() if topic == watch.topic}
                committed = {p: at.offset for p, at in mine.items()}
                watch.told_rate = told_rate(at.metadata for at in mine.values())
                if committed != watch.committed:
                    watch.moved_at = watch.progressed_at = now
                watch.committed, watch.committed_at = committed, now
        return failed

    def _lags(
        self, watch: _Watch, ends: Mapping[Partition, int | str], now: float
    ) -> tuple[PartitionLag, ...] | LagUnknown:
        """The offsets of one object put together; unknown as soon as one partition's are."""
        topic = watch.topic
        partitions = self._partitions.get(topic, f"Topic {topic} has not been read yet.")
        if isinstance(partitions, str):
            return LagUnknown(now, partitions)
        if watch.committed is None:
            return LagUnknown(now, f"Consumer group {watch.group} has not been read yet.")
        lags = []
        for partition in partitions:
            end = ends.get((topic, partition), "no answer")
            if isinstance(end, str):
                where = f"Partition {partition} of topic {topic}"
                return LagUnknown(now, f"{where} can't be read: {end}.")
            start = min(self._starts.get((topic, partition), 0), end)
            committed = watch.committed.get(partition)
            if committed is not None and committed > end:
                committed = None  # of an earlier topic of this name: consumers start anew
            lags.append(_less_residue(watch, PartitionLag(partition, start, end, committed)))
        if not any(lag.messages for lag in lags):
            watch.progressed_at = now
        return tuple(lags)

    def _probe(self, known: Iterable[tuple[_Watch, tuple[PartitionLag, ...]]], now: float) -> None:
        """Read the next unread record where its age is not known, or where a lag stands still."""
        wanted: dict[Partition, tuple[_Watch, PartitionLag]] = {}
        for watch, lags in known:
            still = now - watch.moved_at >= STANDSTILL_SECONDS
            for lag in lags:
                position, end, again_at = watch.probed.get(lag.partition, (-1, -1, 0.0))
                if (position, end) == (lag.position, lag.end) and now < again_at:
                    continue
                if lag.messages and (still or _arrived_at(watch, lag) is None):
                    wanted.setdefault((watch.topic, lag.partition), (watch, lag))
        chosen = sorted(wanted.items(), key=lambda item: -item[1][1].messages)[:PROBE_PARTITIONS]
        if not chosen:
            return
        found = self._first_records({at: lag.position for at, (_, lag) in chosen})
        for at, (watch, lag) in chosen:
            record = found.get(at)
            again_at = now + PROBE_AGAIN_SECONDS if record is None else math.inf
            watch.probed[lag.partition] = (lag.position, lag.end, again_at)
            if isinstance(record, float):
                watch.arrivals[lag.partition].reach_back(record, lag.position)
            elif record == "nothing":
                watch.residue[lag.partition] = (lag.position, lag.end)

    def _first_records(
        self, positions: Mapping[Partition, int]
    ) -> dict[Partition, float | Literal["nothing"]]:
        """The Unix time of the first record at or after each position, or that there is none up to
        the end. Partitions that did not answer in PROBE_SECONDS are left out."""
        if self._consumer is None:
            self._consumer = Consumer(
                {
                    **self._connection.librdkafka(),
                    "client.id": "textmod-lag",
                    "group.id": "textmod-lag",  # required by the client; never joined or committed
                    "enable.auto.commit": False,
                    "enable.partition.eof": True,
                    "isolation.level": "read_committed",
                    "auto.offset.reset": "error",
                    "queued.min.messages": 1,
                    "fetch.wait.max.ms": 50,  # the end is told without waiting for more
                    "fetch.message.max.bytes": 1024,  # one record is wanted, not what follows it
                },
                logger=logger,
            )
        metrics.KAFKA_REQUESTS.labels("fetch").inc()
        found: dict[Partition, float | Literal["nothing"]] = {}
        deadline = time.monotonic() + PROBE_SECONDS
        try:
            self._consumer.assign([TopicPartition(*at, offset) for at, offset in positions.items()])
            while len(found) < len(positions) and (left := deadline - time.monotonic()) > 0:
                message = self._consumer.poll(left)
                if message is None:
                    continue
                at = (str(message.topic()), int(message.partition() or 0))
                error = message.error()
                if error is None:
                    found.setdefault(at, message.timestamp()[1] / 1000)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    found.setdefault(at, "nothing")
            self._consumer.unassign()
        except KafkaException as error:
            metrics.KAFKA_ERRORS.inc()
            logger.warning("The next unread records can't be read: %s.", _Refusal(error))
        return found

    def _notice_rebalances(
        self, known: Iterable[tuple[_Watch, tuple[PartitionLag, ...]]], now: float
    ) -> None:
        """Ask after the state of the groups that have work and make no progress."""
        stuck = []
        for watch, _ in known:
            if now - watch.progressed_at < STANDSTILL_SECONDS:
                watch.rebalancing = False
            elif now - watch.described_at >= DESCRIBE_SECONDS:
                stuck.append(watch)
        stuck = sorted(stuck, key=lambda watch: watch.described_at)[:DESCRIBE_GROUPS]
        if not stuck:
            return
        states = self._ask(
            "describe_groups",
            lambda admin: admin.describe_consumer_groups(
                sorted({watch.group for watch in stuck}), request_timeout=self._request_seconds
            ),
        )
        for watch in stuck:
            state = getattr(states.get(watch.group), "state", None)
            watch.rebalancing, watch.described_at = state in _REBALANCING, now

    def _ask(
        self, request: str, call: Callable[[AdminClient], Mapping[Any, Future[Any]]]
    ) -> dict[Any, Any]:
        """The answers of one batched request; a `_Refusal` stands for an error."""
        metrics.KAFKA_REQUESTS.labels(request).inc()
        try:
            futures = call(self._admin)
        except KafkaException as error:
            metrics.KAFKA_ERRORS.inc()
            logger.warning("Kafka at %s: %s.", self._connection.bootstrap_servers, _Refusal(error))
            return {}
        answers: dict[Any, Any] = {}
        for key, future in futures.items():
            try:
                answers[key] = future.result(2 * self._request_seconds)
            except (KafkaException, TimeoutError) as error:
                answers[key] = _Refusal(error)
        if any(isinstance(answer, _Refusal) for answer in answers.values()):
            metrics.KAFKA_ERRORS.inc()
        return answers


def _offset(answer: ListOffsetsResultInfo) -> int | str:
    """The offset; for a partition without leader the client answers -1001 and no error."""
    return int(answer.offset) if answer.offset >= 0 else "it has no leader"


def _note_arrivals(
    watches: Iterable[_Watch], ends: Mapping[Partition, int | str], now: float
) -> None:
    """Take new end offsets into the memory of the objects that read there."""
    by_topic: dict[str, list[tuple[int, int]]] = {}
    for (topic, partition), end in ends.items():
        if isinstance(end, int):
            by_topic.setdefault(topic, []).append((partition, end))
    for watch in watches:
        for partition, end in by_topic.get(watch.topic, ()):
            if watch.ends.get(partition) != end:
                watch.moved_at = now
            watch.ends[partition] = end
            watch.arrivals.setdefault(partition, ArrivalHistory()).add(now, end)


def _may_have_moved(watch: _Watch, now: float) -> bool:
    """Whether the committed offsets are worth a request."""
    if watch.committed is None or watch.moved_at >= watch.committed_at:
        return True
    if now - watch.committed_at >= IDLE_REFRESH_SECONDS:
        return True
    return any(
        watch.committed.get(partition, 0) < end and watch.residue.get(partition, (0, -1))[1] != end
        for partition, end in watch.ends.items()
    )


def _arrived_at(watch: _Watch, lag: PartitionLag) -> float | None:
    history = watch.arrivals.get(lag.partition)
    return history.arrived_at(lag.position) if history else None


def _less_residue(watch: _Watch, lag: PartitionLag) -> PartitionLag:
    """The lag without what a probe has shown to be no records."""
    if watch.residue.get(lag.partition) != (lag.position, lag.end):
        return lag
    return replace(lag, residue=lag.end - lag.position)


def _reading(watch: _Watch, lags: tuple[PartitionLag, ...], now: float) -> LagReading:
    """What the law gets. A probe may have found residue since `lags` was put together."""
    lags = tuple(_less_residue(watch, lag) for lag in lags)
    arrivals = [_arrived_at(watch, lag) for lag in lags if lag.messages]
    known = [at for at in arrivals if at is not None]
    behind = None
    if len(known) == len(arrivals):
        behind = max((max(0.0, now - at) for at in known), default=0.0)
    return LagReading(now, lags, behind, watch.rebalancing, watch.told_rate)


class _Refusal(str):
    """Kafka's own words for what went wrong, without a full stop."""

    __slots__ = ("missing",)
    missing: bool
    """Whether what was asked after is not there."""

    def __new__(cls, error: BaseException | str) -> Self:
        cause = error.args[0] if isinstance(error, KafkaException) else None
        if isinstance(cause, KafkaError):
            words = str(cause.str())
        elif isinstance(error, TimeoutError):
            words = "no answer in time"
        else:
            words = str(error)
        made = super().__new__(cls, words.rstrip("."))
        made.missing = (
            isinstance(cause, KafkaError) and cause.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        )
        return made
