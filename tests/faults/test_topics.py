"""The campaign's administrator."""

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException

from faults import topics
from faults.topics import Admin


class FakeClient:
    """Answers requests with the errors that it was given, and then without one."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def create_partitions(self, _new: object) -> dict[str, Future[None]]:
        answer: Future[None] = Future()
        if self.codes:
            answer.set_exception(KafkaException(KafkaError(self.codes.pop(0))))
        else:
            answer.set_result(None)
        return {"in": answer}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics.time, "sleep", lambda _seconds: None)


def admin(client: FakeClient) -> Admin:
    found = Admin("127.0.0.1:1")
    found.client = client  # type: ignore[assignment]
    return found


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
    ],
)
def test_a_topic_grows_once_a_broker_that_was_down_is_back(code: int) -> None:
    client = FakeClient(code, code)
    admin(client).grow("in", 6)
    assert client.codes == []


def test_a_request_that_was_carried_out_though_its_answer_was_lost_is_done() -> None:
    client = FakeClient(KafkaError._TRANSPORT, KafkaError.INVALID_PARTITIONS)
    admin(client).grow("in", 6)
    assert client.codes == []


def test_what_no_repetition_mends_is_raised_at_once() -> None:
    client = FakeClient(
        KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.INVALID_REPLICATION_FACTOR
    )
    with pytest.raises(KafkaException):
        admin(client).grow("in", 6)
    assert len(client.codes) == 1
