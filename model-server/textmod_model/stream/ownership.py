"""Which newly assigned partitions the group's coordinator confirms to be this member's.

A late assignment may be of partitions that another member has (see `membership`). Both members are
valid then, so that the coordinator fences neither, and comparing committed offsets is not enough:
both may find them unchanged before either commits. The coordinator assigns each partition to
one member only. So before the first offset of an assigned partition is committed exactly once, this
member asks the coordinator who has it. It asks after it has taken the assignment: from then
on the client reports the partition as its own, and the coordinator assigns it to no other member
before this one has given it up.

A member that was expelled needs no such question: the client joins again only after the application
was called, and until then the coordinator refuses what the old metadata and the current one name
(tried with librdkafka 2.16 and Kafka 4.1).

The request is sent from this process, although librdkafka may abort it (`group_lookup`). In a
process of its own the answer takes half a second of CPU, ten seconds on a small pod: newly assigned
partitions would wait for it, and past SILENCE_SECONDS they count as ours unconfirmed, just when
connections break. An abort is safe: its transaction is aborted by the next process under its name.
"""

from collections.abc import Callable, Iterable
from typing import Final

from textmod_model.stream.group_view import ABSENT, CoordinatorsView

ASK_SECONDS: Final = 0.5
"""Between two questions, while a partition is not confirmed."""

SILENCE_SECONDS: Final = 10.0
"""After so long without an answer, do not wait for one: some brokers deny the request for good."""


class Ownership:
    """Follows partitions from their assignment to the coordinator's confirmation.

    Args:
        group: asks the coordinator; None: nothing is asked, and every partition counts as ours.
        clock: monotonic seconds.
    """

    def __init__(self, group: CoordinatorsView | None, clock: Callable[[], float]) -> None:
        self._group = group
        self._clock = clock
        self._since: dict[int, float] = {}
        """Partitions that are not confirmed, and when the coordinator last answered about them."""
        self._asked: set[int] | None = None
        """The partitions of the pending request; None: there is none."""
        self._ask_at = 0.0

    def assigned(self, partitions: Iterable[int]) -> None:
        """Take note of partitions that were assigned just now."""
        if self._group is not None:
            self.forget(partitions)
            self._since |= dict.fromkeys(partitions, self._clock())

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop partitions that were given up; a pending answer about them is outdated."""
        for partition in partitions:
            self._since.pop(partition, None)
            (self._asked or set()).discard(partition)

    def unconfirmed(self, partitions: Iterable[int]) -> set[int]:
        """Return those of the partitions that the coordinator has not confirmed."""
        return self._since.keys() & set(partitions)

    def confirmed(self, me: str, partitions: Iterable[int]) -> bool:
        """Tell whether all of the partitions are known to be ours; ask if they are not.

        Args:
            me: this member's id.
            partitions: those whose offsets are to be committed.
        """
        wanted = set(partitions)
        if self._group is None or not self.unconfirmed(wanted):
            return True
        now = self._clock()
        members = self._group.answer()
        if members is not None and self._asked is not None:
            ours = members.get(me, ABSENT).assigned & self._asked
            self._since |= dict.fromkeys(self._asked, now)
            self._asked = None
            self.forget(ours)
        self.forget([p for p, since in self._since.items() if now - since > SILENCE_SECONDS])
        if not self.unconfirmed(wanted):
            return True
        if now >= self._ask_at:
            self._ask_at = now + ASK_SECONDS
            if self._asked is None:
                self._asked = set(self._since)
            self._group.ask()
        return False
