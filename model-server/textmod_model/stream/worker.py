"""The stream's loop: read, judge, write, and only then say that it was read.

One process, one consumer, one core. The loop takes what is there and doesn't wait for more, so
batches are small when idle and grow by themselves under load. A message goes one way, from the
consumer through the judge to the delivery; the worker alone knows them all.
"""

import logging
import math
import time
from collections.abc import Collection
from threading import Event

from textmod_model import budget
from textmod_model.errors import StreamError
from textmod_model.formats.message import RegistryUnavailable
from textmod_model.health import Health
from textmod_model.settings import Settings
from textmod_model.stream.brake import ModelBrokenError
from textmod_model.stream.consumer import GroupConsumer
from textmod_model.stream.delivery.contract import Delivery
from textmod_model.stream.judge import Judge
from textmod_model.stream.kafka import KafkaException
from textmod_model.stream.observer import Observer
from textmod_model.stream.records import Batch, Message

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5
STEP_SECONDS = 0.1
HOLD_AFTER_SECONDS = 1.0
BLOCKED_AFTER_SECONDS = 5.0
"""Brokers acknowledge within milliseconds; a change of leader takes a second or two."""

JUDGE_RETRY_SECONDS = 1.0
"""Between two tries of a model that is broken, or of a schema registry that does not answer."""

UNJUDGED = (ModelBrokenError, RegistryUnavailable)

REVOKE_SECONDS = 10.0
LEAVE_SECONDS = 3.0
"""Of the time to stop, what leaving the group takes."""

BUSY_TURNS = 4
"""After so many fetches in a row that found messages waiting, a batch may wait to fill."""


class Worker:
    """Runs the stream until `stop` is set."""

    def __init__(
        self,
        settings: Settings,
        consumer: GroupConsumer,
        *,
        judge: Judge,
        delivery: Delivery,
        observer: Observer,
        health: Health,
        cores: float = 1.0,
    ) -> None:
        """Take the parts; `cores` is the container's CPU limit, infinite without one."""
        self._settings = settings
        self._cores = cores
        self._consumer = consumer
        self._judge = judge
        self._delivery = delivery
        self._observer = observer
        self._health = health
        self._linger = settings.batch_max_wait_milliseconds / 1000
        self._busy_turns = 0
        self._deadline = math.inf
        self._in_hand: list[Message] = []
        """Read, and not judged yet."""

    def run(self, stop: Event) -> bool:
        """Turn until `stop` is set, then finish what is in flight and leave the group.

        Returns whether everything read was delivered; what was not is read again by the next.
        Raises StreamError if Kafka took the stream away. However it ends, the member leaves the
        group, so that others go on at once.
        """
        try:
            while not stop.is_set() and not self._delivery.prepare():
                self._note_turn()
            while not stop.is_set():
                self.turn(stop)
        except BaseException as error:
            self._deadline = -math.inf  # nothing more will settle
            self._consumer.close(self)
            if isinstance(error, KafkaException):
                raise StreamError(f"Kafka's client failed: {error.args[0].str()}.") from error
            raise
        log.info("stopping: finish what is in flight")
        self._health.stopping = True
        self._deadline = time.monotonic() + self._settings.shutdown_seconds - LEAVE_SECONDS
        self._write_rest(None)
        settled = self._settle_until(self._deadline) and not self._in_hand
        self._consumer.close(self)
        self._delivery.close()
        return settled

    def turn(self, stop: Event) -> None:
        """Read a batch, judge it, start writing it, and collect what is written."""
        self._note_turn()
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
        self._health.patience = budget.scoring_seconds(sum(map(len, messages)), self._cores)
        batch = self._judged(messages, stop)
        if batch is None:
            return
        self._delivery.submit(batch)
        worked = time.monotonic() - began
        more = self._consumer.more_waits
        if self._delivery.full:
            self._settle(stop)
        else:
            self._advance(0)
        waited = time.monotonic() - began - worked
        self._consumer.speed.note(
            len(messages), worked + min(waited, HOLD_AFTER_SECONDS), more_waits=more
        )

    # --- revocation -------------------------------------------------------------------------------

    def before_revoke(self, partitions: set[int]) -> None:
        """Finish what is in flight before partitions go to another consumer."""
        self._write_rest(partitions)
        self._settle_until(min(self._deadline, time.monotonic() + REVOKE_SECONDS))

    def after_revoke(self, partitions: set[int]) -> None:
        """Give up what could not be finished."""
        self._delivery.forget(partitions)
        self._judge.forget(partitions)
        self._in_hand = [one for one in self._in_hand if one.partition() not in partitions]

    def _write_rest(self, partitions: Collection[int] | None) -> None:
        rest = self._judge.rest(partitions)
        if rest is not None:
            self._delivery.submit(rest)

    # --- steps ------------------------------------------------------------------------------------

    def _judged(self, messages: list[Message], stop: Event) -> Batch | None:
        """Judge messages; while that fails for none of their faults, hold them and try again.

        None if `stop` is set meanwhile, or if all of them were taken away.
        """
        try:
            return self._judge.judge(messages)
        except UNJUDGED as error:
            self._in_hand = messages
            self._block(str(error))
        retry_at = time.monotonic() + JUDGE_RETRY_SECONDS
        while self._in_hand and not stop.wait(0 if self._delivery.busy else STEP_SECONDS):
            self._health.last_turn = time.monotonic()
            self._collect(STEP_SECONDS)
            self._consumer.hold(self)
            if time.monotonic() < retry_at:
                continue
            retry_at = time.monotonic() + JUDGE_RETRY_SECONDS
            try:
                batch = self._judge.judge(self._in_hand)
            except UNJUDGED as error:
                self._block(str(error))
                continue
            self._in_hand = []
            self._unblock()
            return batch
        if not self._in_hand:
            self._unblock()
        return None

    def _advance(self, wait: float) -> bool:
        """Collect what is written and start writing what waits; tells whether nothing is left."""
        self._collect(wait)
        self._delivery.write()
        return not self._delivery.busy

    def _collect(self, wait: float) -> None:
        done = self._delivery.collect(wait)
        if not done:
            return
        offsets: dict[int, int] = {}
        for batch in done:
            offsets |= batch.next_offsets()
        self._consumer.store(offsets)
        self._observer.done(done)

    def _settle(self, stop: Event) -> None:
        """Wait until all is written; reading nothing, but staying in the group, if that is long."""
        began = time.monotonic()
        while self._delivery.busy and not self._advance(STEP_SECONDS):
            self._note_turn()
            waited = time.monotonic() - began
            if stop.is_set():
                return
            if waited > HOLD_AFTER_SECONDS:
                self._consumer.hold(self)
            if waited > BLOCKED_AFTER_SECONDS and self._health.blocked is None:
                self._block(self._unacknowledged())
        self._unblock()

    def _settle_until(self, deadline: float) -> bool:
        while self._delivery.busy:
            if time.monotonic() > deadline:
                return False
            self._advance(STEP_SECONDS)
        return True

    # --- health -----------------------------------------------------------------------------------

    def _note_turn(self) -> None:
        self._health.last_turn = time.monotonic()
        self._health.patience = 0.0
        if self._delivery.blocked is not None:
            self._block(self._delivery.blocked)

    def _unacknowledged(self) -> str:
        topics = " and ".join(self._settings.written_topics)
        seen, error = self._health.kafka_seen, self._health.kafka_error
        gone = seen is None or time.monotonic() - seen > BLOCKED_AFTER_SECONDS
        why = f": {error}" if gone and error else ""
        return f"The brokers of {topics} acknowledge nothing{why}."

    def _block(self, sentence: str) -> None:
        if self._health.blocked != sentence:
            log.error("%s Nothing is consumed meanwhile.", sentence)
        self._health.blocked = sentence

    def _unblock(self) -> None:
        self._health.blocked = None
        self._consumer.resume()
