"""Suggested scores as decisions of the feedback topic."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

import pytest
from app_client import AppClient
from confluent_kafka import KafkaError
from served_models import SCIENCE, rude

from textmod_model.errors import ConfigurationError
from textmod_model.metrics import Metrics
from textmod_model.review.suggestion import Judged, Origin, Suggestion, judged
from textmod_model.serving import rest
from textmod_model.serving.dropins import DropIns, Keys
from textmod_model.serving.perspective import Source
from textmod_model.serving.predictor import Predictor
from textmod_model.stream.feedback import AT_ONCE, Feedback, NotWrittenError

SUGGEST = "/v1alpha1/comments:suggestscore"
SOURCE = Source("/textmoderation/textmod.reddit.science", "science-input")
TEXT = "you idiot"
COMMENT = "comment:1"
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()


class FakeProducer:
    """Acknowledges at the first poll, unless `silent` or `full`."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.error: KafkaError | None = None
        self.silent = False
        self.full = False
        self._reports: list[Any] = []

    def produce(self, topic: str, *, on_delivery: Any, **record: Any) -> None:
        if self.full:
            raise BufferError("Local: Queue full")
        self.written.append({"topic": topic, **record})
        self._reports.append(on_delivery)

    def poll(self, _seconds: float) -> int:
        if not self.silent:
            while self._reports:
                self._reports.pop()(self.error, None)
        return 0


class Ticking:
    """A clock that advances by a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()


def api(producer: FakeProducer, *, key: str = "") -> tuple[AppClient, Metrics]:
    metrics = Metrics()
    dropins = DropIns({"TOXICITY": "removed"}, perspective_keys=Keys(key))
    feedback = Feedback("science-feedback", lambda: producer, monotonic=Ticking())
    app = rest.seldon_app(Predictor(rude, SCIENCE), metrics, dropins, feedback, SOURCE)
    return AppClient(app), metrics


def suggestion(token: str | None = COMMENT, **scores: float) -> dict[str, Any]:
    return {
        "comment": {"text": TEXT},
        "attributeScores": {n: {"summaryScore": {"value": v}} for n, v in scores.items()},
        **({} if token is None else {"clientToken": token}),
        "communityId": "Coral:site",
    }


def decided(producer: FakeProducer, document: dict[str, Any], key: str = "") -> dict[str, Any]:
    client, _ = api(producer, key=key)
    answer = client.post(f"{SUGGEST}?key={key}", json=document)
    assert answer.status_code == 200, answer.text
    (record,) = producer.written
    value: dict[str, Any] = json.loads(record["value"])
    assert record["key"].decode() == value["item"]
    return value


def test_a_suggestion_is_a_decision_with_the_texts_digest_and_not_the_text(producer) -> None:
    value = decided(producer, suggestion(TOXICITY=0.9))
    (record,) = producer.written
    headers = dict(record["headers"])
    assert record["topic"] == "science-feedback"
    assert headers["ce_type"] == b"dev.textmoderation.decision.v1"
    assert headers["ce_source"] == SOURCE.events.encode()
    assert headers["ce_id"].decode() == value["id"]
    assert value["decision"] == "Remove"
    assert value["labels"] == {"removed": 0.9}
    assert (value["actor"], value["actorKind"]) == ("perspective/Coral:site", "Import")
    assert value["textSha256"] == DIGEST
    assert value["model"] == SCIENCE.digest
    assert b"idiot" not in record["value"] + record["key"]


def test_of_several_attributes_of_one_label_the_highest_counts() -> None:
    attributes = {"TOXICITY": "removed", "INSULT": "removed"}
    origin = Origin("/textmoderation", "in", SCIENCE.digest, attributes, "removed")
    scores = {"TOXICITY": 0.75, "INSULT": 0.25}
    assert judged(Suggestion(TEXT, scores), origin) == Judged("Remove", {"removed": 0.75})


@pytest.mark.parametrize(
    ("scores", "decision", "labels"),
    [
        ({"TOXICITY": 0.2}, "Approve", {"removed": 0.2}),
        ({"TOXICITY": 0.5}, "Remove", {"removed": 0.5}),
        ({"APPROVED": 1}, "Approve", {"removed": 0.0}),
        ({"DELETED": 1}, "Remove", {"removed": 1.0}),
        ({"REJECTED": 1}, "Remove", {"removed": 1.0}),
        ({"DELETED": 1, "TOXICITY": 0.1}, "Approve", {"removed": 0.1}),
    ],
)
def test_what_the_scores_mean(producer, scores, decision, labels) -> None:
    value = decided(producer, suggestion(**scores))
    assert (value["decision"], value["labels"]) == (decision, labels)


@pytest.mark.parametrize(
    ("token", "key", "item"),
    [
        ("science-input/3/17", "sesame", "science-input/3/17"),
        ("science-input/3/17#2", "sesame", "science-input/3/17#2"),
        ("science-input/3/17", "", "perspective:science-input/3/17"),
        ("other-input/3/17", "sesame", "perspective:other-input/3/17"),
        ("science-input/3/17\n", "sesame", f"perspective:sha256:{DIGEST}"),
        ("science-input/3/١٧", "sesame", f"perspective:sha256:{DIGEST}"),
        ("comment:1", "sesame", "perspective:comment:1"),
        ("a\x00b", "", f"perspective:sha256:{DIGEST}"),
        ("x" * 5000, "", "perspective:" + "x" * 256),
        ("", "", f"perspective:sha256:{DIGEST}"),
        (None, "", f"perspective:sha256:{DIGEST}"),
    ],
)
def test_only_a_caller_with_a_key_names_an_item_of_the_queue(producer, token, key, item) -> None:
    assert decided(producer, suggestion(token, TOXICITY=1), key)["item"] == item


def test_what_names_no_label_is_answered_counted_and_not_stored(producer) -> None:
    client, metrics = api(producer)
    for scores in ({"OTHER": 1.0}, {"APPROVED": 0.0}):
        answer = client.post(SUGGEST, json=suggestion(**scores))
        assert answer.json()["clientToken"] == "comment:1"
    assert producer.written == []
    assert 'textmod_suggested_decisions_total{outcome="ignored"} 2.0' in metrics.text().decode()


@pytest.mark.parametrize("value", [-0.1, 1.1, 1e300])
def test_a_score_is_from_0_to_1(producer, value) -> None:
    answer = api(producer)[0].post(SUGGEST, json=suggestion(TOXICITY=value))
    assert answer.status_code == 400
    assert producer.written == []


def break_it(producer: FakeProducer, how: str) -> None:
    if how == "silent":
        producer.silent = True
    elif how == "full":
        producer.full = True
    else:
        producer.error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)


@pytest.mark.parametrize("how", ["silent", "full", "refused"])
def test_without_an_acknowledgement_the_answer_is_503_in_googles_shape(producer, how) -> None:
    break_it(producer, how)
    client, metrics = api(producer)
    answer = client.post(SUGGEST, json=suggestion(TOXICITY=1))
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (503, "UNAVAILABLE")
    assert "try again later" in error["message"]
    assert TEXT not in answer.text
    assert 'textmod_suggested_decisions_total{outcome="failed"} 1.0' in metrics.text().decode()


@pytest.mark.parametrize("how", ["fatal", "silent", "timed out"])
def test_a_client_that_is_finished_is_opened_again(producer, how) -> None:
    """One without an answer may know a topic of the name that is gone, and ask its leader."""
    opened: list[FakeProducer] = []

    def reopen() -> FakeProducer:
        opened.append(FakeProducer() if opened else producer)
        return opened[-1]

    feedback = Feedback("f", reopen, monotonic=Ticking())
    if how == "silent":
        producer.silent = True
    else:
        timed_out = KafkaError(KafkaError._MSG_TIMED_OUT)
        producer.error = KafkaError(KafkaError._FATAL, fatal=True) if how == "fatal" else timed_out
    with pytest.raises(NotWrittenError):
        feedback.write(b"k", b"v", [])
    feedback.write(b"k", b"v", [])
    feedback.write(b"k", b"v", [])
    assert len(opened) == 2


def test_a_client_that_cannot_be_opened_is_no_failure_of_the_server() -> None:
    def refuse() -> Any:
        raise ConfigurationError("Kafka's client refuses its configuration: no such file.")

    with pytest.raises(NotWrittenError, match="no such file"):
        Feedback("f", refuse).write(b"k", b"v", [])


def test_only_so_many_callers_wait(producer) -> None:
    held = threading.Semaphore(0)
    feedback = Feedback("f", lambda: producer, monotonic=Ticking())
    inner = producer.poll

    def nested(seconds: float) -> int:
        """Write again while the calls before wait."""
        if len(producer.written) < AT_ONCE:
            feedback.write(b"k", b"v", [])
        else:
            with pytest.raises(NotWrittenError, match="wait for Kafka already"):
                feedback.write(b"k", b"v", [])
            held.release()
        return inner(seconds)

    producer.poll = nested  # type: ignore[method-assign]
    feedback.write(b"k", b"v", [])
    assert len(producer.written) == AT_ONCE
    assert held.acquire(blocking=False)
    producer.poll = inner  # type: ignore[method-assign]
    feedback.write(b"k", b"v", [])  # their places are free again
    assert len(producer.written) == AT_ONCE + 1
