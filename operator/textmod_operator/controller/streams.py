"""Every stream's lag, and what the scaling law makes of it.

Reading the lag and acting on it are apart: this module reads and decides every few seconds; the
HPA fetches the decision as a metric, and a reconcile writes it into the status.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from dataclasses import dataclass, replace

from textmod_operator import metrics, naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.clock import steady_now
from textmod_operator.desired.autoscaler import acts_at_once
from textmod_operator.kafka.clusters import KafkaCluster, KafkaClusters
from textmod_operator.scaling.law import Decision, Memory, Policy, Workload, decide
from textmod_operator.scaling.progress import Expired, Progress, patience, unread_and_deleted
from textmod_operator.state import (
    KafkaConnection,
    LagReading,
    LagUnknown,
    Manifest,
    ObjectKey,
    ReaderKey,
    ScalingSeen,
)

logger = logging.getLogger(__name__)

AT_ONCE_SECONDS = 8.0
"""From an arrival until the operator has asked for more: a read of the lag every 2 s, λ known after
4, and some to spare (with less to spare the law waits longer, and the simulator says too long)."""
BY_HPA_SECONDS = 20.0
"""The same until the HPA has: its sync of 15 s comes on top."""

Reading = LagReading | LagUnknown
Source = tuple[KafkaConnection, str, str]
"""Kafka cluster, topic and consumer group."""


@dataclass(frozen=True)
class Stream:
    """What has to be known of one TextModeration to judge its lag."""

    key: ObjectKey
    connection: KafkaConnection
    topic: str
    group: str
    policy: Policy
    workload: Workload
    way: str = ""
    """Changes with all that a replica's speed depends on: image, resources, way of reading."""

    @property
    def source(self) -> Source:
        """Where its lag is read. A reading of another source says nothing about it."""
        return self.connection, self.topic, self.group


def stream_of(tm: TextModeration, connection: KafkaConnection, ready: int | None) -> Stream:
    """The stream of an accepted object; `ready` is its number of serving replicas, if known."""
    scaling = tm.spec.autoscaling
    return Stream(
        key=ObjectKey(tm.metadata.namespace, tm.metadata.name),
        connection=connection,
        topic=tm.input_topic,
        group=naming.consumer_group(tm),
        policy=Policy(
            min_replicas=scaling.min_replicas,
            max_replicas=tm.max_replicas,
            partitions=tm.input_partitions,
            max_seconds_behind=scaling.lag.max_seconds_behind,
            messages_per_replica=scaling.lag.messages_per_replica,
            metric_seconds=AT_ONCE_SECONDS if acts_at_once(tm) else BY_HPA_SECONDS,
        ),
        workload=Workload(replicas=tm.replicas, ready=ready),
        way=way_of(tm),
    )


def way_of(tm: TextModeration) -> str:
    """A digest of all that a replica's speed depends on. What was learned of one speed says nothing
    about another."""
    model, serving = tm.spec.model, tm.spec.serving
    made_of = [
        model.image,
        model.digest,
        model.resources.model_dump(),
        serving.streaming,
        serving.protocol,
        serving.delivery,
        serving.batch.model_dump(),
    ]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]


class Streams:
    """The lag and the decision of every stream. Thread-safe; `poll` is the only slow method.

    Args:
        clusters: the Kafka clusters that the lag is read from.
        identity: this process, named in its decisions.
    """

    def __init__(self, clusters: KafkaClusters, identity: str | None = None) -> None:
        self._clusters = clusters
        self._identity = identity
        self._lock = threading.Lock()
        self._streams: dict[ObjectKey, Stream] = {}
        self._memories: dict[ObjectKey, Memory] = {}
        self._seen: dict[ObjectKey, ScalingSeen] = {}
        self._progress: dict[ObjectKey, Progress] = {}
        self._expired: dict[ObjectKey, Expired] = {}

    def follow(self, stream: Stream, learned: str | None = None) -> None:
        """Read a stream's lag from now on, or take over what changed.

        A stream that moved to another cluster, topic or group has no decision until that was read;
        of what the law knows only what it learned about the replicas is kept.

        Args:
            learned: what the law learned before a restart (`learned` wrote it); used once.
        """
        with self._lock:
            old = self._streams.get(stream.key)
            self._streams[stream.key] = stream
            if old is not None and old.source != stream.source:
                kept = self._memories[stream.key].learned()
                self._memories[stream.key] = Memory.from_learned(dict(kept))
                for table in (self._seen, self._progress, self._expired):
                    table.pop(stream.key, None)
            if old is not None and old.way != stream.way:
                self._memories[stream.key] = Memory.empty()
            self._memories.setdefault(stream.key, remembered(learned, stream.way))
        if old is not None and old.connection != stream.connection:
            self._unwatch(old)
        self._clusters.to(stream.connection).monitor.watch(
            ReaderKey(stream.key), stream.topic, stream.group
        )

    def forget(self, key: ObjectKey) -> None:
        """Stop reading a stream that is gone, or no longer accepted."""
        metrics.EXPIRED.remove(key.namespace, key.name)
        with self._lock:
            stream = self._streams.pop(key, None)
            self._memories.pop(key, None)
            for table in (self._seen, self._progress, self._expired):
                table.pop(key, None)
        if stream is not None:
            self._unwatch(stream)

    def poll(self, cluster: KafkaCluster, now: float) -> list[ObjectKey]:
        """Read the lag of every stream on one Kafka cluster and decide; returns those streams.

        Blocks as long as the brokers take. `now` is Unix time in seconds.
        """
        with self._lock:
            asked = {
                key: stream.source
                for key, stream in self._streams.items()
                if stream.connection == cluster.connection
            }
        readings = {
            reader.object: reading  # the law scales the main reader: verdicts are what is promised
            for reader, reading in cluster.read_lag(now).items()
            if reader.reader == naming.MAIN_READER
        }
        return [key for key, one in readings.items() if self._take(key, asked.get(key), one, now)]

    def fail(self, connection: KafkaConnection, why: str, now: float) -> list[ObjectKey]:
        """Make the lag of every stream on one Kafka cluster unknown; returns those streams.

        Args:
            why: a sentence with its full stop.
        """
        with self._lock:
            sources = {
                key: stream.source
                for key, stream in self._streams.items()
                if stream.connection == connection
            }
        unknown = LagUnknown(now, why)
        return [key for key, source in sources.items() if self._take(key, source, unknown, now)]

    def scaling(self, key: ObjectKey) -> ScalingSeen | None:
        """The last decision about a stream; None before the first."""
        with self._lock:
            return self._seen.get(key)

    def learned(self, key: ObjectKey) -> str | None:
        """What the law learned about a stream, for its annotation; None when nothing yet."""
        with self._lock:
            memory, stream = self._memories.get(key), self._streams.get(key)
        figures = memory.learned() if memory is not None else {}
        if not figures or stream is None:
            return None
        return json.dumps({**figures, "of": stream.way})

    def figures(self) -> list[tuple[str, str, dict[str, float | None]]]:
        """(namespace, name, gauge → value) of every stream, by the names of `metrics`; None where
        a figure is not known."""
        with self._lock:
            followed = [(stream, self._seen.get(key)) for key, stream in self._streams.items()]
        return [(s.key.namespace, s.key.name, _gauges(s, seen)) for s, seen in followed]

    def _unwatch(self, stream: Stream) -> None:
        cluster = self._clusters.get(stream.connection)
        if cluster is not None:
            cluster.monitor.forget(ReaderKey(stream.key))

    def _with_progress(
        self, stream: Stream, reading: Reading, seen: ScalingSeen, now: float
    ) -> ScalingSeen:
        """The decision, with what the readings so far say of progress and of messages lost."""
        if isinstance(reading, LagUnknown):
            return seen
        key, served = stream.key, bool(stream.workload.ready)
        progress = self._progress.get(key, Progress()).after(reading, now, served=served)
        self._progress[key] = progress
        self._expired[key], lost = self._expired.get(key, Expired()).after(reading)
        if lost:
            metrics.EXPIRED.labels(key.namespace, key.name).inc(lost)
        standing = progress.standing(now)
        limit = patience(stream.policy.max_seconds_behind)
        return replace(
            seen,
            standing=tuple(sorted(p for p, seconds in standing.items() if seconds > limit)),
            standing_seconds=max(standing.values(), default=0.0),
            expired=sum(unread_and_deleted(reading).values()),
        )

    def _take(self, key: ObjectKey, source: Source | None, reading: Reading, now: float) -> bool:
        """Decide by a reading of `source`; one of where the stream was before is dropped."""
        with self._lock:
            stream = self._streams.get(key)
            if stream is None or stream.source != source:
                return False
            memory = self._memories[key]
        try:
            decision, memory = decide(reading, stream.workload, stream.policy, memory, now)
        except Exception as error:
            logger.exception("%s: decide the number of replicas", key)
            why = (
                f"The operator failed to judge the lag ({type(error).__name__}); its log says more."
            )
            reading, memory = LagUnknown(now, why), Memory.empty()
            decision, memory = decide(reading, stream.workload, stream.policy, memory, now)
        with self._lock:
            current = self._streams.get(key)
            if current is None or current.source != source:
                return False
            self._memories[key] = memory
            seen = replace(_seen(reading, decision), observed_by=self._identity)
            self._seen[key] = self._with_progress(stream, reading, seen, now)
        return True


def remembered(learned: str | None, way: str) -> Memory:
    """The law's memory from its annotation, which anybody may have edited: nonsense is nothing, and
    so is what was learned of another image, other resources or another way of reading."""
    try:
        figures: Manifest = json.loads(learned or "{}")
        if figures.get("of", way) != way:
            return Memory.empty()
        return Memory.from_learned(figures)
    except (ValueError, AttributeError, RecursionError):
        return Memory.empty()


def _gauges(stream: Stream, seen: ScalingSeen | None) -> dict[str, float | None]:
    gauges: dict[str, float | None] = {
        "textmoderation_promise_seconds": stream.policy.max_seconds_behind,
        "textmoderation_max_replicas": stream.policy.max_replicas,
        "textmoderation_replicas": stream.workload.replicas,
        "textmoderation_ready_replicas": stream.workload.ready,
    }
    if seen is None or isinstance(seen.reading, LagUnknown):
        return gauges
    return gauges | {
        "textmoderation_decision_age_seconds": steady_now() - seen.reading.at,
        "textmoderation_lag_messages": seen.reading.messages,
        "textmoderation_lag_partition_max_messages": seen.reading.per_partition_max,
        "textmoderation_seconds_behind": seen.seconds_behind,
        "textmoderation_desired_replicas": seen.desired,
        "textmoderation_messages_in_per_second": seen.in_per_second,
        "textmoderation_messages_out_per_second": seen.out_per_second,
    }


def _seen(reading: Reading, decision: Decision) -> ScalingSeen:
    rates = decision.rates
    return ScalingSeen(
        reading=reading,
        desired=decision.desired,
        reason=decision.reason,
        condition=decision.condition,
        seconds_behind=decision.seconds_behind,
        in_per_second=rates.in_per_second if rates else None,
        out_per_second=rates.out_per_second if rates else None,
        per_replica_per_second=rates.per_replica_per_second if rates else None,
    )
