"""Looks for partitions that stand still: restarts them, then reports them to health."""

import logging

from textmod_model.health import Health
from textmod_model.stream.kafka import OFFSET_END, Consumer, KafkaException, TopicPartition
from textmod_model.stream.membership import Membership
from textmod_model.stream.stall import STALLED_SECONDS, StallDetector

log = logging.getLogger(__name__)

ENDS_SECONDS = 5.0
"""Between two lookups of the ends of partitions without progress."""

REACHED_SECONDS = 10.0
NAMED_PARTITIONS = 3


class Watchdog:
    """Compares the positions of this member's partitions with their ends."""

    def __init__(self, topic: str, health: Health) -> None:
        self.stall = StallDetector()
        self._topic = topic
        self._health = health
        self._ends_at = 0.0

    def excuse(self, now: float, consumer: Consumer, membership: Membership) -> None:
        """Note that nothing is read on purpose."""
        self.stall.update(now, membership.positions(consumer), excused=True)

    def check(self, now: float, consumer: Consumer, membership: Membership) -> None:
        """Look at all partitions; call it about once a second while messages are read."""
        self.stall.update(now, membership.positions(consumer))
        suspects = self.stall.suspects(now)
        if not suspects:
            self._report(now, {}, membership)
        elif now >= self._ends_at:
            self._ends_at = now + ENDS_SECONDS
            ends = self._look_up_ends(consumer, suspects)
            if not ends:
                return  # unknown: what was said before stands
            self._health.denied = None
            for partition in self.stall.to_restart(ends):
                log.warning("partition %d has messages and does not move: restart it", partition)
                membership.restart(consumer, partition)
            self._report(now, ends, membership)
            self.stall.settle_idle(now, ends)

    def _report(self, now: float, ends: dict[int, int], membership: Membership) -> None:
        sentences = [
            f"Partition {partition} of {self._topic} has {waiting} messages waiting and has not"
            f" moved for {seconds:.0f} s."
            for partition, (waiting, seconds) in sorted(self.stall.stalled(now, ends).items())
        ]
        seen = self._health.kafka_seen
        if seen is not None and now - seen < REACHED_SECONDS:
            sentences += [
                f"Partition {partition} of {self._topic} is assigned and not read: {why}."
                for partition, why in sorted(membership.overdue(now, STALLED_SECONDS).items())
            ]
        stalled = " ".join(sentences[:NAMED_PARTITIONS]) or None
        if stalled and self._health.stalled is None:
            log.error("%s", stalled)
        self._health.stalled = stalled

    def _look_up_ends(self, consumer: Consumer, partitions: list[int]) -> dict[int, int]:
        """Return where partitions end now; those whose leader does not answer left out.

        The ends in the statistics are those of the last fetch, and there is none of a partition
        that stands still.
        """
        wanted = [TopicPartition(self._topic, partition, OFFSET_END) for partition in partitions]
        try:
            found = consumer.offsets_for_times(wanted, timeout=1.0)
        except KafkaException as exception:
            log.info("look up the ends of %s: %s", partitions, exception.args[0].str())
            return {}
        return {one.partition: one.offset for one in found if one.error is None and one.offset >= 0}
