"""Commits spent budgets of partitions of which no message was read.

The spent budget is in the metadata of the committed offset. The client commits by itself if an
offset has moved; that of a partition that only lent its share has not, so it is committed here.
"""

import logging
from collections.abc import Iterable, Mapping

from textmod_model.policies.allowance import Allowance
from textmod_model.stream.kafka import Consumer, KafkaError, KafkaException, TopicPartition

log = logging.getLogger(__name__)


class SpentNotes:
    """The notes of one consumer that are on their way to the broker."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._sent: dict[int, str] = {}

    def commit(
        self, consumer: Consumer, lenders: Iterable[TopicPartition], notes: Mapping[int, str]
    ) -> None:
        """Commit the offsets of lenders, except for those whose note is on its way already."""
        new = [one for one in lenders if self._sent.get(one.partition) != notes[one.partition]]
        if not new:
            return
        try:
            consumer.commit(offsets=new, asynchronous=True)
        except KafkaException as exception:
            log.info("commit spent budgets: %s; retrying", exception.args[0].str())
        else:
            self._sent |= {one.partition: notes[one.partition] for one in new}

    def committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Take the outcome of a commit, as the client calls back; what failed is due again."""
        for one in partitions:
            note = self._sent.pop(one.partition, None)
            failed = error or one.error
            if note is None:
                continue  # a commit of the client's own, which it repeats by itself
            if failed is None:
                self._allowance.written({one.partition: note})
            else:
                log.info("commit spent budgets: %s; retrying", failed.str())
