"""Counts of all verdicts: every text once, by ranges of offsets that have no gap."""

import json
import weakref

import numpy as np
import pytest
from messages import FakeMessage
from policy_sets import document, policy, rule

from textmod_model.formats.message import Decoded, Refused, Verdicts
from textmod_model.metrics import Metrics
from textmod_model.policies.evaluate import Evaluator
from textmod_model.policies.solved import parse
from textmod_model.review.event import EventHeaders
from textmod_model.stream.counting import EVENT_TYPE, INTERVAL_SECONDS, MOST_COUNTS, Counting
from textmod_model.stream.observer import Observer
from textmod_model.stream.records import Batch
from textmod_model.stream.review_requests import Judged

ONE = Verdicts(("kept", "removed"), 0.5, "science:1")
TWO = Verdicts(("kept", "removed"), 0.5, "science:1", ("removed", "insult"))
MINUTES = 60_000
LATER = 1_000 + INTERVAL_SECONDS


def counting(verdicts=ONE):
    headers = EventHeaders("/textmoderation/group", EVENT_TYPE)
    return Counting(headers, verdicts, "sha256:ab")


def message(offset, partition=0, minute=0, timestamp=None):
    timestamp = timestamp or (1, minute * MINUTES)
    return FakeMessage(b"x", offset, partition=partition, timestamp=timestamp)


def judged(messages, scores, decoded=None, rulings=(), failures=None):
    decoded = decoded or [Decoded(("x",))] * len(messages)
    texts = ["x"] * len(scores)
    return Judged(messages, decoded, (), texts, failures or {}, scores, None, rulings, {})


def events(records):
    return [json.loads(record.value) for record in records]


def test_nothing_is_written_before_its_time_and_then_everything_once():
    one = counting()
    assert one.add(judged([message(7), message(8)], [0.25, 0.75]), 1_000) == []
    [record] = one.add(judged([message(9)], [0.5]), LATER)
    assert (record.key, record.for_review, record.source.offset()) == (b"in/0", True, 9)
    headers = dict(record.headers)
    assert headers["ce_type"] == b"dev.textmoderation.verdicts.counted.v1"
    assert headers["ce_id"] == b"in/0/7-10"
    assert events([record]) == [
        {
            "source": "in/0",
            "from": 7,
            "until": 10,
            "model": "sha256:ab",
            "counts": [
                {"at": "1970-01-01T00:00:00.000Z", "flagged": False, "texts": 1, "scores": 0.25},
                {"at": "1970-01-01T00:00:00.000Z", "flagged": True, "texts": 2, "scores": 1.25},
            ],
        }
    ]


def test_an_event_is_written_once_a_minute_and_at_once_when_the_clock_was_set_back():
    one = counting()
    one.add(judged([message(0)], [0.1]), 1_000)
    assert len(one.add(judged([message(1)], [0.1]), LATER)) == 1
    assert one.add(judged([message(2)], [0.1]), LATER + 1) == []
    assert len(one.add(judged([message(3)], [0.1]), 500)) == 1


def test_texts_of_several_to_a_message_are_counted_where_they_belong():
    one = counting()
    messages = [message(0), message(1), message(7, 1), message(8, 1, minute=30)]
    refused = Refused("NotJson", "it is not JSON")
    decoded = [Decoded(("a", "b")), Decoded(("c",)), refused, Decoded(("d", "e", "f"))]
    scores = [n / 64 for n in (1, 2, 4, 8, 16, 32)]  # each sum names its texts
    one.add(judged(messages, scores, decoded, failures={3: "NaN"}), 1_000)
    found = {
        event["source"]: [(each["at"], each["texts"], each["scores"]) for each in event["counts"]]
        for event in events(one.rest(None, 1_000))
    }
    assert found == {
        "in/0": [("1970-01-01T00:00:00.000Z", 3, 7 / 64)],
        "in/1": [
            ("1970-01-01T00:30:00.000Z", 1, 16 / 64),
            ("1970-01-01T00:30:00.000Z", 1, 32 / 64),
        ],
    }


def test_as_many_texts_as_messages_need_not_be_one_each():
    one = counting()
    decoded = [Refused("NotJson", "it is not JSON"), Decoded(("a", "b"))]
    one.add(judged([message(0), message(0, 1)], [0.1, 0.2], decoded), 1_000)
    [event] = events(one.rest(None, 1_000))
    assert (event["source"], event["counts"][0]["texts"]) == ("in/1", 2)


def test_without_policies_the_first_label_decides():
    one = counting(TWO)
    one.add(judged([message(0)], [[0.75, 0.25]]), 1_000)
    [event] = events(one.rest(None, 1_000))
    [count] = event["counts"]
    assert (count["flagged"], count["scores"]) == (True, 0.75)


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        pytest.param((0, -1), "1970-01-01T00:10:00.000Z", id="none: now, in its ten minutes"),
        pytest.param((1, 10**17), "1970-01-01T00:16:40.000Z", id="beyond the calendar: now"),
    ],
)
def test_a_message_without_a_usable_time_is_counted_now(timestamp, at):
    one = counting()
    one.add(judged([message(0, timestamp=timestamp)], [0.1]), 1_000)
    [event] = events(one.rest(None, 1_000))
    assert [each["at"] for each in event["counts"]] == [at]


def test_the_ranges_of_a_partition_have_no_gap_whatever_is_read_between_them():
    one = counting()
    found = []
    for turn, offset in enumerate((0, 3, 4, 9)):  # what is missing are markers of transactions
        batch = judged([message(offset), message(50 + offset, 1)], [0.1, 0.2])
        found += events(one.add(batch, 1_000 + turn * INTERVAL_SECONDS))
    found += events(one.rest(None, LATER))
    ranges = [(each["from"], each["until"]) for each in found if each["source"] == "in/0"]
    assert ranges == [(0, 4), (4, 5), (5, 10)]
    assert events(one.rest(None, LATER)) == []


def test_what_has_no_verdict_is_in_the_range_and_not_counted():
    one = counting()
    refused = Refused("NotJson", "it is not JSON")
    decoded = [refused, Decoded(("x", "y")), Decoded(("z",)), refused]
    one.add(judged([message(n) for n in range(4)], [0.1, 0.2, 0.3], decoded, (), {2: "NaN"}), 1_000)
    [event] = events(one.rest({0}, 1_000))
    assert (event["from"], event["until"]) == (0, 4)
    assert [(each["texts"], each["scores"]) for each in event["counts"]] == [
        (2, pytest.approx(0.3))
    ]


def test_texts_are_counted_by_ruling_with_the_score_that_decided():
    off_topic = policy(rule("Remove", 0.9), name="off-topic", label="removed")
    rude = policy(rule("Review", 0.5), name="rude", label="insult")
    observed = policy(rule("Remove", 0.1), name="trial", label="removed", mode="Observe")
    evaluator = Evaluator(parse(json.dumps(document(off_topic, rude, observed))), TWO.columns)
    scores = np.array([[0.2, 0.1], [0.95, 0.6], [0.3, 0.7], [0.1, 0.8]])
    one = counting(TWO)
    messages = [message(0), message(1), message(0, 1), message(1, 1)]
    one.add(judged(messages, scores.tolist(), rulings=evaluator.rule(scores)), 1_000)
    first, second = (
        {
            tuple((said["name"], said["action"]) for said in each["policies"]): each
            for each in event["counts"]
        }
        for event in events(one.rest(None, 1_000))
    )
    both = first[("off-topic", "Remove"), ("rude", "Review")]
    assert (both["texts"], both["scores"], both["flagged"]) == (1, 0.95, True)
    assert (first[()]["texts"], first[()]["flagged"]) == (1, False)
    [(policies, reviewed)] = second.items()
    assert policies == (("rude", "Review"),)
    assert (reviewed["texts"], reviewed["scores"]) == (2, pytest.approx(1.5))
    assert reviewed["policyVersion"] == evaluator.policies.version


def test_an_event_is_bounded_when_a_long_past_is_read():
    one = counting()
    events_ = []
    for start in range(0, 2_000, 100):
        batch = [message(n, minute=10 * n) for n in range(start, start + 100)]
        events_ += events(one.add(judged(batch, [0.1] * 100), 1_000))
    assert max(len(each["counts"]) for each in events_) <= MOST_COUNTS + 100
    events_ += events(one.rest(None, 1_000))
    assert sum(count["texts"] for each in events_ for count in each["counts"]) == 2_000


def test_a_partition_that_comes_back_is_counted_from_where_it_is_read():
    one = counting()
    one.add(judged([message(0), message(1)], [0.1, 0.2]), 1_000)
    one.forget({0, 5})
    one.add(judged([message(4)], [0.2]), 1_000)  # another consumer read what is before it
    assert [(e["from"], e["until"]) for e in events(one.rest(None, 1_000))] == [(4, 5)]
    one.add(judged([message(0)], [0.1]), 1_000)  # the offset was set back
    assert [(e["from"], e["until"]) for e in events(one.rest(None, 1_000))] == [(0, 1)]


def test_what_was_counted_is_not_kept():
    """The last message of each partition was: a hundred of a mebibyte are a fifth of the limit."""
    one, last = counting(), message(7)
    kept = weakref.ref(last)
    one.add(judged([last], [0.5]), 1_000)
    del last
    assert kept() is None
    [record] = one.rest(None, 1_000)
    assert (record.source.topic(), record.source.partition(), record.source.offset()) == (
        "in",
        0,
        7,
    )


def test_counts_are_no_verdicts_in_the_metrics():
    one = counting()
    one.add(judged([message(0)], [0.1]), 1_000)
    metrics = Metrics()
    records = one.rest(None, 1_000)
    Observer(metrics).done([Batch(records, {}, np.empty(0), counts=len(records))])
    text = metrics.text().decode()
    assert 'textmod_messages_total{outcome="verdict"} 0.0' in text
    assert "textmod_batch_size_count 0.0" in text
