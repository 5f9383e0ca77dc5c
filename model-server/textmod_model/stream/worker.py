"""The stream's loop: read, judge, write, and only then say that it was read.

One process, one consumer, one core. The loop takes what is there and doesn't wait for more, so
batches are small when idle and grow by themselves under load.
"""

import logging
import math
import time
from collections.abc import Sequence
from threading import Event

import numpy as np

from textmod_model.errors import StreamError
from textmod_model.formats.message import RegistryUnavailable
from textmod_model.health import Health
from textmod_model.metrics import Metrics
from textmod_model.settings import Settings
from textmod_model.stream.consumer import GroupConsumer
from textmod_model.stream.delivery import Delivery
from textmod_model.stream.judge import Batch, Judge, Message

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5
HOLD_AFTER_SECONDS = 1.0
BLOCKED_AFTER_SECONDS = 5.0
"""Brokers acknowledge within milliseconds; a change of leader takes a second or two."""

REGISTRY_SECONDS = 1.0
"""Between two tries of a schema registry that does not answer."""

REVOKE_SECONDS = 10.0
LEAVE_SECONDS = 3.0
"""Of the time to stop, what leaving the group takes."""

BUSY_TURNS = 4
"""After so many fetches in a row that found messages waiting, a batch may wait to fill."""


class Worker:
    """Runs the stream until it's told to stop."""

    def __init__(
        self,
        settings: Settings,
        consumer: GroupConsumer,
        judge: Judge,
        delivery: Delivery,
        health: Health,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._judge = judge
        self._delivery = delivery
        self._health = health
        self._linger = settings.batch_max_wait_milliseconds / 1000
        self._busy_turns = 0
        self._deadline = math.inf

    def run(self, stop: Event) -> bool:
        """Turn until `stop` is set, then finish what is in flight and leave the group.

        Returns whether everything read was settled; what was not is read again by the next.
        Raises StreamError if Kafka took the stream away.
        """
        try:
            while not stop.is_set() and not self._delivery.prepare():
                self._health.last_turn = time.monotonic()
            while not stop.is_set():
                self.turn(stop)
        except StreamError:
            self._deadline = -math.inf  # nothing more will settle; leave, so that others go on
            self._consumer.close(self)
            raise
        log.info("Stopping: finishing what is in flight.")
        self._health.stopping = True
        self._deadline = time.monotonic() + self._settings.shutdown_seconds - LEAVE_SECONDS
        settled = self._settle_until(self._deadline)
        self._consumer.close(self)
        self._delivery.close()
        return settled

    def turn(self, stop: Event) -> None:
        """Read a batch, judge it, start writing it, and settle what can be settled."""
        self._health.last_turn = time.monotonic()
        busy = self._busy_turns >= BUSY_TURNS
        messages = self._consumer.fetch(
            self._settings.batch_max_messages,
            wait=0 if self._delivery.busy else IDLE_SECONDS,
            linger=self._linger if busy else 0,
            revocation=self,
        )
        if not messages:
            self._busy_turns = 0
            self._settle(stop)
            return
        self._busy_turns += 1
        began = time.monotonic()
        batch = self._judge_when_possible(messages, stop)
        if batch is None:
            return
        self._delivery.submit(batch)
        worked = time.monotonic() - began
        more = self._consumer.more_waits
        if self._delivery.full:
            self._settle(stop)
        else:
            self._delivery.settle(0)
        waited = time.monotonic() - began - worked
        self._consumer.speed.note(
            len(messages), worked + min(waited, HOLD_AFTER_SECONDS), more_waits=more
        )

    def _judge_when_possible(self, messages: list[Message], stop: Event) -> Batch | None:
        """Judge a batch; wait, reading nothing, while the schema registry does not answer.

        Return None if nothing is left to judge: the worker stops, or all partitions of the batch
        went to another consumer meanwhile.
        """
        waiting = False
        while messages:
            try:
                batch = self._judge.judge(messages)
            except RegistryUnavailable as error:
                waiting = True
                messages = self._wait_for_registry(messages, str(error), stop)
                if stop.is_set():
                    return None
            else:
                if waiting:
                    self._health.blocked = None
                    self._consumer.resume()
                return batch
        self._health.blocked = None
        self._consumer.resume()
        return None

    def _wait_for_registry(
        self, messages: list[Message], reason: str, stop: Event
    ) -> list[Message]:
        """Wait a moment as a member of the group; return the messages that are still ours."""
        if self._health.blocked != reason:
            log.error("%s Nothing is consumed until it answers.", reason)
        until = time.monotonic() + REGISTRY_SECONDS
        while not stop.is_set() and time.monotonic() < until:
            self._health.last_turn = time.monotonic()
            lost = self._consumer.hold(self)
            messages = [one for one in messages if one.partition() not in lost]
            self._delivery.settle(0.1)
            self._health.blocked = reason
            stop.wait(0.1)
        return messages

    def before_revoke(self, _partitions: set[int]) -> None:
        """Finish what is in flight before partitions go to another consumer."""
        self._settle_until(min(self._deadline, time.monotonic() + REVOKE_SECONDS))

    def after_revoke(self, partitions: set[int]) -> None:
        """Give up what could not be finished."""
        self._delivery.forget(partitions)

    def _settle(self, stop: Event) -> None:
        """Wait until all is written; reading nothing, but staying in the group, if that is long."""
        began = time.monotonic()
        while self._delivery.busy and not self._delivery.settle(0.1):
            self._health.last_turn = time.monotonic()
            waited = self._health.last_turn - began
            if stop.is_set():
                return
            if waited > HOLD_AFTER_SECONDS:
                self._consumer.hold(self)
            if waited > BLOCKED_AFTER_SECONDS and self._health.blocked is None:
                self._health.blocked = "Nothing written is acknowledged; nothing is consumed."
                log.error("%s", self._health.blocked)
        self._consumer.resume()

    def _settle_until(self, deadline: float) -> bool:
        while self._delivery.busy:
            if time.monotonic() > deadline:
                return False
            self._delivery.settle(0.1)
        return True


class Observer:
    """Counts what was settled, once per batch."""

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
        letters = [record.refused for record in records if record.refused is not None]
        metrics.messages.labels("verdict").inc(len(records) - len(letters))
        metrics.batch_size.observe([len(batch.records)])
        metrics.score.observe(batch.scores)
        if letters:
            metrics.messages.labels("dead_letter").inc(len(letters))
            for letter in letters:
                metrics.refusals.labels(letter.reason).inc()
            records = [record for record in records if record.refused is None]
        times = [r.milliseconds for r in records if r.milliseconds is not None]
        if times:
            metrics.end_to_end.observe(np.maximum(0.0, now - np.asarray(times) / 1000))
