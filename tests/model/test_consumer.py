"""The consumer through rebalances: where reading begins, what it never repeats, what it reports."""

import json
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException
from consumer_member import PROTOCOLS, Member
from policy_sets import policy, raw, rule

from textmod_model.budget import scoring_seconds
from textmod_model.policies.solved import parse
from textmod_model.stream.consumer import BATCH_BYTES, SMALLEST_BATCH_BYTES
from textmod_model.stream.group_view import DISAGREE_SECONDS, LOOK_SECONDS
from textmod_model.stream.group_view import Member as GroupMember
from textmod_model.stream.membership import OVERLAP_SECONDS
from textmod_model.stream.ownership import SILENCE_SECONDS
from textmod_model.stream.stall import STALLED_SECONDS


@pytest.fixture(params=["AtLeastOnce", "ExactlyOnce"])
def delivery(request):
    return request.param


@pytest.fixture(params=PROTOCOLS)
def member(request, monkeypatch, delivery):
    return Member(monkeypatch, request.param, delivery)


# --- a partition that leaves while held and comes back --------------------------------------------


def test_a_partition_that_is_revoked_while_held_and_comes_back_is_read(member):
    member.cluster.append(0, b"a")
    member.cluster.append(1, b"a")
    member.client.rebalance(assigned=[0, 1])
    assert member.fetch() == {0: [0], 1: [0]}
    member.done({0: 1, 1: 1})
    member.consumer.hold()
    member.move([0], lose=[1])
    member.consumer.hold()
    member.consumer.resume()
    member.move([0], gain=[1])
    member.fetch()
    member.cluster.append(1, b"b")
    assert member.fetch() == {1: [1]}


def test_a_partition_that_comes_while_held_waits_for_the_resume(member):
    member.client.rebalance(assigned=[0])
    member.fetch()
    member.consumer.hold()
    member.move([0], gain=[1])
    member.cluster.append(1, b"a")
    member.consumer.hold()
    member.consumer.hold()
    assert not member.consumer.more_waits
    member.consumer.resume()
    assert member.fetch() == {1: [0]}


def test_a_partition_that_was_lost_while_held_and_comes_back_is_read(member):
    member.client.rebalance(assigned=[0, 1])
    member.fetch()
    member.consumer.hold()
    member.client.rebalance(lost=[0, 1], assigned=[0, 1])
    member.consumer.hold()
    member.consumer.resume()
    member.cluster.append(0, b"a")
    member.cluster.append(1, b"a")
    assert member.fetch() == {0: [0], 1: [0]}


# --- texts that take long -------------------------------------------------------------------------


def test_a_member_that_works_off_what_it_read_stays_in_its_group(member):
    """24 MiB of slow texts, half a minute each, were twelve minutes without a call."""
    member.client.rebalance(assigned=[0])
    member.cluster.append(0, *[b"x" * BATCH_BYTES] * 24)
    read = []
    for _ in range(24):
        read += member.fetch()[0]
        member.clock.advance(30)
        member.done({0: len(read)})
    assert member.fetch() == {}
    assert read == list(range(24))
    assert member.client.evictions == 0


def test_partitions_go_while_what_was_read_is_worked_off(member):
    member.client.rebalance(assigned=[0, 1])
    for partition in (0, 1):
        member.cluster.append(partition, *[b"x" * BATCH_BYTES] * 4)
    assert member.fetch() == {0: [0]}
    member.done({0: 1})
    member.move([1], lose=[0])
    member.clock.advance(30)
    assert [member.fetch() for _ in range(5)] == [{1: [0]}, {1: [1]}, {1: [2]}, {1: [3]}, {}]


def test_what_is_worked_off_fast_is_fetched_once(member):
    member.client.rebalance(assigned=[0])
    member.fetch()
    member.cluster.append(0, *[b"x" * BATCH_BYTES] * 24)
    for _ in range(24):
        member.fetch()
        member.clock.advance(0.1)
    assert member.client.pauses == 0


def test_a_small_share_of_a_core_gets_small_batches_and_time_for_them(monkeypatch):
    small = Member(monkeypatch, "kip-848", "AtLeastOnce", cores=0.05)
    small.client.rebalance(assigned=[0])
    small.cluster.append(0, *[b"x" * 20_000] * 20)
    assert small.fetch() == {0: [0, 1, 2]}
    worst = scoring_seconds(SMALLEST_BATCH_BYTES, 0.05)
    assert 60 < worst < small.client.options["max.poll.interval.ms"] / 1000


# --- where reading begins -------------------------------------------------------------------------


def test_a_fresh_group_starts_at_the_earliest_message(member):
    member.cluster.append(0, b"a", b"b", b"c")
    member.cluster.truncate(0, 1)
    member.client.rebalance(assigned=[0])
    assert member.fetch() == {0: [1, 2]}


def test_pending_offsets_are_waited_for_whatever_the_assignment_does(member):
    """A killed member's transaction is open; librdkafka alone would read partition 0 again."""
    for partition in range(3):
        member.cluster.append(partition, b"a", b"b", b"c")
        member.cluster.committed[partition] = 2
    member.cluster.unstable = {0}
    member.client.rebalance(assigned=[0, 1])
    read = member.turn_for(3)
    member.done({1: 3})
    member.move([0, 1], gain=[2])
    merged(read, member.turn_for(3))
    member.done({2: 3})
    member.move([0, 1], lose=[2])
    merged(read, member.turn_for(3))
    member.cluster.committed[0] = 3  # the transaction was committed after all
    member.cluster.unstable = set()
    member.cluster.append(0, b"d")
    merged(read, member.turn_for(3))
    assert read == {0: [3], 1: [2], 2: [2]}


def test_a_partition_with_pending_offsets_holds_up_no_other(member):
    member.cluster.unstable = {0}
    member.client.rebalance(assigned=[0, 1, 2])
    member.turn_for(3)
    member.cluster.append(1, b"a")
    member.cluster.append(2, b"a")
    assert member.turn_for(1) == {1: [0], 2: [0]}
    assert member.client.lookups < 30


def test_waiting_for_an_offset_is_logged_once(member, caplog):
    """An outage of an hour is not an hour of lines."""
    caplog.set_level("INFO")
    member.cluster.unstable = {0, 1}
    member.client.rebalance(assigned=[0, 1])
    member.turn_for(300)
    assert sum("read committed offsets" in one for one in caplog.messages) <= 4


def test_an_error_that_the_client_repeats_is_not_repeated_in_the_log(member, caplog):
    member.client.rebalance(assigned=[0])
    for _ in range(100):
        member.client.event(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), partition=0)
        member.fetch()
    assert sum("authorization failed" in one for one in caplog.messages) == 1


def test_a_partition_that_goes_while_its_offset_is_unknown_is_forgotten(member):
    member.cluster.append(0, b"a")
    member.cluster.unstable = {0}
    member.client.rebalance(assigned=[0, 1])
    member.turn_for(2)
    member.move([1], lose=[0])
    member.cluster.unstable = set()
    assert member.turn_for(3) == {}
    assert [one.partition for one in member.client.assignment()] == [1]


def test_after_retention_deleted_our_position_reading_goes_on_at_the_first_message(member):
    member.cluster.append(0, *[b"a"] * 10)
    member.cluster.committed[0] = 2
    member.cluster.truncate(0, 5)
    member.client.rebalance(assigned=[0, 1])
    assert member.turn_for(3) == {0: [5, 6, 7, 8, 9]}


def test_an_end_that_seems_shorter_for_a_moment_repeats_nothing(member):
    """As after a change of leader; the reset policy of librdkafka would read everything again."""
    member.cluster.append(0, *[b"a"] * 10)
    member.client.rebalance(assigned=[0])
    member.turn_for(1)
    member.done({0: 10})
    records = member.cluster.logs[0].records
    member.cluster.logs[0].records = records[:8]
    assert member.turn_for(3) == {}
    member.cluster.logs[0].records = [*records, b"new"]
    assert member.turn_for(3) == {0: [10]}


def test_a_topic_that_was_created_again_is_read_from_its_start(member):
    member.cluster.append(0, *[b"a"] * 10)
    member.client.rebalance(assigned=[0])
    member.turn_for(1)
    member.done({0: 10})
    member.cluster.logs[0].records = [b"new", b"new"]
    assert member.turn_for(15) == {0: [0, 1]}


def test_a_partition_that_the_client_does_not_take_yet_is_assigned_later(member):
    member.cluster.append(0, b"a", b"b")
    member.cluster.committed[0] = 1
    member.client.refusals = 3
    member.client.rebalance(assigned=[0])
    assert member.turn_for(6) == {0: [1]}


def test_the_lag_is_known_from_the_start(member):
    member.cluster.append(0, b"a", b"b", b"c")
    member.cluster.committed[0] = 1
    member.client.rebalance(assigned=[0])
    member.client.frozen = {0}
    member.turn_for(2)
    stats = {"topics": {"in": {"partitions": {"0": {"ls_offset": 3}}}}}
    member.consumer._statistics(json.dumps(stats))
    assert member.consumer.lags() == {0: 2}


# --- partitions that stand still ------------------------------------------------------------------


def test_a_paused_partition_is_noticed_and_restarted_whoever_paused_it(member):
    member.client.rebalance(assigned=[0, 1])
    member.fetch()
    member.client.pause(member.client.assignment()[:1])
    member.cluster.append(0, b"a")
    assert member.turn_for(30) == {0: [0]}
    assert member.health.stalled is None


def test_a_partition_that_stands_still_fails_liveness_with_its_name(member):
    member.client.rebalance(assigned=[0, 1])
    member.fetch()
    member.client.frozen = {1}
    member.cluster.append(1, b"a", b"b")
    for _ in range(int(STALLED_SECONDS) + 20):
        member.cluster.append(0, b"a")  # another flows on
        member.turn_for(1)
        member.fetch()
    answer = member.health.live(member.clock())
    assert not answer.ok
    assert answer.sentence.startswith("Partition 1 of in has 2 messages waiting and has not moved")
    assert not member.health.ready(member.clock()).ok
    member.client.frozen = set()
    assert member.turn_for(10)[1] == [0, 1]
    assert member.health.live(member.clock()).ok


def test_an_offset_that_never_becomes_stable_is_reported_with_its_partition(member):
    member.cluster.unstable = {1}
    member.client.rebalance(assigned=[0, 1])
    member.turn_for(STALLED_SECONDS + 10)
    answer = member.health.live(member.clock())
    assert not answer.ok
    assert "Partition 1 of in is assigned and not read" in answer.sentence


def test_control_records_at_the_end_are_no_messages(member):
    member.client.rebalance(assigned=[0])
    member.cluster.append(0, b"a", None)
    member.turn_for(3 * STALLED_SECONDS)
    assert member.health.live(member.clock()).ok


def test_an_unreachable_broker_is_not_a_partition_that_stands_still(member):
    member.client.rebalance(assigned=[0])
    member.fetch()
    member.client.frozen = {0}
    member.cluster.append(0, b"a")
    member.cluster.unreachable = True
    member.turn_for(2 * STALLED_SECONDS)
    assert member.health.stalled is None


def test_what_may_not_be_read_is_reported(member):
    """The permission was taken away: no partition moves, and no broker says where it ends."""
    member.client.rebalance(assigned=[0])
    member.fetch()
    member.client.frozen = {0}
    member.health.model = "science:1"
    denied = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    member.client.event(denied, partition=0)
    ends, member.client.offsets_for_times = member.client.offsets_for_times, refuse(denied)
    member.turn_for(2 * STALLED_SECONDS)
    answer = member.health.ready(member.clock())
    assert not answer.ok
    assert "Topic authorization failed" in answer.sentence
    assert member.health.live(member.clock()).ok, "a restart would not help"
    member.client.offsets_for_times = ends
    member.turn_for(10)
    assert member.health.denied is None


def refuse(error):
    """A call of the client that fails."""

    def call(*_arguments, **_options):
        raise KafkaException(error)

    return call


def test_held_partitions_are_not_stalled(member):
    member.client.rebalance(assigned=[0])
    member.fetch()
    member.cluster.append(0, b"a")
    for _ in range(2 * int(STALLED_SECONDS)):
        member.clock.advance(1)
        member.consumer.hold()
    assert member.health.stalled is None
    member.consumer.resume()
    assert member.turn_for(1) == {0: [0]}


# --- leaving --------------------------------------------------------------------------------------


def test_closing_on_a_broker_without_the_protocol_is_no_traceback(member):
    """SIGTERM in the first second: the fatal error comes while it leaves."""
    member.client.event(KafkaError(KafkaError._FATAL, "UNSUPPORTED_VERSION", True))
    member.consumer.close()
    assert all(client.closed for client in member.clients)


class Coordinator:
    """What the group's coordinator says, asked by every look."""

    def __init__(self):
        self.members = None
        self.asked = 0
        self._open = False

    def ask(self):
        self.asked += 1
        self._open = True

    def answer(self):
        found, self._open = (self.members if self._open else None), False
        return found


@pytest.fixture
def doubted(monkeypatch):
    """A member of partition 0, and the coordinator that it asks."""
    coordinator = Coordinator()
    member = Member(monkeypatch, "kip-848", "AtLeastOnce", group=coordinator)
    member.client.rebalance(assigned=[0])
    member.fetch()
    return member, coordinator


def test_a_partition_that_only_the_coordinator_knows_to_be_ours_makes_us_join_anew(doubted):
    member, coordinator = doubted
    coordinator.members = {"me": GroupMember(frozenset({0, 1}), frozenset({0, 1}))}
    member.turn_for(DISAGREE_SECONDS)
    assert len(member.clients) == 1, "a rebalance takes its time"
    member.turn_for(2 * LOOK_SECONDS)
    assert len(member.clients) == 2
    assert member.clients[0].closed
    member.client.rebalance(assigned=[0, 1])
    member.cluster.append(1, b"waits")
    assert member.fetch() == {1: [0]}


def test_a_coordinator_that_agrees_is_not_asked_again_before_something_happens(doubted):
    member, coordinator = doubted
    coordinator.members = {"me": GroupMember(frozenset({0}), frozenset({0}))}
    member.turn_for(LOOK_SECONDS + 1)
    asked = coordinator.asked
    member.turn_for(200)
    assert coordinator.asked == asked
    assert len(member.clients) == 1
    member.consumer._statistics(json.dumps({"brokers": {"b": {"req_timeouts": 1}}}))
    member.turn_for(200)
    assert coordinator.asked == asked + 1


def test_a_coordinator_that_does_not_answer_changes_nothing(doubted):
    member, coordinator = doubted
    member.turn_for(300)
    assert coordinator.asked == 4, "after 15 s, 30, 60, 120: each question takes CPU"
    assert len(member.clients) == 1


def merged(into, more):
    for partition, offsets in more.items():
        into.setdefault(partition, []).extend(offsets)


# --- budgets of policies --------------------------------------------------------------------------

REVIEWS = parse(raw(policy(rule("Review", 0.5, budgetPerDay=6))))


def written(member, offsets):
    """Commit as the delivery does; in a transaction the offsets go along."""
    for one in member.consumer.topic_partitions(offsets):
        member.cluster.notes[one.partition] = one.metadata
    member.done(offsets)


def test_what_was_spent_goes_with_the_partition(member):
    member.client.rebalance(assigned=[0])
    member.fetch()
    take = member.consumer.allowance.for_batch(REVIEWS)
    assert [take("off-topic", 0, 0) for _ in range(3)] == [True, True, False]
    written(member, {0: 1})
    rate, _, spent = member.cluster.notes[0].partition(";")
    assert (rate, spent[:6]) == ("rate=812.5", "spent=")
    member.move([], lose=[0])
    member.fetch()
    assert member.consumer.allowance.note(0) == ""
    member.move([], gain=[0])
    member.fetch()
    assert member.consumer.allowance.note(0) == spent


def test_what_an_idle_partition_lent_is_written_beside_its_offset(member):
    member.cluster.committed |= {1: 0}
    member.client.rebalance(assigned=[0, 1, 2])
    member.turn_for(2)
    take = member.consumer.allowance.for_batch(REVIEWS)
    asked = [take("off-topic", 0, 0) for _ in range(5)]
    assert asked == [True] * 4 + [False], "partition 2 has no offset to write beside yet"
    for one in member.consumer.topic_partitions({0: 1}):
        if member.consumer._settings.delivery == "ExactlyOnce":
            member.cluster.notes[one.partition] = one.metadata
    member.done({0: 1})
    assert "spent=" in member.cluster.notes[1]
    assert member.cluster.committed[1] == 0
    member.fetch()
    assert not member.consumer.allowance.lent


def test_a_commit_of_what_was_lent_that_fails_is_repeated_though_nothing_is_read(member):
    if member.consumer._settings.delivery == "ExactlyOnce":
        pytest.skip("its notes go with the transaction")
    member.cluster.committed |= {0: 0, 1: 0}
    member.client.rebalance(assigned=[0, 1])
    member.turn_for(2)
    take = member.consumer.allowance.for_batch(REVIEWS)
    assert [take("off-topic", 0, 0) for _ in range(3)] == [True] * 3
    member.cluster.commit_error = KafkaError(KafkaError._TRANSPORT)
    member.done({0: 1})
    member.turn_for(0)
    assert "spent=" not in member.cluster.notes.get(1, "")
    assert member.consumer.allowance.lent == {1}
    member.turn_for(3)
    assert "spent=" in member.cluster.notes[1]
    assert not member.consumer.allowance.lent


def test_what_is_lent_while_a_transaction_is_committed_goes_with_the_next(member):
    if member.consumer._settings.delivery == "AtLeastOnce":
        pytest.skip("its offsets are taken when they are stored")
    member.cluster.committed |= {1: 0}
    member.client.rebalance(assigned=[0, 1])
    member.turn_for(2)
    take = member.consumer.allowance.for_batch(REVIEWS)
    assert [take("off-topic", 0, 0) for _ in range(3)] == [True] * 3
    first = member.consumer.topic_partitions({0: 1})
    assert take("off-topic", 0, 0)
    member.done({0: 1})
    second = member.consumer.topic_partitions({0: 2})
    assert [one.partition for one in first] == [one.partition for one in second] == [0, 1]
    assert first[1].metadata != second[1].metadata
    member.done({0: 2})
    assert not member.consumer.allowance.lent


def test_while_no_broker_says_how_large_the_topic_is_nothing_is_spent(member):
    member.client.rebalance(assigned=[0])
    member.fetch()
    member.cluster.unreachable = True
    assert not member.consumer.allowance.for_batch(REVIEWS)("off-topic", 0, 0)
    member.cluster.unreachable = False
    assert member.consumer.allowance.for_batch(REVIEWS)("off-topic", 0, 0)


# --- two members with one partition ---------------------------------------------------------------


class Downstream:
    """Record what a revocation finishes, and what it gives up."""

    def __init__(self):
        self.gone = set()
        self.finished = []
        """The partitions of each call, and those that were given up before it."""

    def before_revoke(self, partitions):
        self.finished.append((partitions, set(self.gone)))

    def after_revoke(self, partitions):
        self.gone |= partitions


@pytest.fixture
def reading(member):
    """A member that has read three messages of partition 0, and one of partition 1."""
    for text in (b"a", b"b", b"c"):
        member.cluster.append(0, text)
    member.cluster.append(1, b"a")
    member.client.rebalance(assigned=[0, 1])
    member.downstream = Downstream()
    member.fetch()
    return member


def test_a_partition_that_another_member_went_on_with_is_read_on_from_there(reading):
    reading.cluster.committed[0] = 2
    assert reading.consumer.confirm({0, 1})
    assert reading.downstream.gone == {0}
    reading.cluster.append(0, b"d")
    assert reading.fetch() == {}, "its committed offset is not looked up yet"
    assert reading.turn_for(2) == {0: [2, 3]}
    assert reading.consumer.confirm({0, 1})
    assert reading.downstream.gone == {0}
    assert reading.downstream.finished == []


def test_messages_of_it_that_wait_are_dropped(reading):
    reading.cluster.append(0, b"d", b"e")
    reading.consumer._carried = reading.client._read(0, 100)[:2]
    assert reading.consumer.more_waits
    reading.cluster.committed[0] = 4
    assert reading.consumer.confirm({0})
    assert reading.turn_for(2) == {0: [4]}


def test_our_own_commits_are_no_other_members(reading):
    reading.done({0: 3})
    reading.cluster.append(0, b"d")
    assert reading.turn_for(1) == {0: [3]}
    assert reading.consumer.confirm({0, 1})
    assert reading.downstream.gone == set()


def test_nothing_is_confirmed_while_the_broker_has_no_stable_answer(reading):
    reading.cluster.unstable = {0}
    assert not reading.consumer.confirm({0, 1})
    reading.cluster.unstable = set()
    assert reading.consumer.confirm({0, 1})


def test_nothing_is_confirmed_while_one_partition_has_an_error_in_the_answer(reading):
    committed = reading.client.committed
    error = KafkaError(KafkaError.NOT_COORDINATOR)
    reading.client.committed = lambda _partitions, timeout: [
        SimpleNamespace(partition=0, offset=-1001, error=error),
        SimpleNamespace(partition=1, offset=-1001, error=None),
    ]
    assert not reading.consumer.confirm({0, 1})
    reading.client.committed = committed
    assert reading.consumer.confirm({0, 1})
    assert reading.downstream.gone == set()


@pytest.fixture
def unserved(monkeypatch):
    """A member whose late assignment is of a partition that another member has, and both read."""
    coordinator = Coordinator()
    member = Member(monkeypatch, "kip-848", "ExactlyOnce", owners=coordinator)
    member.coordinator, member.downstream = coordinator, Downstream()
    member.cluster.append(0, b"a")
    member.cluster.append(1, b"a")
    member.client.rebalance(assigned=[0, 1])
    assert member.fetch()
    return member


def held_by(**partitions):
    return {who: GroupMember(frozenset(has), frozenset(has)) for who, has in partitions.items()}


def test_what_another_member_has_is_not_committed_before_that_one_has_committed(unserved):
    # Neither has committed, so that the committed offsets are the same for both.
    assert unserved.cluster.committed == {}
    assert not unserved.consumer.confirm({0, 1})
    unserved.coordinator.members = held_by(me={0}, other={1})
    assert not unserved.consumer.confirm({0, 1})
    assert unserved.consumer.confirm({0})


def test_it_is_given_up_unfinished_when_the_client_hears_of_it(unserved):
    unserved.coordinator.members = held_by(me={0}, other={1})
    unserved.consumer.confirm({0, 1})
    unserved.client.rebalance(revoked=[1])
    unserved.fetch()
    assert (unserved.downstream.gone, unserved.downstream.finished) == ({1}, [])
    assert unserved.consumer.confirm({0})


def test_it_is_given_up_before_what_is_ours_is_finished(unserved):
    unserved.coordinator.members = held_by(me={0}, other={1})
    unserved.consumer.confirm({0, 1})
    assert unserved.consumer.confirm({0})
    unserved.client.rebalance(revoked=[0, 1])
    unserved.fetch()
    assert unserved.downstream.finished == [({0}, {1})]
    assert unserved.downstream.gone == {0, 1}


def test_a_partition_that_is_only_to_become_ours_is_not_confirmed(unserved):
    unserved.coordinator.members = {
        "other": GroupMember(frozenset({1}), frozenset()),
        "me": GroupMember(frozenset({0}), frozenset({0, 1})),
    }
    assert not unserved.consumer.confirm({0, 1})
    assert not unserved.consumer.confirm({0, 1})
    assert unserved.consumer.confirm({0})


def test_a_slow_answer_confirms_nothing_that_was_assigned_after_the_question(unserved):
    answer, unserved.coordinator.answer = unserved.coordinator.answer, lambda: None
    unserved.coordinator.members = held_by(me={0, 1})
    assert not unserved.consumer.confirm({0, 1})
    unserved.client.rebalance(revoked=[1], assigned=[1])
    unserved.fetch()
    unserved.clock.advance(1)
    assert not unserved.consumer.confirm({0, 1})
    unserved.coordinator.answer = answer
    assert not unserved.consumer.confirm({1})
    assert unserved.consumer.confirm({0})


def test_one_question_is_about_all_partitions(unserved):
    unserved.coordinator.members = held_by(me={0, 1})
    assert not unserved.consumer.confirm({0})
    assert unserved.consumer.confirm({0})
    assert unserved.consumer.confirm({1})
    assert unserved.coordinator.asked == 1


def test_partitions_that_the_coordinator_confirms_are_asked_about_once(unserved):
    unserved.coordinator.members = held_by(me={0, 1})
    assert not unserved.consumer.confirm({0, 1})
    assert unserved.consumer.confirm({0, 1})
    unserved.clock.advance(60)
    assert unserved.consumer.confirm({0, 1})
    assert unserved.coordinator.asked == 1


def test_a_partition_that_left_and_came_back_is_confirmed_again(unserved):
    unserved.coordinator.members = held_by(me={0, 1})
    assert not unserved.consumer.confirm({0, 1})
    unserved.client.rebalance(revoked=[1], assigned=[1])
    unserved.fetch()
    assert not unserved.consumer.confirm({0, 1}), "the answer was to a question asked before"
    unserved.clock.advance(1)
    assert not unserved.consumer.confirm({0, 1})
    assert unserved.consumer.confirm({0, 1})


def test_a_coordinator_that_never_describes_the_group_stops_nothing_for_long(unserved):
    for _ in range(int(SILENCE_SECONDS)):
        assert not unserved.consumer.confirm({0, 1})
        unserved.clock.advance(1)
    unserved.clock.advance(1)
    assert unserved.consumer.confirm({0, 1})


def test_a_coordinator_that_denies_it_stops_it_for_as_long_as_it_does(unserved):
    unserved.coordinator.members = held_by(me={0}, other={1})
    for _ in range(3 * int(SILENCE_SECONDS)):
        assert not unserved.consumer.confirm({1})
        unserved.clock.advance(1)


def test_a_partition_that_is_another_members_for_good_makes_us_join_anew_while_held(monkeypatch):
    """The client lost its revocation: nothing of it is confirmed, so that the stream never reads
    again; and only a look at the group from there ends that."""
    owners, group = Coordinator(), Coordinator()
    member = Member(monkeypatch, "kip-848", "ExactlyOnce", owners=owners, group=group)
    owners.members = group.members = held_by(me={0}, other={1})
    member.client.rebalance(assigned=[0, 1])
    member.cluster.append(1, b"a")
    assert member.fetch() == {1: [0]}
    for _ in range(int(DISAGREE_SECONDS + 3 * LOOK_SECONDS)):
        member.clock.advance(1)
        assert len(member.clients) > 1 or not member.consumer.confirm({1})
        member.consumer.hold()
    assert len(member.clients) == 2
    member.consumer.hold()
    member.client.rebalance(assigned=[0])
    member.consumer.hold()
    member.cluster.append(0, b"a")
    member.consumer.hold()
    assert not member.consumer.more_waits, "it still reads nothing"
    member.consumer.resume()
    assert member.fetch() == {0: [0]}


def test_with_the_classic_protocol_the_coordinator_is_not_asked(unserved):
    # It fences an old generation itself.
    unserved.client.event(KafkaError(KafkaError._FATAL, "UNSUPPORTED_VERSION", True))
    unserved.fetch()
    unserved.client.rebalance(assigned=[0, 1])
    assert unserved.fetch() == {0: [0], 1: [0]}
    assert unserved.consumer.confirm({0, 1})
    assert unserved.coordinator.asked == 0


def test_partitions_that_start_one_after_another_repeat_nothing(member):
    # Eager: each start assigns all partitions again, also those that were not read in between.
    member.cluster.append(0, b"a")
    member.cluster.unstable = {1, 2}
    member.client.rebalance(assigned=[0, 1, 2])
    assert member.turn_for(2) == {0: [0]}
    member.cluster.unstable = {2}
    member.turn_for(2)
    member.cluster.unstable = set()
    assert member.turn_for(2) == {}


def test_a_partition_that_we_have_for_long_is_ours_alone(reading):
    reading.turn_for(OVERLAP_SECONDS + 1)
    before = reading.client.lookups
    assert reading.consumer.confirm({0, 1})
    assert reading.client.lookups == before


def test_the_group_is_joined_when_messages_are_asked_for_and_not_before(member):
    # An assignment that waits for a member which is still preparing its transactions goes to
    # another one as well, if the coordinator's connection breaks meanwhile.
    assert member.client._callbacks == {}
    member.fetch()
    assert set(member.client._callbacks) == {"assign", "revoke", "lost"}


def test_a_member_that_never_joined_closes_at_once(member):
    before = member.clock()
    member.consumer.close()
    assert member.client.closed
    assert member.clock() == before
