"""The input topic deleted and created again under the consumer: nothing lost, ids of its own."""

import pytest
from confluent_kafka import KafkaError
from consumer_member import PROTOCOLS, Member
from fake_kafka import FakeMessage, FakeTopicIds

from textmod_model.formats.message import Refused
from textmod_model.stream.input_identity import ASK_SECONDS, SILENCE_SECONDS
from textmod_model.stream.letters import DeadLetters
from textmod_model.stream.records import Renamed, source_of
from textmod_model.stream.redrive import Letter

FIRST, SECOND = "a" * 22, "b" * 22


@pytest.fixture(params=["AtLeastOnce", "ExactlyOnce"])
def delivery(request):
    return request.param


@pytest.fixture(params=PROTOCOLS)
def member(request, monkeypatch, delivery):
    return Member(monkeypatch, request.param, delivery, topic_ids=FakeTopicIds, first=FIRST)


def sources(member, seconds=1):
    """Where the messages are from that are read meanwhile, as their ids say."""
    found, client = [], member.client
    for _ in range(int(seconds)):
        member.clock.advance(1)
        if member.client is not client:
            client = member.client
            client.rebalance(assigned=[0])
        found += [(one.topic(), one.offset()) for one in member.consumer.fetch(100, wait=0)]
    return found


def read(member, count):
    """Read messages of partition 0 from its beginning, and commit."""
    member.cluster.append(0, *[b"a"] * count)
    member.client.rebalance(assigned=[0])
    assert sources(member) == [("in", offset) for offset in range(count)]
    member.done({0: count})


def test_the_first_topic_has_plain_ids(member):
    read(member, 3)
    member.move([], lose=[0])
    member.move([], gain=[0])
    member.cluster.append(0, b"b")
    assert sources(member, 3) == [("in", 3)]


def test_a_longer_topic_that_is_noticed_by_nothing_is_read_from_its_start(member):
    """Without a rebalance a position of the old topic is within the new one: nothing else tells."""
    read(member, 3)
    member.cluster.create_again(SECOND)
    member.cluster.append(0, *[b"new"] * 6)
    found = sources(member, ASK_SECONDS + 5)
    assert {one for one in found if one[0] != "in"} == {(f"in@{SECOND}", n) for n in range(6)}


def test_a_shorter_topic_is_read_from_its_start_at_once(member):
    read(member, 3)
    member.cluster.create_again(SECOND)
    member.cluster.append(0, b"new")
    assert sources(member, 4) == [(f"in@{SECOND}", 0)]


def test_a_topic_whose_leaders_old_clients_do_not_find_is_read_with_a_new_one(member):
    read(member, 3)
    member.cluster.create_again(SECOND, moved=True)
    member.cluster.append(0, *[b"new"] * 6)
    assert sources(member, ASK_SECONDS + 5) == [(f"in@{SECOND}", n) for n in range(6)]
    assert [client.closed for client in member.clients] == [True, False]


def test_and_so_it_is_if_the_group_has_noticed_first(member):
    """The partitions that it assigns are of the new topic by then; the client is not."""
    read(member, 3)
    member.cluster.create_again(SECOND, moved=True)
    member.cluster.append(0, *[b"new"] * 6)
    member.move([], lose=[0])
    member.move([], gain=[0])
    assert sources(member, 4) == [(f"in@{SECOND}", n) for n in range(6)]


def test_a_client_is_opened_again_once_for_each_topic(member):
    read(member, 3)
    sources(member, 3 * ASK_SECONDS)
    assert len(member.clients) == 1
    member.cluster.create_again(SECOND)
    sources(member, 3 * ASK_SECONDS)
    assert len(member.clients) == 2


def test_a_group_that_does_not_let_a_member_go_holds_up_no_new_topic(member):
    """The old client leaves for two seconds, and what it had is given up."""
    read(member, 3)
    member.cluster.create_again(SECOND, moved=True)
    member.cluster.append(0, b"new")
    member.client.unsubscribe = lambda: None
    assert sources(member, ASK_SECONDS + 5) == [(f"in@{SECOND}", 0)]


def test_offsets_that_were_committed_late_are_not_those_of_the_new_topic(member):
    """The coordinator revokes the old topic's partitions: what is committed then is the new's."""
    read(member, 3)
    member.cluster.create_again(SECOND, keeps_offsets=True)
    member.cluster.append(0, *[b"new"] * 6)
    member.move([], lose=[0])
    member.move([], gain=[0])
    found = sources(member, 4)
    assert {one for one in found if one[0] != "in"} == {(f"in@{SECOND}", n) for n in range(6)}


def test_a_topic_without_committed_offsets_waits_for_its_id(member):
    """What is read under a name that is not certain would get the ids of other texts."""
    read(member, 3)
    member.ids.silent = True
    member.cluster.create_again(SECOND)
    member.cluster.append(0, b"new")
    member.move([], lose=[0])
    member.move([], gain=[0])
    assert sources(member, 3) == []
    member.ids.silent = False
    assert sources(member, 3) == [(f"in@{SECOND}", 0)]


def test_brokers_that_deny_the_question_do_not_stop_the_stream(member):
    member.ids.denied = True
    member.cluster.append(0, b"a")
    member.client.rebalance(assigned=[0])
    assert sources(member, 3) == []
    assert sources(member, SILENCE_SECONDS + 2) == [("in", 0)]


def test_brokers_without_topic_ids_have_plain_ids(member):
    member.cluster.topic_id = "A" * 22
    read(member, 3)
    member.cluster.append(0, b"b")
    assert sources(member, ASK_SECONDS + 5) == [("in", 3)]


def test_who_starts_on_a_later_topic_gives_its_messages_the_same_ids(monkeypatch, delivery):
    """Another replica, or the next process: ids depend on the first topic and this one alone."""
    member = Member(monkeypatch, "kip-848", delivery, topic_ids=FakeTopicIds, first=FIRST)
    member.cluster.topic_id = SECOND
    member.cluster.append(0, b"a", b"b")
    member.cluster.committed[0] = 1
    member.cluster.notes[0] = f"rate=812.5;topic={SECOND};spent="
    member.client.rebalance(assigned=[0])
    assert sources(member, 3) == [(f"in@{SECOND}", 1)]


def test_without_the_first_topics_id_ids_are_plain_and_nothing_is_lost(monkeypatch, delivery):
    member = Member(monkeypatch, "kip-848", delivery, topic_ids=FakeTopicIds)
    read(member, 3)
    member.cluster.create_again(SECOND)
    member.cluster.append(0, *[b"new"] * 6)
    found = sources(member, ASK_SECONDS + 5)
    assert set(found) == {("in", offset) for offset in range(6)}


def test_exactly_once_a_topic_found_by_its_lost_offsets_is_read_once(monkeypatch):
    """The check before a commit finds no committed offset and starts again; that is enough."""
    member = Member(monkeypatch, "kip-848", "ExactlyOnce", topic_ids=FakeTopicIds, first=FIRST)
    read(member, 3)
    member.cluster.create_again(SECOND)
    member.cluster.append(0, *[b"new"] * 6)
    assert sources(member) == [("in", 3), ("in", 4), ("in", 5)]
    assert member.consumer.confirm({0}), "so these are not committed"
    found = sources(member, 3)
    member.done({0: 6})
    assert found + sources(member, ASK_SECONDS + 5) == [(f"in@{SECOND}", n) for n in range(6)]


@pytest.fixture(params=PROTOCOLS)
def again(request, monkeypatch):
    """A member that committed offset 3 of a topic, and has read a message of the next.

    Its brokers have no topic ids, so that the client goes on.
    """
    member = Member(monkeypatch, request.param, "AtLeastOnce", topic_ids=FakeTopicIds, first=FIRST)
    member.cluster.topic_id = "A" * 22
    member.cluster.append(0, b"a", b"b", b"c")
    member.client.rebalance(assigned=[0])
    assert sources(member) == [("in", offset) for offset in range(3)]
    member.consumer.store({0: 3})
    member.move([], lose=[0])
    sources(member)
    assert member.cluster.committed == {0: 3}
    member.cluster.create_again("A" * 22)
    member.cluster.append(0, b"new", b"new")
    member.move([], gain=[0])
    assert sources(member, 3) == [("in", 0), ("in", 1)]
    return member


def test_offsets_of_the_new_topic_are_committed_that_are_behind_those_of_the_old_one(again):
    """librdkafka does not commit them: the group would look as if it had read nothing."""
    again.consumer.store({0: 1})
    assert again.cluster.committed == {0: 1}
    assert again.cluster.notes[0] == "rate=812.5"
    again.consumer.store({0: 2})
    sources(again)
    again.move([], lose=[0])
    sources(again)
    assert again.cluster.committed == {0: 2}


def test_what_the_brokers_did_not_take_of_them_is_committed_again(again):
    again.cluster.commit_error = KafkaError(KafkaError.REBALANCE_IN_PROGRESS)
    again.consumer.store({0: 1})
    assert again.cluster.committed == {}
    sources(again, 2)
    assert again.cluster.committed == {0: 1}


def test_or_when_its_partition_goes(again):
    again.cluster.commit_error = KafkaError(KafkaError.REBALANCE_IN_PROGRESS)
    again.consumer.store({0: 1})
    again.move([], lose=[0])
    sources(again)
    assert again.cluster.committed == {0: 1}


def test_offsets_that_a_new_topics_reader_committed_are_taken_by_who_knew_the_old_one(member):
    """The note is of the topic that the answer names, which comes while the offset is looked at."""
    read(member, 3)
    member.move([], lose=[0])
    sources(member)
    member.cluster.create_again(SECOND)
    member.cluster.append(0, b"a", b"b", b"c", b"d")
    member.cluster.committed[0] = 3
    member.cluster.notes[0] = f"topic={SECOND}"
    member.move([], gain=[0])
    assert set(sources(member, 3)) == {(f"in@{SECOND}", 3)}


# --- another cluster ------------------------------------------------------------------------------


def start_over(monkeypatch, member, first=FIRST):
    """A new process on the same cluster."""
    again = Member(monkeypatch, "kip-848", "ExactlyOnce", topic_ids=FakeTopicIds, first=first)
    again.cluster.__dict__ = member.cluster.__dict__
    again.client.rebalance(assigned=[0])
    return again


@pytest.mark.parametrize("first", [FIRST, SECOND, ""])
def test_offsets_that_were_mirrored_from_another_cluster_are_taken(monkeypatch, member, first):
    """Another id does not make it another stream: the offset is translated, the note is not."""
    read(member, 3)
    assert ";cluster=cluster-1" in member.cluster.notes[0]
    member.cluster.fail_over(SECOND, "cluster-2", {0: 1})
    member.cluster.append(0, b"b", b"c")
    again = start_over(monkeypatch, member, first)
    name = f"in@{SECOND}" if first == FIRST else "in"
    assert sources(again, 3) == [(name, 1)]
    again.done({0: 2})
    assert f"topic={SECOND};cluster=cluster-2" in member.cluster.notes[0]


def test_a_worker_that_the_brokers_change_under_goes_on_at_the_mirrored_offset(member):
    """Such as behind an address that leads to the other cluster now."""
    read(member, 3)
    member.cluster.fail_over(SECOND, "cluster-2", {0: 1})
    member.cluster.append(0, b"b", b"c")
    member.client.rebalance(lost=[0], assigned=[0])
    found = sources(member, 5)
    assert found[-1] == (f"in@{SECOND}", 1)
    assert {offset for _, offset in found} == {1}


def test_no_message_is_read_from_another_cluster_under_the_first_topics_name(monkeypatch, member):
    """While it is not known which cluster this is: its message 1 is not the other's."""
    read(member, 3)
    member.cluster.fail_over(SECOND, "cluster-2", {0: 1})
    member.cluster.append(0, b"b", b"c")
    again = start_over(monkeypatch, member)
    again.ids.silent = True
    assert sources(again, 3) == []
    again.ids.silent = False
    assert sources(again, 3) == [(f"in@{SECOND}", 1)]


def test_a_note_of_before_clusters_were_written_is_of_an_earlier_topic(monkeypatch, member):
    read(member, 3)
    member.cluster.notes[0] = f"rate=812.5;topic={FIRST};spent="
    member.cluster.fail_over(SECOND, "cluster-2", {0: 1})
    member.cluster.append(0, b"b", b"c")
    again = start_over(monkeypatch, member)
    assert sources(again, 3) == [(f"in@{SECOND}", 0), (f"in@{SECOND}", 1)]


def test_the_note_of_a_topic_gets_its_cluster_with_the_next_commit(monkeypatch, member):
    member.cluster.committed[0], member.cluster.notes[0] = 1, f"topic={FIRST}"
    member.cluster.append(0, b"a", b"b")
    again = start_over(monkeypatch, member)
    assert sources(again, 3) == [("in", 1)]
    again.done({0: 2})
    assert f"topic={FIRST};cluster=cluster-1" in member.cluster.notes[0]


@pytest.mark.parametrize("cluster", ["", "no;such spent=", "x" * 200])
def test_a_cluster_without_an_id_that_can_be_written_is_read_as_before(
    monkeypatch, member, cluster
):
    member.cluster.cluster_id = cluster
    read(member, 3)
    assert member.cluster.notes[0] == f"rate=812.5;topic={FIRST}"
    member.cluster.create_again(SECOND, keeps_offsets=True)
    member.cluster.append(0, *[b"new"] * 4)
    again = start_over(monkeypatch, member)
    assert sources(again, 3) == [(f"in@{SECOND}", offset) for offset in range(4)]


def test_who_never_hears_where_it_is_takes_the_offset_in_the_end(monkeypatch, member):
    read(member, 3)
    member.cluster.append(0, b"b")
    again = start_over(monkeypatch, member)
    again.ids.denied = True
    assert sources(again, SILENCE_SECONDS + 3) == [("in", 3)]


def test_it_asks_seldom(member):
    read(member, 1)
    before = member.ids.questions
    sources(member, 10 * ASK_SECONDS)
    assert member.ids.questions - before <= 10


def test_a_dead_letter_that_is_sent_again_through_the_model_keeps_the_id():
    message = Renamed(FakeMessage(0, 7, b"\xff"), f"in@{SECOND}")
    record = DeadLetters("science:1").whole(message, Refused("NotUtf8", "it is wrong."))
    letter = FakeMessage(0, 100, record.value, topic="dead", headers=record.headers)
    assert source_of(Letter(letter)) == source_of(message) == (f"in@{SECOND}", 0, 7)
