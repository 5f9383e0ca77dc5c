"""Counts what the stream delivered, once per batch."""

import time
from collections.abc import Sequence

import numpy as np

from textmod_model.metrics import Metrics
from textmod_model.stream.records import Batch


class Observer:
    """Fills the metrics of the stream."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def done(self, batches: Sequence[Batch]) -> None:
        """Take batches whose records are all acknowledged."""
        now = time.time()
        for batch in batches:
            self._count(batch, now)

    def _count(self, batch: Batch, now: float) -> None:
        metrics = self._metrics
        records = [r for r in batch.records if batch.holds(r)] if batch.lost else batch.records
        if batch.counts:
            records = [record for record in records if not record.counts]
            if len(batch.records) == batch.counts:  # no message was read for it
                return
        if batch.requests:
            metrics.count_review_requests(
                (record.request.strategy, record.withdrawn)
                for record in records
                if record.request is not None
            )
            records = [record for record in records if record.request is None]
        letters = [record.refused for record in records if record.refused is not None]
        metrics.messages.labels("verdict").inc(len(records) - len(letters))
        metrics.batch_size.observe([len(batch.records) - batch.requests - batch.counts])
        metrics.score.observe(batch.scores)
        if letters:
            metrics.messages.labels("dead_letter").inc(len(letters))
            for letter in letters:
                metrics.refusals.labels(letter.reason).inc()
            records = [record for record in records if record.refused is None]
        rulings = [ruling for record in records for ruling in record.rulings]
        if rulings:
            metrics.count_actions(rulings)
        times = [r.milliseconds for r in records if r.milliseconds is not None]
        if times:
            metrics.end_to_end.observe(np.maximum(0.0, now - np.asarray(times) / 1000))
