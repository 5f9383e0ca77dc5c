"""Commits offsets that lie behind those that the client has committed before.

By itself librdkafka (2.16; its issue 1372) commits an offset only if it is beyond the last that it
committed of the partition, whichever topic that was of. So after a topic was created again, or read
from its beginning once more, nothing would be committed until the old position is passed: the group
would look as if it did not read, and the next member would read all of it once more.
"""

import logging
from collections.abc import Collection, Iterable

from textmod_model.stream.kafka import Consumer, KafkaError, KafkaException, TopicPartition

log = logging.getLogger(__name__)


class BackwardCommits:
    """The offsets of one client that it does not commit by itself."""

    def __init__(self) -> None:
        self._highest: dict[int, int] = {}
        """The highest offset that the client may have committed, by partition."""
        self._due: dict[int, TopicPartition] = {}
        self._sent: dict[int, int] = {}
        """Offsets of `_due` that are on their way."""

    def stored(self, consumer: Consumer, offsets: Iterable[TopicPartition]) -> None:
        """Take note of offsets that the client is to commit; commit those that it would not."""
        for one in offsets:
            if one.offset > self._highest.get(one.partition, -1):
                self._highest[one.partition] = one.offset
                self._due.pop(one.partition, None)
            else:
                self._due[one.partition] = one
        self.send(consumer)

    def send(self, consumer: Consumer) -> None:
        """Commit what is due and not on its way; call it every second."""
        new = [one for partition, one in self._due.items() if partition not in self._sent]
        if not new:
            return
        try:
            consumer.commit(offsets=new, asynchronous=True)
        except KafkaException as exception:
            log.info("commit offsets behind earlier ones: %s; retrying", exception.args[0].str())
        else:
            self._sent |= {one.partition: one.offset for one in new}

    def committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Take the outcome of a commit, as the client calls back; what failed is due again."""
        for one in partitions:
            if self._sent.get(one.partition) != one.offset:
                continue
            del self._sent[one.partition]
            if failed := error or one.error:
                log.info("commit offsets behind earlier ones: %s; retrying", failed.str())
                continue
            due = self._due.pop(one.partition, one)  # a later one the client commits by itself now
            self._highest[one.partition] = max(one.offset, due.offset)

    def of(self, partitions: Collection[int]) -> list[TopicPartition]:
        """Return what is still due of these partitions."""
        return [one for partition, one in self._due.items() if partition in partitions]

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop what is due of partitions that were given up."""
        for partition in partitions:
            self._due.pop(partition, None)
            self._sent.pop(partition, None)
