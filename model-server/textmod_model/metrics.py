"""The figures on /prometheus and /metrics. Filled once per batch, never once per message."""

from collections import Counter as CounterOf
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from textmod_model.policies.evaluate import Ruling

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
SCORES = tuple(step / 20 for step in range(1, 21))


class BatchHistogram(Collector):
    """A histogram that takes a whole batch of observations in one numpy call.

    prometheus-client's own takes them one by one, at about 1.5 µs each: a tenth of what a message
    may cost here.
    """

    def __init__(self, name: str, documentation: str, buckets: Sequence[float]) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = np.asarray(buckets, dtype=np.float64)
        self._counts = np.zeros(len(buckets) + 1, dtype=np.int64)
        self._sum = 0.0

    def observe(self, values: ArrayLike) -> None:
        """Add observations, shape (n,)."""
        array = np.asarray(values, dtype=np.float64)
        places = np.searchsorted(self._bounds, array, side="left")
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(array.sum())

    def collect(self) -> Iterator[Metric]:
        """Yield the cumulative buckets."""
        cumulative = np.cumsum(self._counts).tolist()
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric([], list(zip(bounds, cumulative, strict=True)), self._sum)
        yield family


class Metrics:
    """All metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._mismatches = self._losses = 0
        ProcessCollector(registry=self.registry)
        self.messages = Counter(
            "textmod_messages_total",
            "Messages of the stream by outcome, counted once the broker acknowledged their record.",
            ["outcome"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "textmod_dead_letters_total",
            "Dead letters by the reason in their header, counted once they were acknowledged.",
            ["reason"],
            registry=self.registry,
        )
        self.predictions = Counter(
            "textmod_predictions_total",
            "Synchronous calls by protocol and outcome.",
            ["protocol", "outcome"],
            registry=self.registry,
        )
        self.suggestions = Counter(
            "textmod_suggestions_total",
            "Scores suggested through Perspective's comments:suggestscore.",
            registry=self.registry,
        )
        self.suggested_decisions = Counter(
            "textmod_suggested_decisions_total",
            "Suggested scores as decisions of the feedback topic, by outcome; with review.",
            ["outcome"],
            registry=self.registry,
        )
        self.blocked = Gauge(
            "textmod_stream_blocked",
            "1 while messages are not read: a topic can't be written, the model fails, or a"
            " partition stands still.",
            registry=self.registry,
        )
        self.score_mismatches = Counter(
            "textmod_score_mismatch_total",
            "Texts whose score was wrong when a sample of all texts was scored a second time.",
            registry=self.registry,
        )
        self.lost_scorers = Counter(
            "textmod_call_scorer_losses_total",
            "Times that the process that scores for synchronous calls ended; since then they are"
            " scored in the stream's process.",
            registry=self.registry,
        )
        self.actions = Counter(
            "textmod_actions_total",
            "Texts by the action of each policy, counted once their verdict was acknowledged;"
            " actions of mode Observe are reported, not applied.",
            ["policy", "action", "mode"],
            registry=self.registry,
        )
        self.decisions = Counter(
            "textmod_decisions_total",
            "Texts by the action of their verdict, the strictest of all policies in force.",
            ["action", "hold"],
            registry=self.registry,
        )
        self.over_budget = Counter(
            "textmod_policy_over_budget_total",
            "Texts that met a rule's threshold after its budget for the day was spent.",
            ["policy"],
            registry=self.registry,
        )
        self.policy_info = Gauge(
            "textmod_policy_info",
            "1 for the version of the policies in force.",
            ["version"],
            registry=self.registry,
        )
        self.policies_invalid = Gauge(
            "textmod_policies_invalid",
            "1 while the policies file is invalid; the previous policies stay in force.",
            registry=self.registry,
        )
        self.review_requests = Counter(
            "textmod_review_requests_total",
            "Texts that people are asked to review, by how they were chosen, counted once their"
            " request was acknowledged.",
            ["strategy"],
            registry=self.registry,
        )
        self.review_requests_refused = Counter(
            "textmod_review_requests_refused_total",
            "Review requests that the review topic does not take, even with a shorter text, and"
            " those of messages that became dead letters; they are not written.",
            registry=self.registry,
        )
        self.lag = Gauge(
            "kafka_consumergroup_lag",
            "Messages between the end of a partition and this consumer; its own partitions only.",
            ["consumergroup", "topic", "partition"],
            registry=self.registry,
        )
        self.batch_size = self._histogram(
            "textmod_batch_size", "Messages read and scored together.", BATCH_SIZES
        )
        self.end_to_end = self._histogram(
            "textmod_end_to_end_seconds",
            "From a record's timestamp to its verdict's acknowledgement.",
            SECONDS,
        )
        self.score = self._histogram(
            "textmod_score", 'Probabilities of "removed" given to texts of the stream.', SCORES
        )
        for strategy in ("Random", "Policy", "Mixed"):
            self.review_requests.labels(strategy)
        for outcome in ("verdict", "dead_letter"):
            self.messages.labels(outcome)  # there from the start, so that a rate can be taken

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> BatchHistogram:
        histogram = BatchHistogram(name, text, buckets)
        self.registry.register(histogram)
        return histogram

    def show_mismatches(self, total: int) -> None:
        """Bring the counter of wrong scores to the scorer's own count."""
        self.score_mismatches.inc(total - self._mismatches)
        self._mismatches = total

    def show_losses(self, total: int) -> None:
        """Bring the counter of ended processes to the predictor's own count."""
        self.lost_scorers.inc(total - self._losses)
        self._losses = total

    def count_actions(self, rulings: Iterable[Ruling]) -> None:
        """Count what the policies said of texts."""
        for ruling, texts in CounterOf(rulings).items():
            self.decisions.labels(ruling.action, str(ruling.hold).lower()).inc(texts)
            for said in ruling.said:
                self.actions.labels(said.name, said.action, said.mode).inc(texts)
                if said.over_budget:
                    self.over_budget.labels(said.name).inc(texts)

    def count_review_requests(self, requests: Iterable[tuple[str, bool]]) -> None:
        """Count review requests by strategy, and whether they were withdrawn."""
        for (strategy, withdrawn), count in CounterOf(requests).items():
            if withdrawn:
                self.review_requests_refused.inc(count)
            else:
                self.review_requests.labels(strategy).inc(count)

    def show_policies(self, version: str | None, error: str | None) -> None:
        """Show the version in force, None for none, and whether the file has an error."""
        self.policy_info.clear()
        if version is not None:
            self.policy_info.labels(version).set(1)
        self.policies_invalid.set(error is not None)

    def show_lag(self, group: str, topic: str, lags: Iterable[tuple[int, int]]) -> None:
        """Replace the lags by those of the partitions that are ours now; unknown ones left out."""
        self.lag.clear()
        for partition, lag in lags:
            self.lag.labels(group, topic, str(partition)).set(lag)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)
