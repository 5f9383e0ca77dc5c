"""Cards, claims, decisions and undo, on both databases."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from desk_world import START, World, request
from sqlalchemy import func, select

from textmod_console.desk import LEASE, UNDO, Answer
from textmod_console.errors import (
    ClaimedByAnotherError,
    InvalidAnswerError,
    NotFoundError,
    OutdatedError,
    TooLateError,
)
from textmod_console.events import Appeal
from textmod_console.store import arrival, ended, outbox, projection, queue
from textmod_console.store.database_desk import DatabaseDesk
from textmod_console.store.schema import absences, claims


def take(world: World, reviewer: str) -> str | None:
    card = world.desk.next_card(reviewer)
    return card.item if card else None


def test_held_items_come_first_then_due_ones_then_the_earliest(world: World) -> None:
    early, late = START.replace(hour=1), START.replace(hour=2)
    world.ask(
        request("late", at=late),
        request("early", at=early),
        request("due later", due=late),
        request("due soon", due=early),
        request("held", hold=True),
    )
    order = [take(world, f"reviewer {n}") for n in range(6)]
    assert order == ["held", "due soon", "due later", "early", "late", None]


def test_the_random_sample_gets_one_card_in_eight_and_all_when_nothing_else_waits(
    world: World,
) -> None:
    world.ask(request("asked", hold=True), request("random", blind=True))
    world.luck = 0.12
    assert take(world, "ann") == "random"
    world.luck = 0.2
    assert take(world, "bob") == "asked"
    world.ask(request("random too", blind=True))
    assert take(world, "cat") == "random too"


def test_a_blind_card_shows_no_score_until_somebody_decided(world: World) -> None:
    world.ask(request("i", blind=True))
    card = world.desk.next_card("ann")
    assert card is not None
    assert (card.scores, card.explanation, card.action) == (None, None, None)
    world.desk.decide("i", "ann", Answer("Unsure"), card.version)
    assert world.desk.card("i", "ann").scores is None
    card = world.desk.claim("i", "bob")
    world.desk.decide("i", "bob", Answer("Approve"), card.version)
    assert world.desk.card("i", "ann").scores == {"removed": 0.75}


def test_a_reviewer_keeps_the_item_and_nobody_else_gets_it_until_the_lease_ends(
    world: World,
) -> None:
    world.ask(request("i"))
    assert take(world, "ann") == "i"
    assert take(world, "bob") is None
    world.wait(seconds=100)
    assert take(world, "ann") == "i"  # renews
    world.wait(seconds=100)
    assert take(world, "bob") is None
    with pytest.raises(ClaimedByAnotherError):
        world.desk.claim("i", "bob")
    world.wait(seconds=20)
    assert take(world, "bob") == "i"
    with pytest.raises(ClaimedByAnotherError):
        world.desk.decide("i", "ann", Answer("Remove"), 0)


def test_a_claim_is_in_the_audit_once_however_often_it_is_renewed(world: World) -> None:
    world.ask(request("i"))
    for _ in range(2):
        assert world.desk.claim("i", "ann").claimed_by == "ann"
        assert take(world, "ann") == "i"
    assert [record.act for record in world.desk.audit(None, 9)] == ["claim"]
    world.wait(seconds=LEASE.seconds)
    world.desk.claim("i", "bob")
    assert [record.actor for record in world.desk.audit(None, 9)] == ["bob", "ann"]


def test_a_released_item_is_free(world: World) -> None:
    world.ask(request("i"))
    take(world, "ann")
    world.desk.release("i", "bob")
    assert take(world, "bob") is None
    world.desk.release("i", "ann")
    assert take(world, "bob") == "i"


def test_the_next_card_is_preloaded_beside_the_one_that_is_shown(world: World) -> None:
    world.ask(request("a", at=START), request("b", at=START.replace(hour=13)))
    assert take(world, "ann") == "a"
    card = world.desk.next_card("ann", frozenset({"a"}))
    assert card is not None
    assert card.item == "b"
    assert take(world, "ann") == "a"


def test_a_decision_copies_what_measurement_needs(world: World) -> None:
    world.ask(request("i", text="buy \x00 now"))
    card = world.desk.next_card("ann")
    assert card is not None
    world.wait(seconds=3)
    answer = Answer("Remove", note="ad", seen_score=True, milliseconds=3000)
    decision = world.desk.decide("i", "ann", answer, card.version)
    value = json.loads(decision.value())
    assert value.pop("id")
    assert value.pop("tool")["name"] == "textmod-console"
    assert value == {
        "item": "i",
        "decision": "Remove",
        "labels": {"removed": 1.0},
        "policy": "spam",
        "note": "ad",
        "selection": {"strategy": "Policy", "probability": 1.0},
        "action": "Review",
        "flagged": True,
        "seen": {"score": True, "explanation": False},
        "actor": "ann",
        "actorKind": "Human",
        "model": "sha256:ab",
        "textSha256": hashlib.sha256(b"buy \x00 now").hexdigest(),
        "milliseconds": 3000,
        "at": "2026-11-27T12:00:03Z",
        "requestedAt": "2026-11-27T12:00:00Z",
        "scores": {"removed": 0.75},
    }
    assert take(world, "bob") is None
    assert world.desk.card("i", None).decided == (decision,)


def test_a_card_that_has_changed_is_refused(world: World) -> None:
    world.ask(request("i"))
    card = world.desk.next_card("ann")
    assert card is not None
    world.desk.decide("i", "ann", Answer("Remove"), card.version)
    with pytest.raises(OutdatedError):
        world.desk.decide("i", "ann", Answer("Approve"), card.version)
    with pytest.raises(NotFoundError):
        world.desk.decide("other", "ann", Answer("Approve"), 0)


def test_an_answer_that_is_sent_twice_is_one_decision(world: World) -> None:
    """A double click, or an answer that was lost on its way."""
    world.ask(request("i"))
    answer = Answer("Remove", note="rude", milliseconds=900)
    version = world.desk.claim("i", "ann").version
    first = world.desk.decide("i", "ann", answer, version)
    world.wait(seconds=1)
    assert world.desk.decide("i", "ann", Answer("Remove", note="rude"), version) == first
    assert [entry.act for entry in world.desk.audit(None, 9)] == ["decide", "claim"]
    for reviewer, other in [
        ("bob", answer), ("ann", Answer("Approve", note="rude")), ("ann", Answer("Remove")),
    ]:  # fmt: skip
        with pytest.raises(OutdatedError):
            world.desk.decide("i", reviewer, other, version)
    world.wait(seconds=9)  # long ago: somebody looks at an old card
    with pytest.raises(OutdatedError):
        world.desk.decide("i", "ann", answer, version)
    assert world.desk.card("i", None).decided == (first,)


def test_an_answer_that_was_undone_is_sent_again_as_another(world: World) -> None:
    world.ask(request("i"))
    version = world.desk.claim("i", "ann").version
    first = world.desk.decide("i", "ann", Answer("Remove"), version)
    world.desk.undo(first.id, "ann")
    with pytest.raises(OutdatedError):
        world.desk.decide("i", "ann", Answer("Remove"), version)


def test_a_later_decision_supersedes(world: World) -> None:
    world.ask(request("i"))
    first = world.desk.decide("i", "ann", Answer("Remove"), 0)
    second = world.desk.decide("i", "bob", Answer("Approve"), 1)
    assert second.supersedes == first.id
    assert [one.decision for one in world.desk.card("i", None).decided] == ["Remove", "Approve"]


def test_an_expired_claim_of_another_does_not_hinder_a_decision(world: World) -> None:
    world.ask(request("i"))
    assert take(world, "ann") == "i"
    world.wait(seconds=LEASE.seconds)
    assert world.desk.decide("i", "bob", Answer("Remove"), 0).actor == "bob"


def test_an_answered_appeal_stays_answered_after_later_decisions(world: World) -> None:
    world.ask(request("i"))
    world.desk.decide("i", "ann", Answer("Remove"), 0)
    appeal = Appeal(appeal="a1", item="i", by="the author", reason="satire", at=world.now)
    with world.database.write() as connection:
        projection.take_appeal(connection, appeal, appeal.value().decode())
    card = world.desk.claim("i", "lead")
    answer = Answer("Approve", appeal="a1", outcome="Overturned")
    world.desk.decide("i", "lead", answer, card.version)
    world.desk.decide("i", "bob", Answer("Remove"), card.version + 1)
    assert world.desk.card("i", None).appeal is None
    assert take(world, "cleo") is None


@pytest.mark.parametrize(("answer", "hours"), [("Skip", 1), ("Unsure", 24)])
def test_who_passed_is_not_asked_again_at_once(world: World, answer: str, hours: int) -> None:
    world.ask(request("i"))
    card = world.desk.next_card("ann")
    assert card is not None
    world.desk.decide("i", "ann", Answer(answer), card.version)  # type: ignore[arg-type]
    world.wait(hours=hours, seconds=-1)
    assert take(world, "ann") is None
    assert take(world, "bob") == "i"
    world.desk.release("i", "bob")
    world.wait(seconds=2)
    assert take(world, "ann") == "i"


def test_an_escalated_item_waits_for_a_lead(world: World) -> None:
    world.ask(request("i"))
    world.desk.decide("i", "ann", Answer("Escalate"), 0)
    assert take(world, "bob") is None
    assert world.desk.counts().escalated == 1
    world.desk.decide("i", "lead", Answer("Approve"), 1)
    assert [one.decision for one in world.desk.card("i", None).decided] == ["Escalate", "Approve"]


def test_undo_is_as_if_it_had_never_been(world: World) -> None:
    world.ask(request("i"))
    decision = world.desk.decide("i", "ann", Answer("Skip"), 0)
    with pytest.raises(NotFoundError):
        world.desk.undo(decision.id, "bob")
    world.wait(seconds=9)
    world.desk.undo(decision.id, "ann")
    assert take(world, "ann") == "i"
    assert world.desk.card("i", None).decided == ()
    with pytest.raises(NotFoundError):
        world.desk.undo(decision.id, "ann")
    decision = world.desk.decide("i", "ann", Answer("Remove"), world.desk.card("i", None).version)
    world.wait(seconds=10)
    with pytest.raises(TooLateError):
        world.desk.undo(decision.id, "ann")


def test_a_decision_that_another_followed_is_not_undone(world: World) -> None:
    world.ask(request("i"))
    first = world.desk.decide("i", "ann", Answer("Remove"), 0)
    world.wait(seconds=1)
    world.desk.decide("i", "lead", Answer("Approve"), 1)
    with pytest.raises(TooLateError, match="decided again"):
        world.desk.undo(first.id, "ann")
    assert [one.decision for one in world.desk.card("i", None).decided] == ["Remove", "Approve"]
    with world.database.write() as connection:  # the refusal kept its event
        due = outbox.take(connection, world.now + UNDO, 10, term=7)
    assert first.id in {one.ce_id for one in due}


def test_claims_and_absences_that_have_ended_are_deleted(world: World) -> None:
    world.ask(request("i"), request("j"))
    version = world.desk.claim("i", "ann").version
    world.desk.decide("i", "ann", Answer("Skip"), version)
    take(world, "bob")
    for hours, left in ((0, (1, 1)), (2, (0, 0))):
        world.wait(hours=hours)
        with world.database.write() as connection:
            queue.expire(connection, world.now)
            rows = (select(func.count()).select_from(table) for table in (claims, absences))
            assert tuple(connection.scalar(query) for query in rows) == left


def test_a_decision_waits_ten_seconds_for_an_undo(world: World) -> None:
    world.ask(request("i"))
    decision = world.desk.decide("i", "ann", Answer("Remove"), 0)

    def due() -> list[str]:
        with world.database.write() as connection:
            return [one.ce_id for one in outbox.take(connection, world.now, 10, term=7)]

    assert due() == ["audit-1"]
    world.wait(seconds=9.9)
    assert due() == []
    world.wait(seconds=0.1)
    assert due() == [decision.id]
    assert due() == []  # this term has it


def test_what_is_on_its_way_to_kafka_cannot_be_undone(world: World) -> None:
    world.ask(request("i"))
    decision = world.desk.decide("i", "ann", Answer("Remove"), 0)
    with world.database.write() as connection:  # another replica's clock is ahead
        assert outbox.take(connection, world.now + timedelta(seconds=10), 10, term=7)
    with pytest.raises(TooLateError):
        world.desk.undo(decision.id, "ann")
    assert world.desk.card("i", None).decided == (decision,)


@pytest.mark.parametrize(
    "answer",
    [
        Answer("Remove", note="x" * 2001),
        Answer("Remove", reason="\x00"),
        Answer("Remove", appeal="a1"),
        Answer("Remove", appeal="a1", outcome="Upheld"),
        Answer("Remove", milliseconds=-1),
    ],
)
def test_an_answer_that_makes_no_sense_changes_nothing(world: World, answer: Answer) -> None:
    world.ask(request("i"))
    with pytest.raises(InvalidAnswerError):
        world.desk.decide("i", "ann", answer, 0)
    assert world.desk.card("i", None).version == 0


def test_counts_and_scores(world: World) -> None:
    world.ask(request("a", hold=True), request("b", blind=True), request("c"))
    take(world, "ann")
    world.desk.decide("b", "bob", Answer("Skip"), 0)
    world.desk.decide("c", "bob", Answer("Remove"), 0)
    found = world.desk.counts()
    assert (found.open, found.held, found.claimed, found.decided_today) == (2, 1, 1, 1)
    bins = world.desk.scores_of_the_day().counts["removed"]
    assert bins[48] == pytest.approx(202)  # two of policies, and one that stands for 200


def test_every_replica_knows_since_when_no_texts_arrive(world: World) -> None:
    another = DatabaseDesk(world.database, lambda: world.now)  # does not read the topics
    assert another.counts().silent_since is None  # not known yet
    with world.database.write() as connection:
        arrival.note(connection, world.now)
    world.wait(minutes=2)
    assert DatabaseDesk(world.database, lambda: world.now).counts().silent_since is None
    world.wait(seconds=1)
    assert DatabaseDesk(world.database, lambda: world.now).counts().silent_since == START
    with world.database.write() as connection:
        arrival.note(connection, world.now)
    assert DatabaseDesk(world.database, lambda: world.now).counts().silent_since is None


def test_the_audit_has_every_act_and_its_chain_holds(world: World) -> None:
    world.ask(request("i"))
    take(world, "ann")
    world.desk.record("ann", "reveal", "i")
    decision = world.desk.decide("i", "ann", Answer("Remove"), 0)
    world.desk.undo(decision.id, "ann")
    acts = [(entry.number, entry.act) for entry in world.desk.audit(None, 10)]
    assert acts == [(4, "undo"), (3, "decide"), (2, "reveal"), (1, "claim")]
    assert [entry.number for entry in world.desk.audit(3, 1)] == [2]
    assert world.verify() == 4


def test_many_reviewers_at_once_never_share_an_item(world: World) -> None:
    world.ask(*(request(f"i{n}", blind=n % 3 == 0) for n in range(40)))

    def work(reviewer: str) -> list[str]:
        done = []
        while (card := world.desk.next_card(reviewer)) is not None:
            world.desk.decide(card.item, reviewer, Answer("Remove"), card.version)
            done.append(card.item)
        return done

    with ThreadPoolExecutor(8) as pool:
        done = [item for one in pool.map(work, map(str, range(8))) for item in one]
    assert sorted(done) == sorted(f"i{n}" for n in range(40))
    assert world.verify() == 80


def test_ended_sessions_stay_ended_and_later_ones_are_not(world: World) -> None:
    began = int(world.now.timestamp())
    world.wait(minutes=1)
    world.desk.end_session("ada", "one")
    assert world.desk.has_ended("ada", "one", began)
    assert not world.desk.has_ended("ada", "two", began)
    world.desk.end_sessions_of("ada", "lea")
    world.desk.end_sessions_of("ada", "lea")
    assert world.desk.has_ended("ada", "two", began)
    assert not world.desk.has_ended("bob", "two", began)
    assert not world.desk.has_ended("ada", "three", began + 61)
    last = world.desk.audit(None, 1)[0]
    assert (last.actor, last.act, last.detail) == ("lea", "sign-out-all", {"person": "ada"})
    with world.database.write() as connection:
        ended.expire(connection, world.now + timedelta(hours=8))
    assert world.desk.has_ended("ada", "one", began)
    with world.database.write() as connection:
        ended.expire(connection, world.now + timedelta(hours=25))
    assert not world.desk.has_ended("ada", "one", began)
