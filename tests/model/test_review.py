"""The selection of texts for review, and the event that requests it."""

import hashlib
import json
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from messages import FakeMessage
from policy_sets import policy, raw, rule

from textmod_model.formats import catalog
from textmod_model.formats.message import Reading, Verdicts, Writing
from textmod_model.formats.verdict_headers import VerdictHeaders
from textmod_model.metrics import Metrics
from textmod_model.policies.evaluate import Evaluator
from textmod_model.policies.solved import parse
from textmod_model.review import event
from textmod_model.review.event import EventHeaders, ReviewRequest, people_fields, text_fields
from textmod_model.review.selection import Sample
from textmod_model.stream.explanations import Explanations
from textmod_model.stream.judge import Judge
from textmod_model.stream.letters import DeadLetters
from textmod_model.stream.observer import Observer
from textmod_model.stream.review_requests import ReviewRequests

SALT = "reddit/science"
DIGEST = "sha256:" + "0" * 64
ONE = Verdicts(("kept", "removed"), 0.5, "science:1")
ITEMS = [f"in/{n % 12}/{n // 12}" for n in range(200_000)]


# --- the sample -----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.005, 0.05, 0.5])
def test_the_sample_has_the_share_that_was_asked_for(share):
    """Of 200,000 consecutive items, within five standard deviations."""
    chosen = Sample(share, SALT).chosen(ITEMS)
    deviation = math.sqrt(len(ITEMS) * share * (1 - share))
    assert abs(len(chosen) - len(ITEMS) * share) < 5 * deviation


def test_the_sample_is_spread_evenly_over_partitions_and_time():
    chosen = Sample(0.05, SALT).chosen(ITEMS)
    for cells in (
        np.bincount([place % 12 for place in chosen], minlength=12),
        np.bincount([place // 10_000 for place in chosen], minlength=20),
    ):
        expected = len(chosen) / len(cells)
        chi_squared = float(((cells - expected) ** 2 / expected).sum())
        free = len(cells) - 1
        assert chi_squared < free + 5 * math.sqrt(2 * free)


def test_one_choice_says_nothing_of_the_next():
    chosen = np.zeros(len(ITEMS))
    chosen[Sample(0.5, SALT).chosen(ITEMS)] = 1
    following = np.corrcoef(chosen[:-1], chosen[1:])[0, 1]
    assert abs(following) < 5 / math.sqrt(len(ITEMS))


def test_another_salt_chooses_independently():
    one, other = (set(Sample(0.05, salt).chosen(ITEMS)) for salt in (SALT, "reddit/shadow"))
    expected = len(ITEMS) * 0.05**2
    assert abs(len(one & other) - expected) < 5 * math.sqrt(expected)


def test_the_sample_is_a_function_of_the_item_alone_as_it_is_documented():
    chosen = Sample(0.01, SALT).chosen(ITEMS[:20_000])
    assert chosen == [
        place
        for place, item in enumerate(ITEMS[:20_000])
        if int.from_bytes(hashlib.blake2b(f"{SALT}\0{item}".encode()).digest()[:8], "big") / 2**64
        < 0.01
    ]
    part = [place - 500 for place in chosen if 500 <= place < 900]
    assert Sample(0.01, SALT).chosen(ITEMS[500:900]) == part


def test_a_larger_share_keeps_what_a_smaller_one_chooses_and_the_ends_are_none_and_all():
    sizes = [set(Sample(share, SALT).chosen(ITEMS[:5_000])) for share in (0, 0.01, 0.2, 1)]
    assert sizes[0] == set()
    assert sizes[1] < sizes[2] < sizes[3] == set(range(5_000))


# --- the event ------------------------------------------------------------------------------------


def test_author_and_context_are_taken_from_a_json_object_that_has_them_as_strings():
    def people(document, headers=None):
        return people_fields(json.dumps(document).encode(), headers)

    assert people({"body": "t", "author": "ann", "parent": "why?"}) == {
        "author": "ann",
        "context": "why?",
    }
    assert people({"user": "ann", "author": 7, "context": ["a"]}) == {"author": "ann"}
    assert len(people({"context": "c" * 9_000})["context"]) == event.LONGEST_CONTEXT
    structured = [("content-type", b"application/cloudevents+json")]
    assert people({"specversion": "1.0", "data": {"user": "ann"}}, structured) == {"author": "ann"}
    assert people({"specversion": "1.0", "data": "text"}, structured) == {}
    bare = {"specversion": "1.0", "id": "7", "source": "/forum", "type": "comment"}
    assert people(bare | {"data": {"user": "ann"}}) == {"author": "ann"}
    assert people(bare | {"user": "ann", "data": "text"}) == {"author": "ann"}
    for value in (None, b"", b"{a comment}", b"[1]", b"\xff{", b'{"user": "\xff"}'):
        assert people_fields(value, None) == {}


def test_a_text_is_bounded_and_always_utf8():
    assert text_fields("a\ud800b\x00😀") == {"text": "a\ufffdb\x00😀"}
    long = text_fields("é" * (event.LONGEST_TEXT + 1))
    assert (len(long["text"]), long["truncatedFrom"]) == (100_000, 100_001)


@pytest.mark.parametrize("letter", ["a", "é", "😀", '"', "\x01"])
@pytest.mark.parametrize("size", [800, 1_000, 5_000])
def test_a_request_is_cut_to_what_fits_and_says_how_long_the_text_was(letter, size):
    fields = {"item": "in/0/1", "text": letter * 20_000, "author": "a", "explanation": {"base": 1}}
    smaller = ReviewRequest(fields, "Random").within(size)
    assert size - 6 <= len(smaller.value()) <= size
    found = json.loads(smaller.value())
    assert (found["item"], found["truncatedFrom"]) == ("in/0/1", 20_000)
    assert set(found["text"]) == {letter}
    assert json.loads(smaller.within(size - 20).value())["truncatedFrom"] == 20_000
    assert ReviewRequest(fields, "Random").within(120) is None


def test_what_only_helps_goes_before_the_text():
    fields = {"item": "in/0/1", "text": "t" * 500, "context": "c" * 2_000}
    assert json.loads(ReviewRequest(fields, "Random").within(1_000).value()) == {
        "item": "in/0/1",
        "text": "t" * 500,
    }


# --- the judge ------------------------------------------------------------------------------------


class Model:
    """Scores a text by its length, and explains with what it was asked."""

    def __init__(self):
        self.asked = []

    def score(self, texts):
        if any("NaN" in text for text in texts):
            raise ValueError
        return np.array([min(len(text), 100) / 100 for text in texts])

    def briefs(self, texts, asked):
        self.asked.append((list(texts), asked))
        return [{"total": len(text)} for text in texts]


def judge(share=0.0, policies=None, model=None, explained=True, budgets=None):
    model = model or Model()
    evaluator = policies and Evaluator(policies, ("removed",))
    explanations = Explanations(model.briefs)
    headers = EventHeaders("/textmoderation/group")
    return Judge(
        decode=catalog.decoder("Auto", Reading(("body",))),
        score=model.score,
        encode=catalog.encoder("Verdict", Writing(ONE, None, policies is not None)),
        headers=VerdictHeaders("/textmoderation/group", "1", DIGEST),
        letters=DeadLetters("science:1"),
        policies=lambda: evaluator,
        explanations=explanations if explained else None,
        review=ReviewRequests(Sample(share, SALT), headers, ONE, DIGEST, explanations),
        budgets=budgets,
        clock=lambda: 1_000.0,
    )


POLICIES = parse(raw(policy(rule(), rule("Review", 0.5, hold=True))))
AT = (1, int(datetime(2026, 11, 27, tzinfo=UTC).timestamp() * 1000))


def of_length(*lengths):
    return [
        FakeMessage(b"x" * length, offset, timestamp=AT) for offset, length in enumerate(lengths)
    ]


def requests(batch):
    return [json.loads(record.value) for record in batch.records if record.request is not None]


def test_what_a_policy_wants_reviewed_is_asked_for_with_its_reasons():
    batch = judge(policies=POLICIES).judge(of_length(10, 60, 95))
    [kept, reviewed, request, removed] = batch.records
    assert request.source is reviewed.source
    assert [one.request for one in (kept, reviewed, removed)] == [None] * 3
    assert batch.requests == 1
    assert json.loads(request.value) == {
        "item": "in/0/1",
        "text": "x" * 60,
        "reasons": [{"kind": "Policy", "policy": "off-topic", "action": "Review", "score": 0.6}],
        "action": "Review",
        "flagged": True,
        "selection": {"strategy": "Policy", "probability": 1.0},
        "hold": True,
        "blind": False,
        "label": "removed",
        "scores": {"removed": 0.6},
        "explanation": {"total": 60},
        "model": DIGEST,
        "policyVersion": POLICIES.version,
        "policies": [{"name": "off-topic", "action": "Review"}],
        "at": "2026-11-27T00:00:00.000Z",
    }
    assert (request.key, request.milliseconds) == (b"in/0/1", None)
    assert dict(request.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"in/0/1",
        "ce_type": b"dev.textmoderation.review.requested.v1",
        "ce_source": b"/textmoderation/group",
        "ce_time": b"1970-01-01T00:16:40.000Z",
        "content-type": b"application/json",
    }


def test_without_policies_only_chance_chooses_and_the_item_is_blind():
    one, other = requests(judge(share=1.0).judge(of_length(10, 60)))
    assert one["reasons"] == [{"kind": "Random"}]
    assert one["selection"] == {"strategy": "Random", "probability": 1.0}
    assert [(each["flagged"], each["blind"], each["hold"]) for each in (one, other)] == [
        (False, True, False),
        (True, True, False),
    ]
    assert "action" not in one
    assert "policyVersion" not in one
    assert requests(judge().judge(of_length(10, 60))) == []


def test_a_text_that_is_chosen_both_ways_has_the_probability_of_being_chosen_at_all():
    kept, reviewed, removed = requests(judge(1.0, POLICIES).judge(of_length(10, 60, 95)))
    assert reviewed["selection"] == {"strategy": "Mixed", "probability": 1.0}
    assert [reason["kind"] for reason in reviewed["reasons"]] == ["Policy", "Random"]
    assert (reviewed["blind"], kept["blind"], removed["blind"]) == (False, True, True)
    assert (kept["action"], removed["action"]) == ("Allow", "Remove")


def test_every_policy_in_force_that_asks_is_named_and_one_that_observes_asks_for_nothing():
    found = parse(
        raw(
            policy(rule("Review", 0.5), name="a"),
            policy(rule("Review", 0.6, hold=True), name="b"),
            policy(rule("Review", 0.1), name="watching", mode="Observe"),
        )
    )
    [half, both] = requests(judge(policies=found).judge(of_length(20, 50, 70)))
    assert [reason["policy"] for reason in half["reasons"]] == ["a"]
    assert [reason["policy"] for reason in both["reasons"]] == ["a", "b"]
    assert (half["hold"], both["hold"]) == (False, True)


class Spent:
    """Budgets of which one text is left."""

    def for_batch(self, _policies):
        left = iter([True])
        return lambda _policy, _rule, _partition: next(left, False)

    def undo(self):
        raise AssertionError


def test_over_a_budget_the_same_hash_thins_and_its_probability_is_recorded():
    found = parse(raw(policy(rule("Review", 0.5, budgetPerDay=1))))
    spent = judge(policies=found, budgets=Spent()).judge(of_length(60, 61, 62))
    assert [one["item"] for one in requests(spent)] == ["in/0/0"]
    share = 0.25
    batch = judge(share, found, budgets=Spent()).judge(of_length(*[60] * 200))
    drawn = Sample(share, SALT).chosen([f"in/0/{n}" for n in range(200)])
    over = [one for one in requests(batch) if one["action"] == "Allow"]
    assert [one["item"] for one in over] == [f"in/0/{n}" for n in drawn if n]
    assert {one["selection"]["probability"] for one in over} == {share}
    assert all(one["blind"] for one in over)


def test_each_of_several_texts_is_an_item_of_its_own():
    several = json.dumps({"data": {"ndarray": ["x" * 60, "x", "x" * 70]}}).encode()
    messages = [FakeMessage(b"\xff", 0), FakeMessage(several, 1), FakeMessage(b"x" * 80, 2)]
    batch = judge(policies=POLICIES).judge(messages)
    assert [record.source.offset() for record in batch.records] == [0, 1, 1, 1, 2, 2]
    assert [(one["item"], len(one["text"])) for one in requests(batch)] == [
        ("in/0/1#0", 60),
        ("in/0/1#2", 70),
        ("in/0/2", 80),
    ]
    assert [len(one["text"]) for one in requests(judge(1.0).judge(messages))] == [60, 1, 70, 80]


def test_a_message_of_many_texts_is_looked_at_once_for_its_author_and_context():
    """Or the time that a message takes would grow with the square of its texts."""

    class Watched(FakeMessage):
        reads = 0

        def value(self):
            self.reads += 1
            return super().value()

    texts = ["x" * length for length in range(1, 40)]
    document = {"data": {"ndarray": texts}, "author": "ann", "context": "why?"}
    messages = [Watched(json.dumps(document).encode(), offset) for offset in range(2)]
    found = requests(judge(1.0).judge(messages))
    assert len(found) == 2 * len(texts)
    assert {(one["author"], one["context"]) for one in found} == {("ann", "why?")}
    assert [message.reads for message in messages] == [2, 2], "once each for verdicts and requests"


def test_what_has_no_verdict_is_not_reviewed():
    messages = [FakeMessage(b"NaN", 0), FakeMessage(b"\xff", 1), FakeMessage(b"fine", 2)]
    batch = judge(1.0).judge(messages)
    assert [one["item"] for one in requests(batch)] == ["in/0/2"]


def test_a_redelivery_asks_for_the_same_texts_in_the_same_words_whatever_the_batches():
    messages = of_length(*range(1, 100))
    once = requests(judge(0.3, POLICIES).judge(messages))
    again = [
        request
        for start in range(0, 99, 7)
        for request in requests(judge(0.3, POLICIES).judge(messages[start : start + 7]))
    ]
    assert once == again
    assert {one["selection"]["strategy"] for one in once} == {"Random", "Policy", "Mixed"}


def test_an_explanation_counts_code_points_and_is_made_once():
    model = Model()
    judge(policies=POLICIES, model=model).judge(of_length(60, 95))
    assert [texts for texts, _ in model.asked] == [["x" * 60, "x" * 95]]
    options = {"actions": ["Review"], "maxSpans": 2, "offsets": "Utf16"}
    model = Model()
    other = parse(raw(policy(rule("Review", 0.5)), explanation=options))
    judge(policies=other, model=model).judge(of_length(60))
    assert [asked.offsets for _, asked in model.asked] == ["Utf16", "CodePoint"]
    off = parse(raw(explanation={**options, "actions": []}))
    assert "explanation" not in requests(judge(policies=off).judge(of_length(60)))[0]
    mixed = requests(judge(1.0, POLICIES, explained=False).judge(of_length(60, 10)))
    assert mixed[0]["explanation"] == {"total": 60}
    assert "explanation" not in mixed[1], "a blind text's"


def test_a_request_that_cannot_be_made_costs_no_verdict(monkeypatch, caplog):
    def fail(_self):
        message = "secret text"
        raise ValueError(message)

    monkeypatch.setattr(ReviewRequest, "value", fail)
    batch = judge(1.0).judge(of_length(10, 20))
    assert len(batch.records) == 2
    assert "make review request: ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_requests_are_counted_apart_from_verdicts():
    metrics = Metrics()
    batch = judge(1.0, POLICIES).judge([*of_length(10, 60), FakeMessage(b"\xff", 2)])
    batch.records[1] = batch.records[1]._replace(withdrawn=True)
    Observer(metrics).done([batch])
    text = metrics.text().decode()
    for line in (
        'textmod_messages_total{outcome="verdict"} 2.0',
        'textmod_messages_total{outcome="dead_letter"} 1.0',
        'textmod_review_requests_total{strategy="Mixed"} 1.0',
        'textmod_review_requests_total{strategy="Random"} 0.0',
        "textmod_review_requests_refused_total 1.0",
        'textmod_decisions_total{action="Allow",hold="false"} 1.0',
        "textmod_batch_size_sum 3.0",
    ):
        assert line in text
