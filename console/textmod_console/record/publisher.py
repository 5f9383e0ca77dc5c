"""Writes what the outbox holds to the feedback topic, each event exactly once.

An event leaves the outbox when it is read back, not when it is written. So after any crash it is
known which events are in the topic, once these two hold: no predecessor can write any more (the
transactional id fences it), and the topic has been read to its end since then (`leader`).
"""

from datetime import datetime
from random import SystemRandom

from textmod_console import metrics
from textmod_console.events import headers
from textmod_console.record import kafka
from textmod_console.settings import Settings
from textmod_console.store import outbox
from textmod_console.store.engine import Database

BATCH = 500
"""Events of one transaction."""


def timestamp(at: datetime, now: datetime) -> int:
    """Return an event's time for Kafka, in milliseconds; the header `ce_time` has its own.

    An imported decision may be of any year, and brokers refuse times after now (by an hour) and
    before 1970, where the topic does not count from LogAppendTime.
    """
    return max(1, int(min(at, now).timestamp() * 1000))


class Publisher:
    """A producer with a term of its own; used by one thread. Opening it fences the one before."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._topic = settings.feedback_topic
        self._source = f"/textmoderation/{settings.object_namespace}/{settings.object_name}/console"
        self._term = SystemRandom().randrange(1, 2**62)
        self._producer = kafka.open_producer(settings)

    def turn(self, now: datetime) -> int:
        """Write what is due. Returns the number of events.

        Raises:
            RecordError: it is unknown what was written; the next term finds out, since it reads the
                topic to its end before it writes.
        """
        with self._database.write() as connection:
            due = outbox.take(connection, now, BATCH, self._term)
        if due:
            self._write(due, now)
            metrics.PUBLISHED.inc(len(due))
        return len(due)

    def _write(self, due: list[outbox.Waiting], now: datetime) -> None:
        with kafka.as_record_error(f"write to topic {self._topic}"):
            self._producer.begin_transaction()
            for one in due:
                self._producer.produce(
                    self._topic,
                    key=one.key.encode(),
                    value=one.value,
                    headers=list(headers(one.ce_type, one.ce_id, self._source, one.at)),
                    timestamp=timestamp(one.at, now),
                )
            self._producer.commit_transaction(kafka.REQUEST_SECONDS)
