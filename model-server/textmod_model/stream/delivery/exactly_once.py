"""Exactly once: batches and their offsets in Kafka transactions."""

import functools
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Protocol

from textmod_model.errors import StreamError
from textmod_model.stream.delivery.writer import CALL_SECONDS, Failure, Writer
from textmod_model.stream.kafka import (
    Fault,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
    fault_of,
    is_consequence,
    is_rebalance,
)
from textmod_model.stream.records import Batch

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
REBALANCE_SECONDS = 0.2
TRANSACTION_BATCHES = 16

STUCK_SECONDS = 4 * CALL_SECONDS
"""When a call that should have given up long ago never will: librdkafka 2.16 can lose track of
send_offsets_to_transaction if the coordinator dies under it (seen with SIGKILL of the broker)."""


class Offsets(Protocol):
    """What a transaction needs of the consumer: its offsets, and who it is in the group."""

    def topic_partitions(self, offsets: dict[int, int]) -> list[TopicPartition]:
        """Return the offsets of partitions that are still ours, as the client takes them."""
        ...

    def confirm(self, partitions: set[int]) -> bool:
        """Give up partitions that another member read on; return False while that is unknown."""
        ...

    def group_metadata(self) -> object:
        """Return this member's identity in the group."""
        ...


class ExactlyOnce:
    """Commits one transaction while the batches of the next are scored.

    A transaction takes in all that was scored while the last one was committed (a commit costs
    tens of milliseconds of waiting and little else), so transactions grow with the load.
    """

    def __init__(self, writer: Writer, offsets: Offsets) -> None:
        self.blocked: str | None = None
        self._writer = writer
        self._offsets = offsets
        self._prepared = False
        self._preparing: Future[None] | None = None
        """Of a client that took another's place; the first is prepared before anything is read."""
        self._aborted = False
        """Whether this client aborted a transaction: it begins no other."""
        self._waiting: list[Batch] = []
        self._open: list[Batch] = []
        self._commit: Future[None] | None = None
        self._call_began = 0.0
        self._careful = 0
        """Batches to be written one record at a time: one of theirs was refused, and which is not
        known."""
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

        Until then its offsets are pending, and nobody could read on from them. After an error it
        pauses: not every refusal takes the call's time.
        """
        pause = self._retry_at - time.monotonic()
        if pause > 0:
            self._writer.producer.poll(pause)
        try:
            self._writer.producer.init_transactions(CALL_SECONDS)
        except KafkaException as exception:
            self._refuse_transactions(exception.args[0])
            return False
        self.blocked = None
        self._retry_at = 0.0
        self._prepared = True
        return True

    def submit(self, batch: Batch) -> None:
        self._waiting.append(batch)

    def write(self) -> None:
        """Open a transaction with all that waits and set its commit going."""
        if self._commit is not None or not self._waiting or self._retry_at > time.monotonic():
            return
        if not self._ready(0):
            return
        self._writer.refresh(time.monotonic(), force=self.blocked is not None)
        if not self._writer.routed:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            return
        if self._aborted or self._writer.outdated:
            self._reopen()
        if not self._ready(0):
            return
        if not self._offsets.confirm({p for batch in self._waiting for p in batch.next_offsets()}):
            self._retry_at = time.monotonic() + REBALANCE_SECONDS
            return
        # One batch while it is not known which record is refused: the others need not wait for it.
        count = 1 if self._careful else len(self._waiting)
        self._open, self._waiting = self._waiting[:count], self._waiting[count:]
        self._writer.producer.begin_transaction()
        offsets: dict[int, int] = {}
        for batch in self._open:
            offsets |= batch.next_offsets()
            if not self._write(batch):
                break
        self._commit = self._commit_in_background(
            self._writer.producer,
            self._offsets.topic_partitions(offsets),
            self._offsets.group_metadata(),
        )

    def collect(self, wait: float) -> list[Batch]:
        """Take the commit's outcome, if it is there."""
        if self._commit is None:
            if not self._ready(wait):
                return []
            pause = self._retry_at - time.monotonic()
            if self._waiting and pause > 0:
                self._writer.producer.poll(min(wait, pause))
            return []
        try:
            self._commit.result(timeout=wait)
        except TimeoutError:
            self._check_stuck()
            return []
        except KafkaException as exception:
            self._commit = None
            self._redo(exception.args[0])
            return []
        self._commit = None
        done, self._open = self._open, []
        self._careful = max(0, self._careful - len(done))
        self.blocked = None
        return done

    def forget(self, partitions: set[int]) -> None:
        for batch in (*self._open, *self._waiting):
            batch.lost.update(partitions)

    def close(self) -> None:
        self._stopping = True

    # --- one transaction --------------------------------------------------------------------------

    def _write(self, batch: Batch) -> bool:
        """Hand a batch to the producer; False once the transaction can only be aborted."""
        writer = self._writer
        for index in range(len(batch.records)):
            if not writer.write(batch, index, alone=bool(self._careful)):
                return False
            if self._careful and writer.flush(CALL_SECONDS) and not writer.failures:
                # Not acknowledged is not refused: no record is to blame.
                slow = KafkaError(KafkaError._TIMED_OUT)  # noqa: SLF001 - librdkafka's name
                writer.failures.append(Failure(batch, index, slow, alone=False))
            if writer.failures:
                return False
        return True

    def _commit_in_background(
        self, producer: Producer, offsets: list[TopicPartition], group: object
    ) -> Future[None]:
        """Commit on a thread of its own."""
        self._call_began = time.monotonic()
        commit = functools.partial(self._transact, producer, offsets, group)
        return self._writer.background(commit, "commit")

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

    # --- after an abort ---------------------------------------------------------------------------

    def _redo(self, error: KafkaError) -> None:
        """Nothing of the aborted transaction counts, so write it all again."""
        if error.fatal():
            raise StreamError(
                "Another process has this one's place in Kafka, or a transaction took longer than"
                f" the broker allows: {error.str()}."
            )
        failures, self._writer.failures = self._writer.failures, []
        self._aborted = True
        refused = [f for f in failures if fault_of(f.error) is Fault.RECORD]
        if refused and all(self._writer.replace(f) for f in refused if f.alone):
            self._careful = max(self._careful, len(self._open))
            self._writer.refresh(time.monotonic(), force=True)
        elif is_rebalance(error):
            log.info("a rebalance aborted the transaction (%s); retrying", error.str())
            self._retry_at = time.monotonic() + REBALANCE_SECONDS
        else:
            self._block(next((f for f in failures if not is_consequence(f.error)), None), error)
        self._waiting = self._open + self._waiting
        self._open = []

    def _reopen(self) -> None:
        """Open a new client, which gets an epoch of its own.

        Behind an aborted transaction librdkafka 2.16 may go on in the same epoch. When answers were
        lost, offsets were once committed without the verdicts that were written again behind two
        aborted transactions: writes with the sequence numbers of aborted ones pass for repetitions
        of them. In an epoch of its own none can.
        """
        self._writer.reopen()
        self._writer.failures = []  # of what the old client still had
        self._prepared = self._aborted = False

    def _ready(self, wait: float) -> bool:
        """Whether the client may begin a transaction; wait up to `wait` seconds for it.

        A client that took another's place is opened and prepared in the background: both take
        seconds while brokers or the coordinator do not answer, and the consumer must go on.
        """
        if not self._writer.opened(wait):
            self.blocked = self._writer.unopened or self.blocked
            return False
        if self._prepared or self._retry_at > time.monotonic():
            return True
        if self._preparing is None:
            self._call_began = time.monotonic()
            self._preparing = self._writer.background(
                functools.partial(self._writer.producer.init_transactions, CALL_SECONDS),
                "init transactions",
            )
        if not wait_for([self._preparing], wait).done:
            self._check_stuck()
            return False
        outcome, self._preparing = self._preparing, None
        error = outcome.exception()
        if isinstance(error, KafkaException):
            self._refuse_transactions(error.args[0])
            return False
        outcome.result()
        self._prepared = True
        return True

    def _check_stuck(self) -> None:
        if time.monotonic() - self._call_began > STUCK_SECONDS:
            raise StreamError(
                "Kafka's client is stuck in a transaction; a new process has to take over."
            ) from None

    def _refuse_transactions(self, error: KafkaError) -> None:
        if error.fatal():
            raise StreamError(f"Kafka refuses transactions: {error.str()}.") from None
        self._block(None, error)

    def _block(self, failure: Failure | None, error: KafkaError) -> None:
        if failure is None:
            self.blocked = f"No transaction can be committed: {error.str()}."
        else:
            topic = self._writer.topic_of(failure)
            self.blocked = f"The topic {topic} can't be written: {failure.error.str()}."
        self._retry_at = time.monotonic() + RETRY_SECONDS
