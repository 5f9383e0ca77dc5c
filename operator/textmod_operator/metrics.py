"""Every figure on the operator's /metrics: the dashboards, the alerts and their users go by these.

Counters and histograms are module-level, as prometheus-client has them: one process, one registry.
What is said of a TextModeration is collected when Prometheus asks, from what the leader knows then;
a figure that is not known is left out, never 0.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Summary, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

disable_created_metrics()  # type: ignore[no-untyped-call]

RECONCILES: Final = Histogram(
    "textmod_operator_reconcile_seconds",
    "Duration of a reconcile of one TextModeration.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3.5, 5, 7.5, 10, 30),
)
STEPS: Final = Summary(
    "textmod_operator_reconcile_step_seconds",
    "Duration of the steps of a reconcile that make requests; the rest only computes.",
    ["step"],
)
RECONCILE_ERRORS: Final = Counter(
    "textmod_operator_reconcile_errors_total", "Reconciles that raised an error."
)
STATUS_WRITES: Final = Counter("textmod_operator_status_writes_total", "Status patches sent.")
OBJECTS: Final = Gauge("textmod_operator_objects", "TextModerations that are watched.")
LEADER: Final = Gauge("textmod_operator_leader", "1 while this process reconciles, else 0.")
API_REQUESTS: Final = Counter(
    "textmod_operator_api_requests_total",
    "Requests to the Kubernetes API server, without kopf's watches; code 0: no answer.",
    ["method", "resource", "code"],
)
KAFKA_REQUESTS: Final = Counter(
    "textmod_operator_kafka_requests_total",
    "Requests to Kafka, by type; one for all topics or groups that it covers.",
    ["request"],
)
KAFKA_ERRORS: Final = Counter(
    "textmod_operator_kafka_errors_total", "Requests to Kafka that failed, in whole or part."
)
EXPIRED: Final = Counter(
    "textmoderation_messages_expired_total",
    "Input messages that retention deleted before the consumer group read them.",
    ["namespace", "name"],
)
KAFKA_CLUSTERS: Final = Gauge(
    "textmod_operator_kafka_clusters",
    "Kafka clusters with clients, those that are being closed included.",
)
TASKS: Final = Gauge("textmod_operator_tasks", "Tasks on the event loop.")
THREADS: Final = Gauge(
    "textmod_operator_threads",
    "Threads of the process and of its Kafka clients, without the pools that stay.",
)
CERTIFICATE_EXPIRY: Final = Gauge(
    "textmod_operator_certificate_expiry_timestamp_seconds",
    "When the serving certificate of the metrics API ends, Unix time.",
)


POOLS: Final = ("reconcile", "asyncio_")
"""Thread names of the pools that stay."""


def threads() -> int:
    """Return the threads of this process, librdkafka's included, less those of `POOLS`."""
    pooled = sum(thread.name.startswith(POOLS) for thread in threading.enumerate())
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir()) - pooled
    except OSError:  # not on Linux: what Python started
        return threading.active_count() - pooled


STREAM_GAUGES: Final = {
    "textmoderation_lag_messages": "Unread messages of the input.",
    "textmoderation_lag_partition_max_messages": "Unread messages of the partition with most.",
    "textmoderation_seconds_behind": "Age of the oldest unread message, in seconds.",
    "textmoderation_decision_age_seconds": "Age of the lag reading behind the last decision.",
    "textmoderation_promise_seconds": "autoscaling.lag.maxSecondsBehind, in seconds.",
    "textmoderation_desired_replicas": "Replicas that the scaling law wants; what the HPA gets.",
    "textmoderation_replicas": "Replicas that are asked for (spec.replicas).",
    "textmoderation_ready_replicas": "Replicas that serve.",
    "textmoderation_max_replicas": "Replicas at most (autoscaling.maxReplicas).",
    "textmoderation_messages_in_per_second": "Messages per second that arrive, smoothed.",
    "textmoderation_messages_out_per_second": "Messages per second that are committed, smoothed.",
}
"""Of every TextModeration that this process leads: labels namespace and name."""
QUALITY_GAUGES: Final = {
    "textmoderation_quality_precision": "Measured share of flagged texts that are rightly flagged.",
    "textmoderation_quality_precision_low": "Lower end of its 95 % interval.",
    "textmoderation_quality_precision_high": "Upper end of its 95 % interval.",
    "textmoderation_quality_recall": "Measured share of the texts to flag that were flagged.",
    "textmoderation_quality_recall_low": "Lower end of its 95 % interval.",
    "textmoderation_quality_recall_high": "Upper end of its 95 % interval.",
    "textmoderation_quality_labels": "Labels of flagged texts that precision was measured by.",
    "textmoderation_promised_precision": "Precision that a policy's rule asks for.",
    "textmoderation_promise_high": "Upper end of what was measured of such a promise.",
}
"""Of every TextModeration with review: labels namespace, name, policy and action; both empty for
all flagged texts, the action empty for a policy as a whole."""
CONDITION: Final = "textmoderation_condition"
"""1: True, 0: False, absent: Unknown. Labels namespace, name and type."""


QualityFigure = tuple[tuple[str, str, str, str], str, float]
"""Labels, gauge and value."""


class StreamFigures(Collector):
    """What is known of every TextModeration at the moment that Prometheus asks.

    Args:
        gauges: (namespace, name, gauge → value or None) of every object.
        conditions: (namespace, name, type → status) of every object.
        registry: where it is collected from.
        quality: ((namespace, name, policy, action), gauge, value) of every object.
    """

    def __init__(
        self,
        gauges: Callable[[], Iterable[tuple[str, str, Mapping[str, float | None]]]],
        conditions: Callable[[], Iterable[tuple[str, str, Mapping[str, str]]]],
        registry: CollectorRegistry = REGISTRY,
        quality: Callable[[], Iterable[QualityFigure]] = tuple,
    ) -> None:
        self._gauges = gauges
        self._conditions = conditions
        self._quality = quality
        registry.register(self)

    def describe(self) -> list[Metric]:
        """Nothing: the registry then asks for no figures at the start."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yields a family per gauge, with a sample for each object that has it."""
        families = {
            name: GaugeMetricFamily(name, text, labels=["namespace", "name"])
            for name, text in STREAM_GAUGES.items()
        }
        for namespace, name, gauges in self._gauges():
            for gauge, value in gauges.items():
                if value is not None:
                    families[gauge].add_metric([namespace, name], value)
        yield from families.values()
        truth = GaugeMetricFamily(
            CONDITION,
            "A condition of the status: 1 for True, 0 for False, absent for Unknown.",
            labels=["namespace", "name", "type"],
        )
        for namespace, name, conditions in self._conditions():
            for kind, status in conditions.items():
                if status in ("True", "False"):
                    truth.add_metric([namespace, name, kind], float(status == "True"))
        yield truth
        yield from self._measured()

    def _measured(self) -> Iterator[Metric]:
        labels = ["namespace", "name", "policy", "action"]
        families = {
            name: GaugeMetricFamily(name, text, labels=labels)
            for name, text in QUALITY_GAUGES.items()
        }
        for of, gauge, value in self._quality():
            families[gauge].add_metric(of, value)
        yield from families.values()
