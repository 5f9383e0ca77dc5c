"""One pass of one object, and when the next is due.

A pass runs in a thread and goes only through the doors that it was given, so that a unit test can
run it as a function of (object, world, fault).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from textmod_operator import metrics, naming
from textmod_operator.conditions import failed_status, held_status
from textmod_operator.controller.deletion import finalize
from textmod_operator.controller.inventory import Inventory
from textmod_operator.controller.reconcile import Edges, Outcome, reconcile
from textmod_operator.controller.status_writer import StatusWriter, merge_patch
from textmod_operator.errors import ClusterError, Problem
from textmod_operator.kafka.clusters import KafkaPending
from textmod_operator.settings import Settings
from textmod_operator.state import LagUnknown, Manifest, ObjectKey, ScalingSeen

logger = logging.getLogger(__name__)

Scaling = Callable[[ObjectKey], ScalingSeen | None]
"""The last decision of the scaling law about an object; None before the first."""


@dataclass(frozen=True)
class NextPass:
    """When an object is due again."""

    seconds: float
    failed: bool
    """Also after the back-off of a failure."""


class Passes:
    """Runs passes. Thread-safe as long as one object is in one pass at a time."""

    def __init__(
        self,
        inventory: Inventory,
        edges: Edges,
        scaling: Scaling,
        writer: StatusWriter,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._inventory = inventory
        self._edges = edges
        self._scaling = scaling
        self._writer = writer
        self._now = now

    @metrics.RECONCILES.time()
    def run(self, key: ObjectKey) -> Outcome | None:
        """Run one pass; None when the object is gone or being deleted.

        Raises:
            ClusterError: the API server could not be reached, or refused the status.
            Problem: the object is being deleted and its topics can't be.
        """
        body = self._inventory.get(key)
        if body is None:
            return None
        if body["metadata"].get("deletionTimestamp"):
            self._release(key, body)
            return None
        outcome = self._reconcile(key, body)
        self._writer.write(key, body, outcome.status, outcome.tm)
        return outcome

    def _reconcile(self, key: ObjectKey, body: Manifest) -> Outcome:
        """A pass that fails is reported in the object's own conditions: its observedGeneration
        never lags behind, and no other object notices."""
        try:
            return reconcile(body, self._edges, self._scaling(key), self._now())
        except ClusterError as error:
            if error.status == 0:
                raise  # the API server is away: there is nobody to report to
            logger.warning("%s: the pass failed: %s", key, error)
            reason, message = "ApplyFailed", f"{error}; it is retried"
        except KafkaPending:
            raise  # the pass is repeated once that Kafka cluster was asked
        except Exception as error:
            logger.exception("%s: the pass failed", key)
            metrics.RECONCILE_ERRORS.inc()
            reason, message = "InternalError", f"{type(error).__name__}: {error}; it is retried"
        status = failed_status(body, reason, message[:1024], self._now())
        return Outcome(status, retry=True, finished=False)

    def _release(self, key: ObjectKey, body: Manifest) -> None:
        if naming.FINALIZER not in (body["metadata"].get("finalizers") or ()):
            return
        try:
            finalize(body, self._edges)
        except Problem as problem:
            held = held_status(body, problem, self._now())
            if patch := merge_patch(body.get("status") or {}, held):
                self._writer.merge(key, patch, body["metadata"]["uid"])
            raise


def next_pass(outcome: Outcome, scaling: ScalingSeen | None, settings: Settings) -> NextPass:
    """When the object of a pass is due again, without any event. Pure."""
    seconds = settings.resync_interval
    if outcome.again is not None:
        seconds = min(seconds, outcome.again)
    if outcome.uses_secrets:
        in_doubt = scaling is not None and isinstance(scaling.reading, LagUnknown)
        interval = settings.secrets_doubt_interval if in_doubt else settings.secrets_interval
        seconds = min(seconds, interval)
    return NextPass(seconds, outcome.retry)
