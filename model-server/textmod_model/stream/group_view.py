"""Whether the group's coordinator and this member agree on what it reads. Pure.

An answer of the coordinator can be lost, and a client can lose track of an assignment that it was
given (seen once in sixty storms of members whose answers were lost; librdkafka 2.16): a partition
then belongs to a member that does not know it, and nobody reads it. No position stands still, so
that only the coordinator's own view can tell.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

LOOK_SECONDS: Final = 15.0
"""Between two looks, while there is reason to doubt."""

MOST_LOOK_SECONDS: Final = 300.0
"""The same where nobody answers and nothing happens, as where the request is denied for good: a
question costs half a second of CPU (`group_lookup`). The wait doubles from question to question."""

DISAGREE_SECONDS: Final = 40.0
"""A rebalance under way is over by then, revocations that wait for a slow broker included."""


class Member(NamedTuple):
    """What the coordinator says of one member."""

    assigned: frozenset[int]
    target: frozenset[int]
    """What it is to have once others have given it up."""


ABSENT: Final = Member(frozenset(), frozenset())
"""For an id that the coordinator does not list."""


class CoordinatorsView(Protocol):
    """Asks the group's coordinator who reads what, in the background."""

    def ask(self) -> None:
        """Send the request, if none is on its way."""
        ...

    def answer(self) -> Mapping[str, Member] | None:
        """Return the members by their ids, once; None while there is no answer, or it failed."""
        ...


class GroupView:
    """Follows the coordinator's view for as long as something gives reason to doubt.

    A quiet group costs no request: only requests without an answer, lost connections and
    rebalances are reasons. Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._troubles: int | None = None
        self._asked_after: int | None = None
        """The troubles when the coordinator was last asked; its answer covers no later ones."""
        self._doubts = True
        self._looked: float | None = None
        """When the coordinator was last asked, or the member began to be looked at."""
        self._wait = LOOK_SECONDS
        """From then to the next look."""
        self._differs: frozenset[int] | None = None
        self._since = 0.0

    def note(self, troubles: int) -> None:
        """Take the client's count of what could have cost it an answer."""
        if troubles != self._troubles:
            self._troubles = troubles
            self._doubts, self._wait = True, LOOK_SECONDS

    def look(
        self, now: float, group: CoordinatorsView, me: str, reads: frozenset[int]
    ) -> frozenset[int] | None:
        """Ask the coordinator if that is due; returns the partitions at issue (see `compare`)."""
        if self.due(now):
            self.asked(now)
            group.ask()
        members = group.answer()
        return None if members is None else self.compare(now, me, reads, members)

    def due(self, now: float) -> bool:
        """Whether the coordinator is to be asked now; not while the member has yet to join."""
        if self._looked is None:
            self._looked = now
        return self._doubts and now >= self._looked + self._wait

    def asked(self, now: float) -> None:
        """Note that it was asked."""
        self._asked_after = self._troubles
        self._looked = now
        self._wait = min(2 * self._wait, MOST_LOOK_SECONDS)  # until there is an answer

    def compare(
        self, now: float, me: str, reads: frozenset[int], members: Mapping[str, Member]
    ) -> frozenset[int] | None:
        """Take an answer; returns the partitions at issue once that has lasted too long.

        Args:
            now: monotonic seconds.
            me: this member's id.
            reads: the partitions that this member knows to be its own.
            members: the group, by member id.
        """
        self._wait = LOOK_SECONDS
        differs = _difference(me, reads, members)
        if not differs and me in members:
            self._doubts, self._differs = self._troubles != self._asked_after, None
            return None
        if differs != self._differs:
            self._differs, self._since = differs, now
        if now - self._since < DISAGREE_SECONDS:
            return None
        self._differs = None
        return differs


def _difference(me: str, reads: frozenset[int], members: Mapping[str, Member]) -> frozenset[int]:
    """Return the partitions that only the member or only the coordinator lists as its own, and its
    target partitions that no member has."""
    mine = members.get(me, ABSENT)
    taken = frozenset().union(*(member.assigned for member in members.values()))
    return (mine.assigned ^ reads) | (mine.target - taken)
