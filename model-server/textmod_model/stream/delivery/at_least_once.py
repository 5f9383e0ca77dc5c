"""At least once: a batch is done when all of its records are acknowledged."""

import logging
import time
from collections import deque

from textmod_model.stream.delivery.writer import Failure, Writer
from textmod_model.stream.kafka import Fault, fault_of, is_consequence
from textmod_model.stream.records import Batch

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
BATCHES_IN_FLIGHT = 4
"""Scored, and not yet collected."""

LOOK_SECONDS = 5.0
"""Between two looks at the topics while what was written is not acknowledged."""


class AtLeastOnce:
    """Writes what waits together, once all before it is acknowledged.

    librdkafka would take each batch at once, but its idempotent producer turns without a pause,
    a whole core of it, for as long as messages wait behind unacknowledged ones (2.16; ever more
    with slower brokers).

    After a failure records are written one by one, in the order in which they were read. The client
    is gapless: behind a record that is not written it writes no other.
    """

    def __init__(self, writer: Writer) -> None:
        self.blocked: str | None = None
        self._writer = writer
        self._in_flight: list[Batch] = []
        self._waiting: list[Batch] = []
        self._again: deque[Failure] = deque()
        """To be written one by one, in the order in which they were read."""
        self._retry_at = 0.0
        self._look_at = 0.0
        """When what is on its way has been so for too long."""

    @property
    def busy(self) -> bool:
        return bool(self._in_flight or self._waiting)

    @property
    def full(self) -> bool:
        failed = self._writer.failures or self._again
        return len(self._in_flight) + len(self._waiting) >= BATCHES_IN_FLIGHT or bool(failed)

    def prepare(self) -> bool:
        return True

    def submit(self, batch: Batch) -> None:
        self._waiting.append(batch)

    def write(self) -> None:
        if not self._opened(0):
            return
        if self._again:
            self._write_next()
        elif self._waiting and not self._in_flight:
            self._writer.refresh(time.monotonic())
            if not self._writer.routed:
                return
            if not self._current():
                return
            self._in_flight, self._waiting = self._waiting, []
            self._look_at = time.monotonic() + LOOK_SECONDS
            self._write_in_flight()

    def collect(self, wait: float) -> list[Batch]:
        if not self._opened(wait):
            return []
        if not self._in_flight:
            if self._waiting and not self._writer.routed:
                self._writer.producer.poll(wait)
            return []
        pause = self._retry_at - time.monotonic()
        if self._again and pause > 0:
            self._writer.producer.poll(min(wait, pause))
            return []
        if self._writer.flush(wait):
            self._look()
            return []
        if self._writer.failures:
            self._sort_failures()
        elif self._again:
            self.blocked = None  # the record that was written again is there
        if self._again:
            return []
        done, self._in_flight = self._in_flight, []
        self.blocked = None
        return done

    def forget(self, partitions: set[int]) -> None:
        for batch in (*self._in_flight, *self._waiting):
            batch.lost.update(partitions)

    def close(self) -> None:
        self._writer.producer.purge()
        self._writer.flush(1)

    def _opened(self, wait: float) -> bool:
        """Whether there is a producer to write with; wait up to `wait` seconds for it."""
        opened = self._writer.opened(wait)
        self.blocked = self._writer.unopened or self.blocked
        return opened

    def _current(self) -> bool:
        """Whether the producer is fit for the topics as they are; if not, another is opened."""
        if self._writer.outdated:
            self._writer.reopen()
        return self._opened(0)

    def _look(self) -> None:
        """See whether what is not acknowledged is meant for a topic that is gone."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        self._writer.look()
        self._current()

    def _write_in_flight(self) -> None:
        """Hand over all records; behind one that can't be handed over, all is for later."""
        for number, batch in enumerate(self._in_flight):
            for index in range(len(batch.records)):
                if not self._writer.write(batch, index, alone=False):
                    self._fail_rest(batch, index + 1)
                    for later in self._in_flight[number + 1 :]:
                        self._fail_rest(later, 0)
                    return

    def _fail_rest(self, batch: Batch, start: int) -> None:
        """Leave the rest of a batch for later, behind the record that could not be handed over."""
        reason = self._writer.failures[-1].error
        for index in range(start, len(batch.records)):
            self._writer.failures.append(Failure(batch, index, reason, alone=False))

    def _sort_failures(self) -> None:
        """Queue what failed for another try, before what is queued already."""
        failures, self._writer.failures = self._writer.failures, []
        order = {id(batch): number for number, batch in enumerate(self._in_flight)}
        failures.sort(key=lambda failure: (order[id(failure.batch)], failure.index))
        fatal = None
        for failure in failures:
            fault = fault_of(failure.error)
            if fault is Fault.CLIENT:
                fatal = failure.error
            elif fault is Fault.RECORD and failure.alone:
                if not self._writer.replace(failure):
                    self._block(failure)
            elif fault is Fault.TOPIC and not is_consequence(failure.error):
                self._block(failure)
        self._again.extendleft(reversed(failures))
        if fatal is not None and self._opened(0):
            log.warning("producer failed fatally (%s); recreating it", fatal.str())
            self._writer.reopen()

    def _block(self, failure: Failure) -> None:
        topic = self._writer.topic_of(failure)
        self.blocked = f"The topic {topic} can't be written: {failure.error.str()}."
        self._retry_at = time.monotonic() + RETRY_SECONDS

    def _write_next(self) -> None:
        """Write the next queued record, alone, so that what fails is known to be that one."""
        if self._retry_at > time.monotonic() or self._writer.failures or len(self._writer.producer):
            return
        if self.blocked:
            self._writer.refresh(time.monotonic(), force=True)
        if not self._current():
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        failure = self._again.popleft()
        self._writer.write(failure.batch, failure.index, alone=True)
