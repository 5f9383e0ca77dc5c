"""The loop of the one process that reads and writes the topics.

A term: fence the predecessor, read both topics to their ends, then read and publish in turn. Any
error ends the term; the next begins with the same two steps.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select, update

from textmod_console import metrics
from textmod_console.errors import ConsoleError
from textmod_console.policies import ReadPolicies, no_policies
from textmod_console.record.publisher import Publisher
from textmod_console.record.reader import Reader
from textmod_console.record.webhooks import Webhooks
from textmod_console.settings import Settings
from textmod_console.store import arrival, counting, ended, outbox, queue, reading
from textmod_console.store.engine import Database
from textmod_console.store.leadership import Leadership
from textmod_console.store.schema import head
from textmod_console.store.thresholds import ThresholdAudit

log = logging.getLogger(__name__)
READ_SECONDS = 0.2
HOUSEKEEPING_SECONDS = 10.0
COUNTING_SECONDS = 60.0
"""Counting a million items takes half a second of a core."""
BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 5.0)


class Leader:
    """The work of the leader's thread: acquire leadership, then read and publish."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Callable[[], datetime],
        stopping: threading.Event,
        policies: ReadPolicies = no_policies,
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._stopping = stopping
        self._leadership = Leadership(database)
        self._policies = policies
        self.last_turn: float | None = None
        """`time.monotonic()` of the last turn of the loop, for liveness; None before the first."""

    def run(self) -> None:
        """Return once `stopping` is set."""
        failures = 0
        while not self._stopping.is_set():
            self._beat()
            try:
                if self._leadership.acquire():
                    self._lead()
                failures = 0
                wait = BACK_OFF_SECONDS[1]
            except ConsoleError as error:
                wait = BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)]
                failures += 1
                log.warning("%s retrying in %.1f s", error, wait)
            finally:
                metrics.LEADER.set(0)
            self._stopping.wait(wait)
        self._leadership.release()

    def _lead(self) -> None:
        reader = Reader(self._settings, self._database, self._clock)
        webhooks = Webhooks(self._settings, self._database, self._clock)
        try:
            reader.assign()
            publisher = Publisher(self._settings, self._database)  # fences others
            catch_up(reader, self._stopping.is_set, self._beat)
            if self._stopping.is_set():
                return
            mark_caught_up(self._database)
            metrics.LEADER.set(1)
            webhooks.start()
            self._turns(reader, publisher)
        finally:
            webhooks.stop()
            reader.close()

    def _turns(self, reader: Reader, publisher: Publisher) -> None:
        next_housekeeping = next_count = 0.0
        thresholds = ThresholdAudit(self._database)
        while not self._stopping.is_set():
            self._beat()
            reader.turn(READ_SECONDS)
            publisher.turn(self._clock())
            if time.monotonic() >= next_housekeeping:
                next_housekeeping = time.monotonic() + HOUSEKEEPING_SECONDS
                if not self._leadership.held():
                    return
                reader.assign()
                reader.erase_expired()
                with self._database.write() as connection:
                    queue.expire(connection, self._clock())
                    counting.expire(connection, self._clock())
                    ended.expire(connection, self._clock())
                    arrival.note(connection, self._clock())  # `assign` has reached it
                    metrics.OUTBOX.set(outbox.size(connection))
                thresholds.note(self._policies(), self._clock())
            if time.monotonic() >= next_count:
                next_count = time.monotonic() + COUNTING_SECONDS
                self._count()

    def _count(self) -> None:
        with self._database.read() as connection:
            counts = reading.counts(connection, self._clock())
        for state in ("open", "held", "claimed", "escalated"):
            metrics.ITEMS.labels(state).set(getattr(counts, state))

    def _beat(self) -> None:
        self.last_turn = time.monotonic()


def catch_up(
    reader: Reader, stopped: Callable[[], bool], beat: Callable[[], None] = lambda: None
) -> None:
    """Read until everything that is in the topics now is in the database."""
    ends = reader.ends()
    while not reader.has_read(ends) and not stopped():
        beat()
        reader.turn(READ_SECONDS)


def mark_caught_up(database: Database) -> None:
    """Record that the database has caught up with both topics, so that pages may be served."""
    with database.write() as connection:
        connection.execute(update(head).where(head.c.id == 1).values(caught_up=True))


def is_caught_up(database: Database) -> bool:
    """Tell whether the database has caught up with both topics since it was created."""
    with database.read() as connection:
        return bool(connection.execute(select(head.c.caught_up)).scalar_one())
