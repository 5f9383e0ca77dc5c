"""A desk under everything that can happen to it, in any order: a state machine.

Reviewers take, pass and decide; the clock moves; the publisher is killed at each of its steps and a
new one reads the topic to its end before it writes; texts are erased; the database is made again
from the topics. The topics are lists that only grow, with a transaction's records all or none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk_world import World, request
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from textmod_console.desk import LEASE, UNDO, Answer
from textmod_console.errors import (
    ClaimedByAnotherError,
    NotFoundError,
    OutdatedError,
    TooLateError,
)
from textmod_console.events import DECISION, REVIEW_REQUESTED
from textmod_console.store import outbox
from textmod_console.store.digest import digest, forget
from textmod_console.store.intake import Message, Role, take_in
from textmod_console.store.projection import Place

REVIEWERS = st.sampled_from(["ann", "bob", "cat"])
ITEMS = st.sampled_from([f"i{n}" for n in range(6)])
ANSWERS = st.sampled_from(["Approve", "Remove", "Escalate", "Skip", "Unsure"])


class KilledError(BaseException):
    """SIGKILL, as far as a transaction can tell."""


class Machine(RuleBasedStateMachine):
    """The rules. Both worlds are set by the test."""

    world: World
    rebuilt: World

    def __init__(self) -> None:
        super().__init__()
        self.world.empty()
        self.review: list[Message] = []
        self.feedback: list[Message] = []
        self.read = {Role.REVIEW: 0, Role.FEEDBACK: 0}
        self.holders: dict[str, tuple[str, Any]] = {}
        """Who was given an item, and until when."""
        self.accepted: dict[str, str] = {}
        self.erased: set[str] = set()
        self.term = 0

    def teardown(self) -> None:
        self.settle()
        ids = [one.ce_id for one in self.feedback if one.ce_type == DECISION]
        assert sorted(ids) == sorted(self.accepted)  # each once, and none that was undone
        assert self.world.verify() >= len(ids)
        self.compare_with_a_rebuild()

    # --- the topics ----------------------------------------------------------------------------

    @rule(item=ITEMS)
    def ask(self, item: str) -> None:
        """The worker writes a request, perhaps once more."""
        # The same item is always asked in the same way: selection is a hash.
        event = request(item, blind=item in {"i1", "i4"}, hold=item < "i3")
        self.review.append(
            Message(
                Place(0, len(self.review)), item.encode(), REVIEW_REQUESTED, item, event.value()
            )
        )

    @rule(item=ITEMS)
    def erase(self, item: str) -> None:
        """Somebody's text is erased by a tombstone."""
        if any(one.key == item.encode() for one in self.review):
            self.review.append(Message(Place(0, len(self.review)), item.encode(), "", "", None))
            self.erased.add(item)

    @rule(role=st.sampled_from(list(Role)), count=st.integers(1, 5), dies=st.booleans())
    def read_some(self, role: Role, count: int, dies: bool) -> None:
        """The reader takes in some messages; killed before the commit, it reads them again."""
        topic = self.review if role is Role.REVIEW else self.feedback
        start = self.read[role]
        batch = topic[start : start + count]
        if not batch:
            return
        try:
            with self.world.database.write() as connection:
                take_in(connection, role, role, batch, {0: start + len(batch)})
                if dies:
                    raise KilledError  # noqa: TRY301 - inside the transaction is the point
        except KilledError:
            return
        self.read[role] += len(batch)

    @rule(role=st.sampled_from(list(Role)))
    def read_again(self, role: Role) -> None:
        """A second leader takes in what is stored already: nothing changes."""
        topic = self.review if role is Role.REVIEW else self.feedback
        with self.world.database.write() as connection:
            assert take_in(connection, role, role, topic[: self.read[role]], {0: 0}) == 0

    @rule(step=st.sampled_from(["taken", "written", "done"]))
    def publish(self, step: str) -> None:
        """A publisher begins a term, and is killed after one of its steps, or goes on."""
        self.read_to_the_end(Role.FEEDBACK)
        self.term += 1
        with self.world.database.write() as connection:
            due = outbox.take(connection, self.world.now, 100, self.term)
        if step == "taken":
            return
        for one in due:
            place = Place(0, len(self.feedback))
            message = Message(place, one.key.encode(), one.ce_type, one.ce_id, one.value)
            self.feedback.append(message)
        if step == "done":
            self.read_to_the_end(Role.FEEDBACK)

    def read_to_the_end(self, role: Role) -> None:
        topic = self.review if role is Role.REVIEW else self.feedback
        while self.read[role] < len(topic):
            self.read_some(role, 100, False)

    # --- the reviewers -------------------------------------------------------------------------

    @rule(reviewer=REVIEWERS, luck=st.sampled_from([0.0, 0.99]))
    def take(self, reviewer: str, luck: float) -> None:
        self.world.luck = luck
        card = self.world.desk.next_card(reviewer)
        if card is not None:
            holder, until = self.holders.get(card.item, (reviewer, self.world.now))
            assert holder == reviewer or until <= self.world.now
            assert card.text is not None
            assert card.claimed_by == reviewer
            self.holders[card.item] = (reviewer, self.world.now + LEASE)

    @rule(reviewer=REVIEWERS, item=ITEMS)
    def release(self, reviewer: str, item: str) -> None:
        self.world.desk.release(item, reviewer)
        if self.holders.get(item, ("", None))[0] == reviewer:
            del self.holders[item]

    @rule(reviewer=REVIEWERS, item=ITEMS, answer=ANSWERS, stale=st.booleans())
    def decide(self, reviewer: str, item: str, answer: Any, stale: bool) -> None:
        holder, until = self.holders.get(item, (reviewer, self.world.now))
        taken = holder != reviewer and until > self.world.now
        try:
            version = self.world.desk.card(item, reviewer).version - stale
            decision = self.world.desk.decide(item, reviewer, Answer(answer), version)
        except NotFoundError:
            return
        except OutdatedError:
            assert stale
            self.holders[item] = (reviewer, self.world.now)  # refused: nothing is kept of it
            if holder == reviewer and until > self.world.now:
                self.holders[item] = (holder, until)
            return
        except ClaimedByAnotherError:
            assert taken
            return
        assert not taken
        assert not stale
        self.accepted[decision.id] = reviewer
        self.holders.pop(item, None)

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), by_another=st.booleans())
    def undo(self, data: st.DataObject, by_another: bool) -> None:
        # In the order of acceptance: ids are random, and the same draws must do the same again.
        decision = data.draw(st.sampled_from(list(self.accepted)))
        reviewer = self.accepted[decision]
        if by_another:
            with pytest.raises(NotFoundError):
                self.world.desk.undo(decision, f"not {reviewer}")
            return
        try:
            self.world.desk.undo(decision, reviewer)
        except TooLateError:
            return
        del self.accepted[decision]
        self.holders = {}  # who holds the item now is for the next card to say

    @rule(seconds=st.sampled_from([1, UNDO.seconds, LEASE.seconds + 1, 7200]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds=seconds)

    # --- what always holds -----------------------------------------------------------------------

    @rule()
    def compare_with_a_rebuild(self) -> None:
        """The database made from the topics is the one that is here."""
        self.settle()
        with self.world.database.read() as connection:
            before = digest(connection)
        self.rebuilt.empty()
        with self.rebuilt.database.write() as connection:
            take_in(connection, Role.REVIEW, Role.REVIEW, self.review, {0: len(self.review)})
            take_in(
                connection, Role.FEEDBACK, Role.FEEDBACK, self.feedback, {0: len(self.feedback)}
            )
            assert digest(connection) == before
            forget(connection)
            # The other way round, decisions before their items, one by one.
            for one in self.feedback:
                take_in(connection, Role.FEEDBACK, Role.FEEDBACK, [one], {0: one.place.offset + 1})
            for one in self.review:
                take_in(connection, Role.REVIEW, Role.REVIEW, [one], {0: one.place.offset + 1})
            assert digest(connection) == before

    def settle(self) -> None:
        """Let everything be published and read."""
        self.world.wait(seconds=UNDO.seconds)
        self.read_to_the_end(Role.REVIEW)
        self.publish("done")
        with self.world.database.read() as connection:
            assert outbox.size(connection) == 0

    @invariant()
    def no_event_is_in_the_topic_twice(self) -> None:
        ids = [one.ce_id for one in self.feedback]
        assert len(ids) == len(set(ids))


@pytest.fixture
def rebuilt(tmp_path: Path) -> Iterator[World]:
    """Where the topics are read into once more: the digest does not depend on the database."""
    with World(f"sqlite:///{tmp_path}/rebuilt.db") as made:
        yield made


def test_whatever_happens_nothing_is_lost_or_repeated(
    world: World, rebuilt: World, request: pytest.FixtureRequest
) -> None:
    quick = request.node.callspec.params["new_url"] == "sqlite"
    run_state_machine_as_test(
        type("OnThisDatabase", (Machine,), {"world": world, "rebuilt": rebuilt}),
        settings=settings(
            max_examples=40 if quick else 8,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
