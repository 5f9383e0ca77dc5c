"""Reads both topics into the database, from the offsets that are stored there."""

from collections import defaultdict
from collections.abc import Mapping

from textmod_console.record import kafka
from textmod_console.settings import Settings
from textmod_console.store import projection
from textmod_console.store.deliveries import Subscriptions
from textmod_console.store.engine import Database
from textmod_console.store.intake import Message, Role, take_in

BATCH = 500
"""Messages in one transaction; on SQLite reviewers wait while it runs."""

Ends = Mapping[tuple[str, int], int]


class Reader:
    """A consumer of both topics; used by one thread."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._subscribed = Subscriptions(settings.console_webhooks)
        self.roles = {settings.review_topic: Role.REVIEW, settings.feedback_topic: Role.FEEDBACK}
        self._consumer = kafka.open_consumer(settings)
        self._at: dict[tuple[str, int], int] = {}

    def assign(self) -> bool:
        """Assign every partition, each from its stored offset; return False if nothing changed.

        Raises RecordError.
        """
        found = {
            (topic, partition)
            for topic in self.roles
            for partition in kafka.partitions(self._consumer, topic)
        }
        added = {one for one in found if self._is_new(one)}
        if not added and found == self._at.keys():
            return False
        with self._database.read() as connection:
            stored = {topic: projection.next_offsets(connection, topic) for topic in self.roles}
        starts = {one: self._start(*one, stored[one[0]].get(one[1])) for one in sorted(added)}
        self._at = {one: self._at[one] for one in found - added} | starts
        with kafka.as_record_error("read the topics"):
            self._consumer.assign(
                [kafka.TopicPartition(*one, offset) for one, offset in self._at.items()]
            )
        return True

    def _is_new(self, one: tuple[str, int]) -> bool:
        """Tell whether the partition is new, or of a topic that was made again under its name."""
        return one not in self._at or kafka.bounds(self._consumer, *one)[1] < self._at[one]

    def _start(self, topic: str, partition: int, stored: int | None) -> int:
        low, high = kafka.bounds(self._consumer, topic, partition)
        if stored is None or stored < low:
            return low
        if stored <= high:
            return stored
        # The topic was deleted and created again: stored offsets are void, ids still hold.
        with self._database.write() as connection:
            projection.move_to(connection, topic, {partition: low})
        return low

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
                )
            self._at |= {(topic, partition): offset for partition, offset in offsets.items()}
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
