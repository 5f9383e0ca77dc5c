"""The producer, where records go, what their topics take, and what failed: for both deliveries."""

import functools
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import Protocol

from textmod_model.errors import ConfigurationError
from textmod_model.formats.message import Refused
from textmod_model.settings import Settings
from textmod_model.stream.background import Background, in_background
from textmod_model.stream.delivery.rules import TopicRules, record_size
from textmod_model.stream.kafka import (
    KafkaError,
    KafkaException,
    Producer,
    partition_counts,
)
from textmod_model.stream.kafka_config import PRODUCER_BATCH_BYTES
from textmod_model.stream.letters import DeadLetters
from textmod_model.stream.records import Batch, Record

log = logging.getLogger(__name__)

ROUTES_SECONDS = 60.0
LOOKUP_RETRY_SECONDS = 1.0
OPEN_RETRY_SECONDS = 1.0
CALL_SECONDS = 5.0
"""How long one blocking call to the transaction coordinator may take before it's tried again."""

RULES_SECONDS = 2.0
"""How long the first record waits for what is known of the topics. Without it, such as without the
permission to describe them, brokers refuse what they don't take, which costs more."""

BATCH_MARGIN = 256

_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)

Report = Callable[[KafkaError | None, object], None]
OpenProducer = Callable[[int], Producer]
"""Takes the most bytes of a producer's batch."""


class RulesLookup(Protocol):
    """Asks the brokers what topics take, in the background."""

    def ask(self) -> None:
        """Send the request, if none is on its way."""
        ...

    def answer(self, wait: float) -> Mapping[str, TopicRules] | None:
        """Return the rules by topic, those that are known; None while there is no answer."""
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
    """Hands records to a producer."""

    def __init__(
        self,
        settings: Settings,
        open_producer: OpenProducer,
        letters: DeadLetters,
        rules: RulesLookup,
        background: Background = in_background,
    ) -> None:
        self.background = background
        self._settings = settings
        self._open_producer = open_producer
        self._letters = letters
        self._lookup = rules
        self._rules: Mapping[str, TopicRules] = {}
        self._recreated = False
        """Whether a topic was created again since the producer was opened."""
        self._asking = True
        self.routed = False
        """Whether it is known to which partitions verdicts go. Until then nothing may be written:
        a verdict that went by its key's hash could overtake, or be overtaken by, one that goes to
        its message's own partition."""
        self._same_partition = False
        self._review_partitions = 0
        self._refresh_at = 0.0
        self._now_ms = 0
        self._batch_bytes = PRODUCER_BATCH_BYTES
        self.producer = open_producer(self._batch_bytes)
        self._opening: Future[Producer] | None = None
        self._open_at = 0.0
        self.unopened: str | None = None
        """Why no producer could be opened in the place of the last; None if one could."""
        self.failures: list[Failure] = []
        self._refusal_logged = False
        """Whether a refused review request was logged."""
        rules.ask()

    # --- writing ----------------------------------------------------------------------------------

    def write(self, batch: Batch, index: int, *, alone: bool) -> bool:
        """Hand a record, or what takes its place, to the producer; False if that fails at once."""
        record = batch.records[index]
        if not batch.holds(record):
            return True
        if self._rules:
            error = self._refusal(record)
            while error is not None:
                if not self.replace(Failure(batch, index, error, alone=True)):
                    self._report(batch, index, True, error, None)
                    return False
                record = batch.records[index]
                if record.withdrawn:
                    return True
                error = self._refusal(record)
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
        if record.for_review:
            batch.records[index] = self._smaller(record, failure.error)
            return True
        if record.bare:
            return False
        if record.refused is None:
            refused = Refused(
                "OutputRefused", f"the output topic refuses the verdict: {failure.error.str()}."
            )
            replacement = self._letters.whole(record.source, refused)
            batch.withdraw_requests(index)
        else:
            replacement = self._letters.bare(record.source, record.refused)
        # A refused time stamp would be refused again; the original's is in the headers.
        batch.records[index] = replacement._replace(milliseconds=None)
        return True

    def _smaller(self, record: Record, error: KafkaError) -> Record:
        """Return a review request with less of its text, or withdrawn: it blocks no verdict.

        Counts are withdrawn: they have no text.
        """
        value, request = record.value or b"", record.request
        rules = self._rules.get(self._settings.review_topic)
        size = len(value) // 2
        if rules is not None:
            room = rules.max_bytes - (record_size(record) - len(value))
            size = room if room < len(value) else size
        fits = None
        if request is not None and error.code() in _TOO_LARGE:
            fits = request.within(size)
        if fits is None:
            if not self._refusal_logged:  # once: the metric counts them
                log.warning("write review request: %s: %s", self._topic(record), error.str())
                self._refusal_logged = True
            return record._replace(withdrawn=True)
        return record._replace(value=fits.value(), request=fits)

    def topic_of(self, failure: Failure) -> str:
        """Return the topic that the failed record was for."""
        return self._topic(failure.batch.records[failure.index])

    def flush(self, wait: float) -> int:
        """Wait for what is on its way; returns how many records still are.

        After a fatal error of the client none are: those not acknowledged are failures.
        """
        try:
            return self.producer.flush(wait)
        except KafkaException as exception:
            log.warning("producer failed fatally (%s); recreating it", exception.args[0].str())
            self.reopen()
            return 0

    # --- what is known of the topics --------------------------------------------------------------

    def look(self) -> None:
        """Ask what became of the topics while records wait; the answer is not waited for."""
        self._refresh_rules(ask=not self._asking, wait=0)

    def refresh(self, now: float, *, force: bool = False) -> None:
        """Learn which partitions and what records the topics take; now and then is enough."""
        self._now_ms = int(time.time() * 1000)
        due = force or now >= self._refresh_at
        # The first answer is worth a wait, and so is one after a refusal.
        wait = RULES_SECONDS if force or self._refresh_at == 0 else 0.0
        self._refresh_rules(ask=due, wait=wait)
        if not due:
            return
        own = self._settings
        names = [name for name in (own.input_topic, own.output_topic, own.review_topic) if name]
        try:
            counts = partition_counts(self.producer, names)
        except KafkaException as exception:
            log.warning("look up the topics' partitions: %s", exception.args[0].str())
            self._refresh_at = now + LOOKUP_RETRY_SECONDS
            return
        if self.routed and not (counts[own.input_topic] and counts[own.output_topic]):
            # A broker that has just started may not know yet what topics there are.
            self._refresh_at = now + LOOKUP_RETRY_SECONDS
            return
        self._same_partition = counts[own.input_topic] == counts[own.output_topic]
        self._review_partitions = counts.get(own.review_topic, 0)
        self.routed = True
        self._refresh_at = now + ROUTES_SECONDS

    @property
    def outdated(self) -> bool:
        """Whether the producer must be opened again: by `reopen`.

        Its batches may be larger than a topic takes, or it knew a topic of the name that is gone:
        librdkafka (2.16; its issue 4898) may ask the leader of that one for ever.
        """
        return self._recreated or self._wanted_batch_bytes() < self._batch_bytes

    def reopen(self) -> None:
        """Begin to replace the producer; what it still had comes back as failures.

        Nothing may be written until `opened`: a client that has to get a token first takes seconds.
        """
        self.producer.purge()
        deadline = time.monotonic() + CALL_SECONDS
        while len(self.producer) and time.monotonic() < deadline:
            self.producer.poll(0.1)
        self._batch_bytes = self._wanted_batch_bytes()
        self._recreated = False
        self._open()

    def opened(self, wait: float) -> bool:
        """Whether there is a producer to write with; wait up to `wait` seconds for it.

        A failure is `unopened`, and tried again.
        """
        if self._opening is None:
            return True
        if not wait_for([self._opening], wait).done:
            return False
        try:
            self.producer = self._opening.result()
        except ConfigurationError as error:
            self.unopened = str(error)
            pause = self._open_at - time.monotonic()
            if pause > 0:
                self.producer.poll(min(wait, pause))
            else:
                self._open()
            return False
        self._opening, self.unopened = None, None
        return True

    def _open(self) -> None:
        self._open_at = time.monotonic() + OPEN_RETRY_SECONDS
        open_producer = functools.partial(self._open_producer, self._batch_bytes)
        self._opening = self.background(open_producer, "open producer")

    def _refresh_rules(self, *, ask: bool, wait: float) -> None:
        """Ask for the rules if that is due; take the answer if it is there."""
        if ask:
            self._lookup.ask()
            self._asking = True
        if not self._asking:
            return
        found = self._lookup.answer(wait)
        if found is None:
            return
        self._asking = False
        known = dict(self._rules)
        for topic, rules in found.items():
            before = known.get(topic, rules)
            if before.id and rules.id not in ("", before.id):
                log.warning("topic %s was created again: reopening the producer", topic)
                self._recreated = True
            known[topic] = rules.or_else(before)
        self._rules = known

    def _wanted_batch_bytes(self) -> int:
        limits = [rules.max_bytes - BATCH_MARGIN for rules in self._rules.values()]
        return max(1, min([PRODUCER_BATCH_BYTES, *limits]))

    def _refusal(self, record: Record) -> KafkaError | None:
        rules = self._rules.get(self._topic(record))
        return rules and rules.refusal(record, self._now_ms)

    # --- handing over -----------------------------------------------------------------------------

    def _produce(self, record: Record, report: Report) -> None:
        try:
            self._hand_over(record, self._partition(record), report)
        except KafkaException as exception:
            # The input grew and the output has yet to, or the review topic was created again.
            if exception.args[0].code() != KafkaError._UNKNOWN_PARTITION:  # noqa: SLF001
                raise
            if not record.for_review:
                self._same_partition = False
            self._hand_over(record, -1, report)

    def _partition(self, record: Record) -> int:
        """Return the partition to write to; -1: that of the key's hash.

        Review requests go where others of their input partition go, or those of one batch would be
        as many small writes as there are partitions, which costs more than making them.
        """
        own = record.source.partition() or 0
        if record.for_review:
            return own % self._review_partitions if self._review_partitions else -1
        return own if record.refused is None and self._same_partition else -1

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
        if record.for_review:
            return self._settings.review_topic
        if record.refused is None:
            return self._settings.output_topic
        return self._settings.dead_letter_topic

    def _report(
        self, batch: Batch, index: int, alone: bool, error: KafkaError | None, _message: object
    ) -> None:
        """Take a delivery report; with `delivery.report.only.error` there are no others."""
        if error is not None:
            self.failures.append(Failure(batch, index, error, alone))
