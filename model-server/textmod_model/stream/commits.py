"""Which messages are done, and what is committed of that.

With `AtLeastOnce` the client commits the offsets that are stored; what it does not commit by itself
is committed here. With `ExactlyOnce` the offsets go with the transactions that hold the verdicts.
"""

import logging
from collections.abc import Callable, Mapping

from textmod_model.policies.allowance import Allowance
from textmod_model.settings import Settings
from textmod_model.stream.backwards import BackwardCommits
from textmod_model.stream.input_identity import InputIdentity
from textmod_model.stream.kafka import Consumer, KafkaError, KafkaException, TopicPartition
from textmod_model.stream.membership import Membership
from textmod_model.stream.speed import Speed
from textmod_model.stream.spent import SpentNotes

log = logging.getLogger(__name__)


class Commits:
    """Offsets of one consumer's partitions, over all of its clients. Use from one thread.

    Args:
        settings: the server's settings.
        identity: which topic stands beside an offset.
        speed: reported beside every offset.
        partitions: how many the topic has; None: not known yet.
        wall: Unix seconds, by which budgets a day are counted.
    """

    def __init__(
        self,
        settings: Settings,
        identity: InputIdentity,
        speed: Speed,
        partitions: Callable[[], int | None],
        wall: Callable[[], float],
    ) -> None:
        self._topic = settings.input_topic
        self._transactional = settings.delivery == "ExactlyOnce"
        self._identity = identity
        self._speed = speed
        self.allowance = Allowance(self._lenders, partitions, wall)
        """Of the budgets of policies; what was spent is written beside every offset."""
        self._settled: dict[int, int] = {}
        self._notes: dict[int, str] = {}
        """What was spent, as `topic_partitions` last returned it."""

    def begin(self, membership: Membership) -> None:
        """Take the membership of a new client, which has committed nothing yet."""
        self._membership = membership
        self._spent = SpentNotes(self.allowance)
        self._backwards = BackwardCommits()

    # --- what is done -----------------------------------------------------------------------------

    def lags(self, ends: Mapping[int, int]) -> dict[int, int]:
        """Return how many messages before its end each partition is; unknown ones are left out."""
        settled = dict(self._settled)  # asked for from other threads
        return {
            partition: max(0, end - settled[partition])
            for partition, end in ends.items()
            if end >= 0 and settled.get(partition, -1) >= 0
        }

    def store(self, consumer: Consumer, offsets: dict[int, int]) -> None:
        """Mark offsets as done; they're committed soon, and before a partition is given up."""
        self._settled.update(offsets)
        self._membership.committed(offsets)
        if self._transactional:
            self.allowance.written(self._notes)
            return
        if owned := self.topic_partitions(offsets):
            consumer.store_offsets(offsets=owned)
            self._backwards.stored(consumer, [one for one in owned if one.partition in offsets])
        if not self.allowance.lent:
            return
        self.allowance.written({p: self._notes[p] for p in self._notes.keys() & offsets.keys()})
        lenders = [one for one in owned if one.partition not in offsets]
        self._spent.commit(consumer, lenders, self._notes)

    def topic_partitions(self, offsets: dict[int, int]) -> list[TopicPartition]:
        """Return the offsets of partitions that are still ours, as the client takes them.

        Partitions whose share of a budget was lent are among them, for the note beside theirs.
        """
        lenders = self.allowance.lent & self._lenders() - offsets.keys()
        offsets = offsets | {partition: self._settled[partition] for partition in lenders}
        owned = self._membership.partitions & offsets.keys()
        self._notes = {partition: self.allowance.note(partition) for partition in owned}
        beside, reported = self._identity.beside, self._speed.metadata
        return [
            TopicPartition(self._topic, p, offsets[p], beside(p, reported, note))
            for p, note in self._notes.items()
        ]

    def _lenders(self) -> set[int]:
        """Return our partitions with an offset to write beside."""
        owned = self._membership.partitions
        return {p for p, offset in self._settled.items() if offset >= 0 and p in owned}

    # --- what the client does not commit by itself ------------------------------------------------

    def look(self, consumer: Consumer) -> None:
        """Take where partitions start, and commit what is due; call it every second."""
        self._settled = self._membership.starts | self._settled
        self._backwards.send(consumer)
        if self.allowance.lent and not self._transactional:
            self.store(consumer, {})

    def committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Take the outcome of a commit, as the client calls back."""
        self._spent.committed(error, partitions)
        self._backwards.committed(error, partitions)

    def finish(self, consumer: Consumer, leaving: set[int]) -> None:
        """Commit all that is done, before these partitions are given up."""
        if self._transactional or not leaving:
            return
        if due := self._backwards.of(leaving):
            self._commit_now(consumer, offsets=due)
        self._commit_now(consumer)

    def forget(self, partitions: set[int]) -> None:
        """Drop partitions that were given up."""
        self._backwards.forget(partitions)
        self.allowance.drop(partitions)
        for partition in partitions:
            self._settled.pop(partition, None)

    def _commit_now(self, consumer: Consumer, **which: list[TopicPartition]) -> None:
        try:
            consumer.commit(asynchronous=False, **which)
        except KafkaException as exception:
            if (error := exception.args[0]).code() != KafkaError._NO_OFFSET:  # noqa: SLF001 - nothing to commit
                log.warning("commit before a rebalance: %s", error.str())
