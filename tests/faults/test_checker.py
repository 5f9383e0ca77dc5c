"""The checker catches a planted history of each kind, and passes one that is well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faults.checker import check
from faults.history import UNKNOWN, History, Place, Progress, Result, Sent, copies, placed

BOTH = ["AtLeastOnce", "ExactlyOnce"]
HEADERS = frozenset({"number", "ce_id"})


def well(delivery: str) -> History:
    """Six messages of two keys in two partitions; the last became a dead letter."""
    sent = [Sent(n, n % 2, n // 2, b"key-%d" % (n % 2), b"text %d" % n) for n in range(6)]
    results = [
        Result(n, False, part, at, key, None, (part, at), HEADERS)
        for n, part, at, key, _ in sent[:5]
    ]
    last = sent[5]
    results.append(
        Result(5, True, 0, 0, last.key, last.value, (last.partition, last.offset), HEADERS)
    )
    return History(
        delivery=delivery,
        promise_seconds=30,
        sent=sent,
        results=results,
        committed={0: 3, 1: 3},
        progress=[Progress(0, 0), Progress(10, 2), Progress(20, 4), Progress(25, 6)],
        last_fault=10,
    )


def broken(history: History) -> list[str]:
    return check(history).broken(history.delivery)


@pytest.mark.parametrize("delivery", BOTH)
def test_a_history_that_is_well_passes(delivery: str) -> None:
    found = check(well(delivery))
    assert found.broken(delivery) == []
    assert (found.messages, found.duplicated, found.recovery_seconds) == (6, 0, 10)


def test_a_lost_message() -> None:
    history = well("AtLeastOnce")
    del history.results[2]
    history.committed = {0: 1, 1: 3}
    found = check(history)
    assert found.lost == 1
    assert found.ahead == 0
    assert broken(history) == ["lost", "stalled"]


def test_a_message_that_retention_deleted_unread_is_counted_and_not_lost() -> None:
    history = well("AtLeastOnce")
    del history.results[2]
    history.expired = {0, 2}
    found = check(history)
    assert (found.lost, found.expired, found.ahead) == (0, 1, 0)
    assert broken(history) == []


def test_an_offset_committed_ahead_of_its_result() -> None:
    history = well("AtLeastOnce")
    del history.results[2]
    assert check(history).ahead == 1


def test_a_repeated_result() -> None:
    for delivery, expected in (("AtLeastOnce", []), ("ExactlyOnce", ["duplicated"])):
        history = well(delivery)
        history.results.append(history.results[1]._replace(offset=9))
        assert check(history).duplicated == 1
        assert broken(history) == expected


def test_a_verdict_and_a_dead_letter_of_one_message() -> None:
    history = well("ExactlyOnce")
    one = history.sent[5]
    verdict = history.results[5]._replace(dead=False, partition=one.partition, offset=2, value=None)
    history.results.append(verdict)
    assert broken(history) == ["duplicated"]


def test_two_messages_of_a_key_in_the_wrong_order() -> None:
    history = well("AtLeastOnce")
    first, second = history.results[0], history.results[2]
    history.results[0], history.results[2] = (
        first._replace(offset=second.offset),
        second._replace(offset=first.offset),
    )
    assert broken(history) == ["order_breaks"]


def test_a_repetition_is_no_break_of_order() -> None:
    history = well("AtLeastOnce")
    history.results.append(history.results[0]._replace(offset=8))
    history.results.append(history.results[2]._replace(offset=9))
    assert broken(history) == []


@pytest.mark.parametrize(
    "change", [{"key": b"other"}, {"value": b"other"}, {"headers": frozenset({"ce_id"})}]
)
def test_an_altered_dead_letter(change: dict[str, object]) -> None:
    history = well("AtLeastOnce")
    history.results[5] = history.results[5]._replace(**change)
    assert broken(history) == ["altered"]


def test_a_letter_without_its_original_is_well_only_where_the_topic_refuses_it() -> None:
    history = well("AtLeastOnce")
    history.results[5] = history.results[5]._replace(key=None, value=None)
    assert broken(history) == ["altered"]
    assert broken(replace(history, bare=True)) == []


def test_a_result_of_nothing() -> None:
    history = well("AtLeastOnce")
    history.results.append(history.results[0]._replace(number=99, offset=7))
    assert broken(history) == ["invented"]


def test_a_result_that_names_another_source() -> None:
    history = well("AtLeastOnce")
    history.results[0] = history.results[0]._replace(source=(1, 2))
    assert "invented" in broken(history)


def test_a_stream_that_stands_still_too_long_and_goes_on() -> None:
    history = well("AtLeastOnce")
    history.progress = [Progress(0, 0), Progress(10, 2), Progress(41, 2), Progress(42, 6)]
    assert broken(history) == ["stalled"]
    assert check(history).recovery_seconds == 32


def test_a_standstill_during_the_fault_is_the_faults() -> None:
    history = well("AtLeastOnce")
    history.progress = [Progress(0, 0), Progress(100, 0), Progress(101, 6)]
    history.last_fault = 100
    assert broken(history) == []


def test_a_stream_that_never_went_on() -> None:
    history = well("AtLeastOnce")
    history.results = history.results[:2]
    history.committed = {0: 1, 1: 1}
    history.progress = [Progress(0, 0), Progress(10, 2), Progress(60, 2)]
    assert broken(history) == ["lost", "stalled"]


def test_an_offset_that_the_broker_did_not_say_is_found_in_the_topic() -> None:
    history = well("ExactlyOnce")
    whole = list(history.sent)
    history.sent[2] = history.sent[2]._replace(offset=UNKNOWN)
    there = [Place(n, part, at) for n, part, at, _, _ in whole]
    history.sent = placed(history.sent, there)
    assert history.sent == whole
    assert broken(history) == []


def sent_twice() -> History:
    """The sender wrote the third message a second time, and both have a verdict."""
    history = well("ExactlyOnce")
    there = [Place(n, part, at) for n, part, at, _, _ in history.sent]
    history.copies = copies(history.sent, [*there, Place(2, 0, 3)])
    history.results.append(history.results[2]._replace(offset=3, source=(0, 3)))
    return history


def test_what_the_sender_wrote_twice_is_two_messages() -> None:
    assert broken(sent_twice()) == []


def test_a_second_writing_without_a_verdict_is_lost() -> None:
    history = sent_twice()
    del history.results[-1]
    assert broken(history) == ["lost"]


def test_a_verdict_that_names_the_second_writing_of_another_message_is_invented() -> None:
    history = sent_twice()
    history.results[-1] = history.results[-1]._replace(number=4)
    assert "invented" in broken(history)


def test_a_second_writing_with_two_verdicts_is_duplicated() -> None:
    history = sent_twice()
    history.results.append(history.results[-1]._replace(offset=4))
    assert broken(history) == ["duplicated"]


def test_a_key_that_moved_to_another_partition_of_the_input_has_no_order_across_them() -> None:
    history = well("AtLeastOnce")
    moved = Sent(6, 2, 0, b"key-0", b"text 6")  # its offset is below those before it
    history.sent.append(moved)
    history.results.append(Result(6, False, 0, 3, moved.key, None, (2, 0), HEADERS))
    assert broken(history) == []


def test_a_message_without_an_offset_that_is_not_in_the_topic_is_lost() -> None:
    history = well("ExactlyOnce")
    history.sent[2] = history.sent[2]._replace(offset=UNKNOWN)
    del history.results[2]
    history.sent = placed(history.sent, [])
    assert "lost" in broken(history)


def reviewed(delivery: str) -> History:
    """The first two messages were chosen for review, and both have a request."""
    history = well(delivery)
    for at in range(2):
        history.results[at] = history.results[at]._replace(to_review=(f"in/{at}/0",))
    history.requests = ["in/0/0", "in/1/0"]
    return history


@pytest.mark.parametrize("delivery", BOTH)
def test_a_chosen_verdict_with_its_request_is_well(delivery: str) -> None:
    found = check(reviewed(delivery))
    assert found.broken(delivery) == []
    assert (found.requests, found.unreviewed, found.asked_again) == (2, 0, 0)


@pytest.mark.parametrize("delivery", BOTH)
def test_a_chosen_verdict_without_a_request(delivery: str) -> None:
    history = reviewed(delivery)
    del history.requests[1]
    assert check(history).unreviewed == 1
    assert broken(history) == ["unreviewed"]


@pytest.mark.parametrize(
    ("delivery", "expected"), [("AtLeastOnce", []), ("ExactlyOnce", ["unreviewed"])]
)
def test_a_chosen_verdict_whose_message_was_deleted_before_it_was_committed(
    delivery: str, expected: list[str]
) -> None:
    history = reviewed(delivery)
    history.expired = {history.results[1].number}
    del history.requests[1]
    assert broken(history) == expected


@pytest.mark.parametrize(("again", "expected"), [(False, []), (True, ["unreviewed"])])
def test_a_chosen_verdict_whose_message_was_read_again_under_other_policies(
    again: bool,
    expected: list[str],
) -> None:
    history = reviewed("AtLeastOnce")
    one = history.results[1]
    history.results.append(one._replace(offset=99, to_review=one.to_review if again else ()))
    del history.requests[1]
    assert broken(history) == expected


def test_a_dead_letter_beside_a_chosen_verdict_does_not_stand_for_its_request() -> None:
    history = reviewed("AtLeastOnce")
    one, sent = history.results[1], history.sent[1]
    history.results.append(one._replace(dead=True, offset=99, value=sent.value, to_review=()))
    del history.requests[1]
    assert "unreviewed" in broken(history)


def test_a_request_for_another_text_is_not_the_one_that_is_missing() -> None:
    history = reviewed("ExactlyOnce")
    history.requests[1] = "in/1/2"
    assert broken(history) == ["unreviewed"]


@pytest.mark.parametrize(
    ("delivery", "expected"), [("AtLeastOnce", []), ("ExactlyOnce", ["asked_again"])]
)
def test_a_repeated_request(delivery: str, expected: list[str]) -> None:
    history = reviewed(delivery)
    history.requests.append("in/0/0")
    assert check(history).asked_again == 1
    assert broken(history) == expected
