"""Consumer lag, read from the broker: what waits, and for how long it has waited.

One `LagMonitor` per Kafka cluster, shared by all objects there. What it asks for grows with
brokers, not with objects: end offsets of all partitions of all topics are one request per broker
and poll, and so are the committed offsets of all groups, log starts and partition counts. A group
that had read everything and whose end offsets stood still is not even part of a request.

Seconds behind come from the monitor's own record of when each end offset was reached, which costs
no request. Where that record does not reach back (the operator has just started), the timestamp of
the next unread record is read, for all such partitions of all objects in one go; it counts where
the broker set it (LogAppendTime), not where a producer did.

What can't be read is `LagUnknown` for that object alone, with a sentence that says why.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterable, Mapping
from typing import Final

from textmod_operator.errors import TopicsNotReady
from textmod_operator.kafka.backlog import Backlog
from textmod_operator.kafka.connection import REQUEST_SECONDS
from textmod_operator.kafka.lag_source import KafkaLagSource, LagSource, Missing, TopicShape
from textmod_operator.kafka.offsets import Committed, OffsetsError, Partition
from textmod_operator.state import KafkaConnection, LagReading, LagUnknown, PartitionLag, ReaderKey

logger = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 60.0
"""How often partition counts and log starts are read again without a sign of change."""
PROBE_PARTITIONS: Final = 64
"""At most this many partitions are probed in one poll, for all objects together."""
PROBE_AGAIN_SECONDS: Final = 10.0
"""Before a probe without an answer is tried again."""

Lags = tuple[PartitionLag, ...]


class LagMonitor:
    """Reads the lag of every watched reader on one Kafka cluster. Thread-safe.

    Nothing is asked before the first `poll`.

    Args:
        connection: the cluster.
        request_seconds: bounds every request.
        source: what is asked; default: the cluster itself.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        *,
        request_seconds: float = REQUEST_SECONDS,
        source: LagSource | None = None,
    ) -> None:
        self._source = source or KafkaLagSource(connection, request_seconds=request_seconds)
        self._backlogs: dict[ReaderKey, Backlog] = {}
        self._lock = threading.Lock()
        """Guards `_backlogs`; never held while the broker is asked."""
        self._polling = threading.Lock()
        self._closed = False
        self._topics: dict[str, TopicShape | str] = {}
        """Topic → what it is like, or the sentence that says why that is not known."""
        self._ids: dict[str, str] = {}
        """The identity of every topic when it was last seen."""
        self._starts: dict[Partition, int] = {}
        self._refreshed_at = -math.inf
        self.problem: TopicsNotReady | None = None
        """Why the last poll got no answer from the cluster at all; None: it got some."""

    def watch(self, key: ReaderKey, topic: str, group: str) -> None:
        """Read the lag of `group` on `topic` for `key` from the next poll on. Idempotent."""
        with self._lock:
            known = self._backlogs.get(key)
            if known is None or (known.topic, known.group) != (topic, group):
                self._backlogs[key] = Backlog(topic, group)

    def forget(self, key: ReaderKey) -> None:
        """Stop reading for `key`. Idempotent."""
        with self._lock:
            self._backlogs.pop(key, None)

    def close(self) -> None:
        """Close the connections. Idempotent. Waits for a poll that is under way, so never call it
        on an event loop."""
        self._closed = True
        with self._polling:
            self._source.close()

    def poll(self, now: float) -> dict[ReaderKey, LagReading | LagUnknown]:
        """Read every watched object once. `now` is Unix time in seconds.

        Never raises for what a broker may answer: that is a `LagUnknown` of the objects concerned.
        """
        with self._polling:
            with self._lock:
                backlogs = dict(self._backlogs)
            self.problem = None
            if self._closed or not backlogs:
                return {}
            try:
                return self._read(backlogs, now)
            except TopicsNotReady as problem:
                self.problem = problem.without_trace()
                self._refreshed_at = -math.inf
                return dict.fromkeys(backlogs, LagUnknown(now, f"{problem.message}."))

    # --- One poll, step by step -------------------------------------------------------------

    def _read(
        self, backlogs: dict[ReaderKey, Backlog], now: float
    ) -> dict[ReaderKey, LagReading | LagUnknown]:
        topics = {backlog.topic for backlog in backlogs.values()}
        self._refresh(topics, backlogs.values(), now)
        partitions = [(topic, p) for topic in topics for p in self._partitions(topic)]
        ends = dict(self._source.offsets(partitions, "end"))
        if any(isinstance(end, str) for end in ends.values()):
            self._refreshed_at = -math.inf  # leaders have moved: the next poll asks who they are
        self._note_ends(backlogs.values(), ends, now)
        failed = self._fetch_committed(backlogs, now)
        # A group that reads on between the two requests is ahead of the ends of a moment ago.
        ahead = [
            (backlog.topic, p)
            for backlog in backlogs.values()
            for p, committed in (backlog.committed or {}).items()
            if committed > backlog.ends.get(p, committed)
        ]
        again = self._source.offsets(ahead, "end")
        self._note_ends(backlogs.values(), again, now)
        ends.update(again)
        self._read_starts(backlogs.values())

        states: dict[ReaderKey, Lags | LagUnknown] = {
            key: LagUnknown(now, failed[key]) if key in failed else self._lags(backlog, ends, now)
            for key, backlog in backlogs.items()
        }
        known = [
            (backlogs[key], lags)
            for key, lags in states.items()
            if not isinstance(lags, LagUnknown)
        ]
        self._probe(known, now)
        self._notice_rebalances([backlog for backlog, _ in known], now)
        return {
            key: state if isinstance(state, LagUnknown) else backlogs[key].reading(state, now)
            for key, state in states.items()
        }

    def _partitions(self, topic: str) -> tuple[int, ...]:
        shape = self._topics.get(topic)
        return shape.partitions if isinstance(shape, TopicShape) else ()

    def _refresh(self, topics: set[str], backlogs: Iterable[Backlog], now: float) -> None:
        """Partition counts: of all topics once a minute, of new and failing ones at every poll."""
        if now - self._refreshed_at >= REFRESH_SECONDS or now < self._refreshed_at:
            self._refreshed_at = now
            stale = topics
            self._keep_only(topics)
        else:
            stale = {topic for topic in topics if not self._partitions(topic)}
        if not stale:
            return
        described = self._source.topics(stale)
        for topic in stale:
            answer = described.get(topic, "no answer")
            if isinstance(answer, TopicShape):
                self._note_identity(topic, answer.topic_id, backlogs)
                self._topics[topic] = answer
            elif isinstance(answer, Missing) or not self._partitions(topic):
                self._topics[topic] = f"Topic {topic} can't be read: {answer}."

    def _keep_only(self, topics: set[str]) -> None:
        """Drop what is kept of topics that no object uses any more."""
        self._topics = {name: one for name, one in self._topics.items() if name in topics}
        self._ids = {name: one for name, one in self._ids.items() if name in topics}
        self._starts = {at: start for at, start in self._starts.items() if at[0] in topics}

    def _note_identity(self, topic: str, topic_id: str, backlogs: Iterable[Backlog]) -> None:
        """Forget what is known of a topic that was deleted and made again under its old name."""
        if self._ids.setdefault(topic, topic_id) == topic_id:
            return
        self._ids[topic] = topic_id
        self._starts = {at: start for at, start in self._starts.items() if at[0] != topic}
        for backlog in backlogs:
            if backlog.topic == topic:
                backlog.start_again()

    def _note_ends(
        self, backlogs: Iterable[Backlog], ends: Mapping[Partition, int | str], now: float
    ) -> None:
        by_topic: dict[str, list[tuple[int, int]]] = {}
        for (topic, partition), end in ends.items():
            if isinstance(end, int):
                by_topic.setdefault(topic, []).append((partition, end))
        for backlog in backlogs:
            for partition, end in by_topic.get(backlog.topic, ()):
                if backlog.note_end(partition, end, now):
                    self._refreshed_at = -math.inf  # another topic of this name?

    def _read_starts(self, backlogs: Iterable[Backlog]) -> None:
        """Log starts, where they matter: where something waits, retention may have taken it. A
        start that can't be read is not known, never 0 and never an old one."""
        wanted = {
            (backlog.topic, p)
            for backlog in backlogs
            for p, end in backlog.ends.items()
            if (backlog.committed or {}).get(p, -1) < end or (backlog.topic, p) not in self._starts
        }
        answers = self._source.offsets(wanted, "first")
        for at in wanted:
            start = answers.get(at, "no answer")
            if isinstance(start, int):
                self._starts[at] = start
            else:
                self._starts.pop(at, None)

    def _fetch_committed(
        self, backlogs: Mapping[ReaderKey, Backlog], now: float
    ) -> dict[ReaderKey, str]:
        """Read the committed offsets that can have changed; returns why it failed, where it did."""
        due = {key: one for key, one in backlogs.items() if one.may_have_moved(now)}
        wanted: dict[str, set[Partition]] = {}
        for backlog in due.values():
            at = {(backlog.topic, p) for p in self._partitions(backlog.topic)}
            if at and backlog.ends:
                wanted.setdefault(backlog.group, set()).update(at)
        answers = self._source.committed(wanted) if wanted else {}
        failed: dict[ReaderKey, str] = {}
        for key, backlog in due.items():
            answer = answers.get(backlog.group)
            if isinstance(answer, str):
                failed[key] = f"Consumer group {backlog.group} can't be read: {answer}."
            elif answer is not None:
                mine = {p: one for (topic, p), one in answer.items() if topic == backlog.topic}
                mine |= self._restored(key, backlog, mine)
                backlog.note_committed(mine, now)
        return failed

    def _restored(
        self, key: ReaderKey, backlog: Backlog, found: Mapping[int, Committed]
    ) -> dict[int, Committed]:
        """Put back the committed offsets that expired while the group was idle, so that a stream
        that was scaled to zero goes on where it stopped. Not in a topic made again, where they
        would skip messages; with members in the group, Kafka refuses it."""
        expired = backlog.expired(found)
        if not expired:
            return {}
        shape = self._source.topics([backlog.topic]).get(backlog.topic)
        if not isinstance(shape, TopicShape) or shape.topic_id != self._ids.get(backlog.topic):
            self._refreshed_at = -math.inf
            return {}
        try:
            self._source.put(
                backlog.group, {(backlog.topic, p): offset for p, offset in expired.items()}
            )
        except OffsetsError as error:
            logger.warning("%s: restore expired offsets: %s", key, error)
            return {}
        logger.info("%s: restored the offsets of %d partitions that expired", key, len(expired))
        return {p: Committed(offset, "") for p, offset in expired.items()}

    def _lags(
        self, backlog: Backlog, ends: Mapping[Partition, int | str], now: float
    ) -> Lags | LagUnknown:
        """The offsets of one object put together."""
        topic = backlog.topic
        shape = self._topics.get(topic, f"Topic {topic} has not been read yet.")
        if isinstance(shape, str):
            return LagUnknown(now, shape)
        mine = shape.partitions
        return backlog.lags(
            mine,
            {p: ends.get((topic, p), "no answer") for p in mine},
            {p: self._starts[topic, p] for p in mine if (topic, p) in self._starts},
            now,
        )

    def _probe(self, known: Iterable[tuple[Backlog, Lags]], now: float) -> None:
        """Read the next unread record where its age is not known, or where a lag stands still."""
        wanted: dict[Partition, tuple[Backlog, PartitionLag]] = {}
        for backlog, lags in known:
            for lag in lags:
                if backlog.wants_probe(lag, now):
                    wanted.setdefault((backlog.topic, lag.partition), (backlog, lag))
        chosen = sorted(wanted.items(), key=lambda item: -item[1][1].messages)[:PROBE_PARTITIONS]
        if not chosen:
            return
        found = self._source.first_records({at: lag.position for at, (_, lag) in chosen})
        for at, (backlog, lag) in chosen:
            record = found.get(at)
            again_at = now + PROBE_AGAIN_SECONDS if record is None else math.inf
            backlog.probed[lag.partition] = (lag.position, lag.end, again_at)
            if record is None:
                continue
            if not record.exists:
                backlog.residue[lag.partition] = (lag.position, lag.end)
            elif record.arrived is not None:
                backlog.arrivals[lag.partition].reach_back(record.arrived, lag.position)

    def _notice_rebalances(self, known: Iterable[Backlog], now: float) -> None:
        """Ask after the state of the groups that have work and make no progress."""
        stuck = [backlog for backlog in known if backlog.wants_description(now)]
        if not stuck:
            return
        rebalancing = self._source.rebalancing()
        for backlog in stuck:
            backlog.rebalancing, backlog.described_at = backlog.group in rebalancing, now
