"""Reads both topics into the database, from the offsets that are stored there."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime

from textmod_console import metrics
from textmod_console.errors import RecordError
from textmod_console.record import kafka
from textmod_console.settings import Settings
from textmod_console.store import projection, recreated
from textmod_console.store.database_desk import now_utc
from textmod_console.store.deliveries import Subscriptions
from textmod_console.store.engine import Database
from textmod_console.store.intake import Message, Role, take_in

log = logging.getLogger(__name__)
BATCH = 500
"""Messages in one transaction; on SQLite reviewers wait while it runs."""

Ends = Mapping[tuple[str, int], int]


class Reader:
    """A consumer of both topics; used by one thread.

    Args:
        clock: the moment, with a time zone, for the audit.
    """

    def __init__(
        self, settings: Settings, database: Database, clock: Callable[[], datetime] = now_utc
    ) -> None:
        self._database = database
        self._clock = clock
        self._subscribed = Subscriptions(settings.console_webhooks)
        self.roles = {settings.review_topic: Role.REVIEW, settings.feedback_topic: Role.FEEDBACK}
        self._consumer = kafka.open_consumer(settings)
        self._admin = kafka.open_admin(settings)
        self._at: dict[tuple[str, int], int] = {}
        self._kept: dict[tuple[str, int], int] = {}
        """What the database holds of `_at`: less where retention has removed messages since."""

    def assign(self) -> bool:
        """Assign every partition, each from its stored offset; return False if nothing changed.

        Raises:
            RecordError: also when a topic that was being read turns out to be another one: what the
                publisher wrote to the old one and did not read back is written in the next term.
        """
        again = [topic for topic in self.roles if self._has_another_id(topic)]
        found = {
            (topic, partition)
            for topic in self.roles
            for partition in kafka.partitions(self._consumer, topic)
        }
        bounds = {one: kafka.bounds(self._consumer, *one) for one in found}
        added = {one for one in found if one not in self._at or bounds[one][1] < self._at[one]}
        if not again and not added and found == self._at.keys():
            return False
        for topic in self.roles.keys() - again:  # brokers without ids show it by this alone
            stored = self._stored(topic)
            if any(bounds[one][1] < stored.get(one[1], 0) for one in added if one[0] == topic):
                self._begin_again(topic)
                again.append(topic)
        if again and self._at:
            self._at = {}
            raise RecordError(f"topic {again[0]} was deleted and created again.")
        offsets = {topic: self._stored(topic) for topic in self.roles}
        starts = {one: max(bounds[one][0], offsets[one[0]].get(one[1], 0)) for one in sorted(added)}
        self._at = {one: self._at[one] for one in found - added} | starts
        self._kept |= {one: offsets[one[0]].get(one[1], 0) for one in added}
        with kafka.as_record_error("read the topics"):
            self._consumer.assign(
                [kafka.TopicPartition(*one, offset) for one, offset in self._at.items()]
            )
        return True

    def _stored(self, topic: str) -> dict[int, int]:
        with self._database.read() as connection:
            return projection.next_offsets(connection, topic)

    def _has_another_id(self, topic: str) -> bool:
        """Compare the topic's id with the stored one; if it is another, begin again."""
        found = kafka.topic_id(self._admin, topic)
        with self._database.read() as connection:
            known = recreated.known_id(connection, topic)
        if found is None or found == known:
            return False
        if known is not None:
            self._begin_again(topic, found)
            return True
        with self._database.write() as connection:
            recreated.keep_id(connection, topic, found)
        return False

    def _begin_again(self, topic: str, found: str | None = None) -> None:
        """Store that this is another topic; `found` is its id."""
        role = self.roles[topic]
        lows = {
            partition: kafka.bounds(self._consumer, topic, partition)[0]
            for partition in kafka.partitions(self._consumer, topic)
        }
        with self._database.write() as connection:
            recreated.begin_again(connection, topic, role, lows, self._clock())
            if found is not None:
                recreated.keep_id(connection, topic, found)
        metrics.TOPICS_RECREATED.labels(role).inc()
        log.warning(
            "topic %s was deleted and created again: reading it from its beginning; what the old "
            "one held and the console had not read is lost",
            topic,
        )

    def ends(self) -> Ends:
        """Return the present end of every partition. Raises RecordError."""
        return {one: kafka.bounds(self._consumer, *one)[1] for one in self._at}

    def has_read(self, ends: Ends) -> bool:
        """Tell whether everything before these ends is in the database."""
        return all(self._at.get(one, -1) >= end for one, end in ends.items())

    def turn(self, seconds: float) -> int:
        """Store the next messages. Returns their number; raises RecordError."""
        with kafka.as_record_error("read the topics"):
            received = self._consumer.consume(BATCH, seconds)
        messages, ends = kafka.split(received)
        by_topic: dict[str, list[Message]] = defaultdict(list)
        for topic, message in messages:
            by_topic[topic].append(message)
        behind: dict[str, dict[int, int]] = defaultdict(dict)
        for (topic, partition), offset in ends.items():
            if offset > self._at.get((topic, partition), -1):
                behind[topic][partition] = offset
        for topic, offsets in behind.items():
            with self._database.write() as connection:
                take_in(
                    connection,
                    topic,
                    self.roles[topic],
                    by_topic[topic],
                    offsets,
                    subscriptions=self._subscribed,
                    kept={one: self._kept.get((topic, one), 0) for one in offsets},
                )
            moved = {(topic, partition): offset for partition, offset in offsets.items()}
            self._at |= moved
            self._kept |= moved
        return len(messages)

    def erase_expired(self) -> int:
        """Erase the texts that the review topic no longer holds. Returns how many."""
        erased = 0
        for topic, partition in self._at:
            if self.roles[topic] is Role.REVIEW:
                low, _ = kafka.bounds(self._consumer, topic, partition)
                with self._database.write() as connection:
                    erased += projection.erase_before(connection, partition, low)
        return erased

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()
