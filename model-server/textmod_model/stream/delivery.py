"""Writing batches so that nothing is lost: at least once, or exactly once in transactions.

Both deliveries are used alike. `submit` takes a batch and returns; `settle` says whether everything
submitted is on the broker, waiting a little for it. Only then are offsets stored. While some are on
their way the next batches are read and scored: librdkafka's threads need no Python.

What can't be written is never dropped:

- a record that its topic refuses (too large, a time stamp out of range) becomes a dead letter;
  a dead letter refused likewise is written without the original, which its headers point to;
- a topic that can't be written stops the stream: `settle` keeps saying no, health says why, and
  the records are written again, in order, until it heals.
"""

import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from textmod_model.errors import StreamError
from textmod_model.formats.message import Refused
from textmod_model.health import Health
from textmod_model.settings import Settings
from textmod_model.stream.consumer import GroupConsumer
from textmod_model.stream.judge import Batch, Judge, Record
from textmod_model.stream.kafka import (
    Fault,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
    fault_of,
    is_rebalance,
    partition_counts,
)

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
REBALANCE_SECONDS = 0.2
ROUTES_SECONDS = 60.0
BATCHES_IN_FLIGHT = 4
"""Scored, and not yet settled."""
TRANSACTION_BATCHES = 16
CALL_SECONDS = 5.0
"""How long one blocking call to the transaction coordinator may take before it's tried again."""

STUCK_SECONDS = 4 * CALL_SECONDS
"""When a call that should have given up long ago never will: librdkafka 2.16 can lose track of
send_offsets_to_transaction if the coordinator dies under it (seen with SIGKILL of the broker)."""

Done = Callable[[Sequence[Batch]], None]
Report = Callable[[KafkaError | None, object], None]


class Delivery(Protocol):
    """What the worker's loop asks of either delivery."""

    @property
    def busy(self) -> bool:
        """Whether anything submitted is not settled."""
        ...

    @property
    def full(self) -> bool:
        """Whether to settle before the next batch is submitted."""
        ...

    def prepare(self) -> bool:
        """Do what has to be done before the first message is read; False if it's to be tried again.

        Raises StreamError if it never will be.
        """
        ...

    def submit(self, batch: Batch) -> None:
        """Take a batch, to be written at once or when what is on its way is acknowledged."""
        ...

    def settle(self, wait: float) -> bool:
        """Tell whether all is written and its offsets are safe; wait up to `wait` seconds for it.

        Raises StreamError if another process has taken this one's place.
        """
        ...

    def forget(self, partitions: set[int]) -> None:
        """Give up what is left of partitions that went to another consumer."""
        ...

    def close(self) -> None:
        """Stop; what is not settled stays unwritten or uncommitted."""
        ...


@dataclass(slots=True)
class Failure:
    """A record that was not written."""

    batch: Batch
    index: int
    error: KafkaError
    alone: bool
    """It was the only record on its way, so the error is about no other."""


class Writer:
    """What both deliveries share: a producer, where records go, and what failed."""

    def __init__(
        self, settings: Settings, open_producer: Callable[[], Producer], judge: Judge
    ) -> None:
        self._settings = settings
        self._open_producer = open_producer
        self._judge = judge
        self._same_partition = False
        self._routes_until = 0.0
        self.producer = open_producer()
        self.failures: list[Failure] = []

    def write(self, batch: Batch, index: int, *, alone: bool) -> bool:
        """Hand one record to the producer; False if it was refused on the spot."""
        record = batch.records[index]
        if not batch.holds(record):
            return True
        try:
            self._produce(record, functools.partial(self._report, batch, index, alone))
        except KafkaException as exception:
            self._report(batch, index, True, exception.args[0], None)
            return False
        except BufferError:
            full = KafkaError(KafkaError._QUEUE_FULL)  # noqa: SLF001 - librdkafka's name
            self._report(batch, index, alone, full, None)
            return False
        return True

    def replace(self, failure: Failure) -> bool:
        """Put a smaller record in the place of a refused one; False if there is none smaller."""
        batch, index = failure.batch, failure.index
        record = batch.records[index]
        if record.bare:
            return False
        if record.refused is None:
            refused = Refused(
                "OutputRefused", f"the output topic refuses the verdict: {failure.error.str()}."
            )
            replacement = self._judge.dead_letter(record.source, refused)
        else:
            replacement = self._judge.empty_dead_letter(record.source, record.refused)
        # A refused time stamp would be refused again; the original's is in the headers.
        batch.records[index] = replacement._replace(milliseconds=None)
        return True

    def topic_of(self, failure: Failure) -> str:
        """The topic that the failed record was for."""
        return self._topic(failure.batch.records[failure.index])

    def refresh_routes(self, now: float, *, force: bool = False) -> None:
        """Learn anew whether input and output have as many partitions; now and then is enough."""
        if now < self._routes_until and not force:
            return
        names = (self._settings.input_topic, self._settings.output_topic)
        try:
            counts = partition_counts(self.producer, names)
        except KafkaException as exception:
            log.warning("Asking for the topics' partitions: %s.", exception.args[0].str())
            return
        self._same_partition = counts[names[0]] == counts[names[1]]
        self._routes_until = now + ROUTES_SECONDS

    def reopen(self) -> None:
        """Replace a producer that is finished; what it still had comes back as failures."""
        self.producer.purge()
        self.producer.flush(CALL_SECONDS)
        self.producer = self._open_producer()

    def _produce(self, record: Record, report: Report) -> None:
        partition = -1
        if record.refused is None and self._same_partition:
            partition = record.source.partition() or 0
        try:
            self._hand_over(record, partition, report)
        except KafkaException as exception:
            # The input grew and the output has yet to.
            if exception.args[0].code() != KafkaError._UNKNOWN_PARTITION:  # noqa: SLF001
                raise
            self._same_partition = False
            self._hand_over(record, -1, report)

    def _hand_over(self, record: Record, partition: int, report: Report) -> None:
        self.producer.produce(
            self._topic(record),
            record.value,
            record.key,
            partition,
            on_delivery=report,
            timestamp=record.milliseconds or 0,
            headers=record.headers,
        )

    def _topic(self, record: Record) -> str:
        if record.refused is None:
            return self._settings.output_topic
        return self._settings.dead_letter_topic

    def _report(
        self, batch: Batch, index: int, alone: bool, error: KafkaError | None, _message: object
    ) -> None:
        """Take a delivery report; with `delivery.report.only.error` there are no others."""
        if error is not None:
            self.failures.append(Failure(batch, index, error, alone))


class AtLeastOnce:
    """Stores offsets when everything up to there is acknowledged.

    What is scored while batches are on their way waits for their acknowledgement and then goes
    together. librdkafka would take it at once, but its idempotent producer turns without a pause,
    a whole core of it, for as long as messages wait behind unacknowledged ones (2.16; ever more
    with slower brokers).
    """

    def __init__(self, writer: Writer, source: GroupConsumer, health: Health, done: Done) -> None:
        self._writer = writer
        self._source = source
        self._health = health
        self._done = done
        self._in_flight: list[Batch] = []
        self._waiting: list[Batch] = []
        self._again: deque[Failure] = deque()
        """To be written one by one, in the order in which they were read."""
        self._retry_at = 0.0

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
        if not self._in_flight:
            self._write_waiting()

    def settle(self, wait: float) -> bool:
        producer = self._writer.producer
        if producer.flush(wait):
            return False
        if self._writer.failures:
            self._sort_failures()
        if self._again:
            self._write_next(wait)
            return False
        self._source.store(self._offsets())
        done, self._in_flight = self._in_flight, []
        self._done(done)
        self._health.blocked = None
        self._write_waiting()
        return not self.busy

    def forget(self, partitions: set[int]) -> None:
        for batch in (*self._in_flight, *self._waiting):
            batch.lost.update(partitions)

    def close(self) -> None:
        self._writer.producer.purge()
        self._writer.producer.flush(1)

    def _write_waiting(self) -> None:
        """Start writing what waits; behind a record that can't be handed over, all is for later."""
        self._in_flight, self._waiting = self._waiting, []
        if self._in_flight:
            self._writer.refresh_routes(time.monotonic())
        for number, batch in enumerate(self._in_flight):
            for index in range(len(batch.records)):
                if not self._writer.write(batch, index, alone=False):
                    self._fail_rest(batch, index + 1)
                    for later in self._in_flight[number + 1 :]:
                        self._fail_rest(later, 0)
                    return

    def _offsets(self) -> dict[int, int]:
        offsets: dict[int, int] = {}
        for batch in self._in_flight:
            offsets |= batch.next_offsets()
        return offsets

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
        finished = False
        for failure in failures:
            fault = fault_of(failure.error)
            finished |= fault is Fault.CLIENT
            if fault is Fault.RECORD and failure.alone and not self._writer.replace(failure):
                fault = Fault.TOPIC
            if fault is Fault.TOPIC:
                self._block(failure)
        self._again.extendleft(reversed(failures))
        if finished:
            log.warning("The producer is finished (%s); opening another.", failures[0].error.str())
            self._writer.reopen()

    def _block(self, failure: Failure) -> None:
        topic = self._writer.topic_of(failure)
        sentence = f"The topic {topic} can't be written: {failure.error.str()}."
        if self._health.blocked != sentence:
            log.error("%s Nothing is consumed until it can.", sentence)
        self._health.blocked = sentence
        self._retry_at = time.monotonic() + RETRY_SECONDS

    def _write_next(self, wait: float) -> None:
        """Write the next queued record, alone, so that what fails is known to be that one."""
        pause = self._retry_at - time.monotonic()
        if pause > 0:
            self._writer.producer.poll(min(wait, pause))
            return
        if self._health.blocked:
            self._writer.refresh_routes(time.monotonic(), force=True)
        failure = self._again.popleft()
        self._writer.write(failure.batch, failure.index, alone=True)


class ExactlyOnce:
    """Writes batches and their offsets in transactions; commits one while the next is scored.

    A transaction takes in all that was scored while the last one was committed (a commit costs
    tens of milliseconds of waiting and little else), so transactions grow with the load.
    """

    def __init__(self, writer: Writer, source: GroupConsumer, health: Health, done: Done) -> None:
        self._writer = writer
        self._source = source
        self._health = health
        self._done = done
        self._waiting: list[Batch] = []
        self._open: list[Batch] = []
        self._commit: Future[None] | None = None
        self._call_began = 0.0
        self._careful = False
        """After a refusal: one record at a time, so that the one refused is known."""
        self._retry_at = 0.0
        self._stopping = False

    @property
    def busy(self) -> bool:
        return bool(self._open or self._waiting)

    @property
    def full(self) -> bool:
        return len(self._waiting) >= TRANSACTION_BATCHES

    def prepare(self) -> bool:
        """Fence a predecessor with our transactional id and abort what it left open.

        Until then its offsets are pending, and nobody could read on from them.
        """
        try:
            self._writer.producer.init_transactions(CALL_SECONDS)
        except KafkaException as exception:
            error = exception.args[0]
            if error.fatal():
                raise StreamError(f"Kafka refuses transactions: {error.str()}.") from None
            self._block(None, error)
            return False
        self._health.blocked = None
        self._retry_at = 0.0
        return True

    def submit(self, batch: Batch) -> None:
        self._waiting.append(batch)

    def settle(self, wait: float) -> bool:
        if self._commit is None:
            self._begin(wait)
        if self._commit is not None:
            self._finish(wait)
        return not self.busy

    def forget(self, partitions: set[int]) -> None:
        for batch in (*self._open, *self._waiting):
            batch.lost.update(partitions)

    def close(self) -> None:
        self._stopping = True

    def _begin(self, wait: float) -> None:
        """Open a transaction with all that waits and set its commit going."""
        pause = self._retry_at - time.monotonic()
        if pause > 0:
            self._writer.producer.poll(min(wait, pause))
            return
        if not self._waiting:
            return
        self._writer.refresh_routes(time.monotonic(), force=self._health.blocked is not None)
        self._open, self._waiting = self._waiting, []
        self._writer.producer.begin_transaction()
        offsets: dict[int, int] = {}
        for batch in self._open:
            offsets |= batch.next_offsets()
            if not self._write(batch):
                break
        self._commit = self._in_background(
            self._writer.producer,
            self._source.topic_partitions(offsets),
            self._source.group_metadata(),
        )

    def _in_background(
        self, producer: Producer, offsets: list[TopicPartition], group: object
    ) -> Future[None]:
        """Commit on a thread that, unlike a pool's, doesn't keep a process from ending."""
        outcome: Future[None] = Future()

        def commit() -> None:
            try:
                self._transact(producer, offsets, group)
            except BaseException as error:  # noqa: BLE001 - all of it is the waiting thread's
                outcome.set_exception(error)
            else:
                outcome.set_result(None)

        self._call_began = time.monotonic()
        threading.Thread(target=commit, name="commit", daemon=True).start()
        return outcome

    def _write(self, batch: Batch) -> bool:
        """Hand a batch to the producer; False once the transaction can only be aborted."""
        writer = self._writer
        for index in range(len(batch.records)):
            written = writer.write(batch, index, alone=self._careful)
            while not written and self._replaced_on_the_spot():
                written = writer.write(batch, index, alone=self._careful)
            if self._careful:
                writer.producer.flush(CALL_SECONDS)
            if writer.failures:
                return False
        return True

    def _replaced_on_the_spot(self) -> bool:
        """Replace a record that the client itself refuses; nothing was sent, so nothing aborts."""
        failures = self._writer.failures
        if fault_of(failures[-1].error) is not Fault.RECORD:
            return False
        return self._writer.replace(failures[-1]) and failures.pop() is not None

    def _transact(self, producer: Producer, offsets: list[TopicPartition], group: object) -> None:
        """Commit, or abort and raise; runs on a thread of its own, which only waits."""
        error = self._writer.failures[0].error if self._writer.failures else None
        if error is None:
            try:
                if offsets:
                    self._persist(producer.send_offsets_to_transaction, offsets, group)
                self._persist(producer.commit_transaction)
            except KafkaException as exception:
                error = exception.args[0]
        if error is None:
            return
        if not error.fatal():
            self._persist(producer.abort_transaction)
        raise KafkaException(error)

    def _persist(self, call: Callable[..., object], *arguments: object) -> None:
        """Repeat a call for as long as the broker may yet answer it."""
        while True:
            self._call_began = time.monotonic()
            try:
                call(*arguments, CALL_SECONDS)
            except KafkaException as exception:
                if self._stopping or not exception.args[0].retriable():
                    raise
            else:
                return

    def _finish(self, wait: float) -> None:
        """Take the commit's outcome, if it is there."""
        assert self._commit is not None  # noqa: S101 - for the type checker; settle looked
        try:
            self._commit.result(timeout=wait)
        except TimeoutError:
            if time.monotonic() - self._call_began > STUCK_SECONDS:
                raise StreamError(
                    "Kafka's client is stuck in a transaction; a new process has to take over."
                ) from None
            return
        except KafkaException as exception:
            self._commit = None
            self._redo(exception.args[0])
            return
        self._commit = None
        done, self._open = self._open, []
        for batch in done:
            self._source.store(batch.next_offsets())
        self._done(done)
        self._careful = False
        self._health.blocked = None
        self._begin(0)

    def _redo(self, error: KafkaError) -> None:
        """After an abort: nothing of the transaction counts, so write it all again."""
        if error.fatal():
            raise StreamError(f"Another process has this one's place in Kafka: {error.str()}.")
        failures, self._writer.failures = self._writer.failures, []
        refused = [f for f in failures if fault_of(f.error) is Fault.RECORD]
        if refused and all(self._writer.replace(f) for f in refused if f.alone):
            self._careful = True
        elif is_rebalance(error):
            log.info("A rebalance aborted the transaction (%s); it is tried again.", error.str())
            self._retry_at = time.monotonic() + REBALANCE_SECONDS
        else:
            self._block(next((f for f in failures if not _is_consequence(f.error)), None), error)
        self._waiting = self._open + self._waiting
        self._open = []

    def _block(self, failure: Failure | None, error: KafkaError) -> None:
        if failure is None:
            sentence = f"No transaction can be committed: {error.str()}."
        else:
            topic = self._writer.topic_of(failure)
            sentence = f"The topic {topic} can't be written: {failure.error.str()}."
        if self._health.blocked != sentence:
            log.error("%s Nothing is consumed until it can.", sentence)
        self._health.blocked = sentence
        self._retry_at = time.monotonic() + RETRY_SECONDS


def _is_consequence(error: KafkaError) -> bool:
    """Tell whether a record failed only because the transaction around it was given up."""
    return error.code() in {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}  # noqa: SLF001
