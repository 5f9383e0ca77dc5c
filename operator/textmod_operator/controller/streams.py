"""Every stream's lag, and what the scaling law makes of it.

Reading the lag and acting on it are apart: this module reads and decides every few seconds; the
HPA fetches the decision as a metric, and a reconcile writes it into the status.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.autoscaler import acts_at_once
from textmod_operator.kafka.lag import LagMonitor
from textmod_operator.scaling.law import Decision, Memory, Policy, Workload, decide
from textmod_operator.state import (
    KafkaConnection,
    LagReading,
    LagUnknown,
    Manifest,
    ObjectKey,
    ScalingSeen,
)

AT_ONCE_SECONDS = 8.0
"""From an arrival until the operator has asked for more: a read of the lag every 2 s, λ known after
4, and some to spare (with less to spare the law waits longer, and the simulator says too long)."""
BY_HPA_SECONDS = 20.0
"""The same until the HPA has: its sync of 15 s comes on top."""

Reading = LagReading | LagUnknown


@dataclass(frozen=True)
class Stream:
    """What has to be known of one TextModeration to judge its lag."""

    key: ObjectKey
    connection: KafkaConnection
    topic: str
    group: str
    policy: Policy
    workload: Workload


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
    )


class Streams:
    """The lag and the decision of every stream. Thread-safe; `poll` is the only slow method.

    Args:
        make_monitor: makes the monitor of one Kafka cluster.
    """

    def __init__(self, make_monitor: Callable[[KafkaConnection], LagMonitor] = LagMonitor) -> None:
        self._make_monitor = make_monitor
        self._lock = threading.Lock()
        self._streams: dict[ObjectKey, Stream] = {}
        self._memories: dict[ObjectKey, Memory] = {}
        self._seen: dict[ObjectKey, ScalingSeen] = {}
        self._monitors: dict[KafkaConnection, LagMonitor] = {}

    def follow(self, stream: Stream, learned: str | None = None) -> None:
        """Starts to read a stream's lag, or takes in what changed.

        Args:
            learned: what the law learned before a restart (`learned` wrote it); used once.
        """
        with self._lock:
            old = self._streams.get(stream.key)
            self._streams[stream.key] = stream
            self._memories.setdefault(stream.key, _remembered(learned))
            source = (stream.connection, stream.topic, stream.group)
            if old is not None and (old.connection, old.topic, old.group) == source:
                return
            if stream.connection not in self._monitors:
                self._monitors[stream.connection] = self._make_monitor(stream.connection)
            monitor = self._monitors[stream.connection]
        if old is not None:
            self._leave(old)
        monitor.watch(stream.key, stream.topic, stream.group)

    def forget(self, key: ObjectKey) -> None:
        """Stops reading a stream that is gone, or no longer accepted."""
        with self._lock:
            stream = self._streams.pop(key, None)
            self._memories.pop(key, None)
            self._seen.pop(key, None)
        if stream is not None:
            self._leave(stream)

    def connections(self) -> list[KafkaConnection]:
        """The Kafka clusters to poll."""
        with self._lock:
            return list(self._monitors)

    def poll(self, connection: KafkaConnection, now: float) -> list[ObjectKey]:
        """Reads the lag of every stream on one Kafka cluster and decides; returns those streams.

        Blocks as long as the brokers take. `now` is Unix time in seconds.
        """
        with self._lock:
            monitor = self._monitors.get(connection)
        if monitor is None:
            return []
        readings = monitor.poll(now)
        with self._lock:
            return [key for key, reading in readings.items() if self._take(key, reading, now)]

    def scaling(self, key: ObjectKey) -> ScalingSeen | None:
        """The last decision about a stream; None before the first."""
        with self._lock:
            return self._seen.get(key)

    def learned(self, key: ObjectKey) -> str | None:
        """What the law learned about a stream, for its annotation; None when nothing yet."""
        with self._lock:
            memory = self._memories.get(key)
        figures = memory.learned() if memory is not None else {}
        return (
            json.dumps({name: float(f"{value:.2g}") for name, value in figures.items()})
            if (figures)
            else None
        )

    def figures(self) -> list[tuple[str, str, dict[str, float | None]]]:
        """(namespace, name, gauge → value) of every stream, by the names of `metrics`; None where
        a figure is not known."""
        with self._lock:
            followed = [(stream, self._seen.get(key)) for key, stream in self._streams.items()]
        return [(s.key.namespace, s.key.name, _gauges(s, seen)) for s, seen in followed]

    def close(self) -> None:
        """Lets go of every client."""
        with self._lock:
            monitors = list(self._monitors.values())
            self._monitors.clear()
        for monitor in monitors:
            monitor.close()

    def _take(self, key: ObjectKey, reading: Reading, now: float) -> bool:
        stream = self._streams.get(key)
        if stream is None:
            return False
        decision, self._memories[key] = decide(
            reading, stream.workload, stream.policy, self._memories[key], now
        )
        self._seen[key] = _seen(reading, decision)
        return True

    def _leave(self, stream: Stream) -> None:
        """Takes a stream from its monitor, and ends a monitor that has none left."""
        with self._lock:
            used = any(other.connection == stream.connection for other in self._streams.values())
            monitors = self._monitors
            monitor = (
                monitors.get(stream.connection) if used else monitors.pop(stream.connection, None)
            )
        if monitor is None:
            return
        if used:
            monitor.forget(stream.key)
        else:
            monitor.close()


def _remembered(learned: str | None) -> Memory:
    """The law's memory from its annotation, which anybody may have edited: nonsense is nothing."""
    try:
        figures: Manifest = json.loads(learned or "{}")
        return Memory.from_learned(figures)
    except (ValueError, AttributeError):
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
