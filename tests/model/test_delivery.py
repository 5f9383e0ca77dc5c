"""What is handed to the producer when, and when offsets count as done."""

from types import SimpleNamespace

import numpy as np
import pytest

from textmod_model.health import Health
from textmod_model.stream.delivery import BATCHES_IN_FLIGHT, AtLeastOnce, Failure
from textmod_model.stream.judge import Batch, Record
from textmod_model.stream.kafka import KafkaError


class FakeWriter:
    """Takes what it is given; acknowledges all of it when it is told to."""

    def __init__(self) -> None:
        self.refuses: str | None = None
        self.written: list[str] = []
        self.unacknowledged = 0
        self.failures: list[object] = []
        self.producer = SimpleNamespace(flush=lambda _wait: self.unacknowledged)

    def refresh_routes(self, _now: float, *, force: bool = False) -> None:
        pass

    def topic_of(self, _failure: Failure) -> str:
        return "out"

    def write(self, batch: Batch, index: int, *, alone: bool) -> bool:
        if batch.records[index].value.decode() == self.refuses:
            self.failures.append(Failure(batch, index, KafkaError(KafkaError._QUEUE_FULL), alone))
            return False
        self.written.append(batch.records[index].value.decode())
        self.unacknowledged += 1
        return True


@pytest.fixture
def parts() -> tuple[FakeWriter, AtLeastOnce, dict[int, int]]:
    writer, stored = FakeWriter(), {}
    source = SimpleNamespace(store=stored.update)
    delivery = AtLeastOnce(writer, source, Health(streaming=True), lambda _batches: None)
    return writer, delivery, stored


def batch(name: str, offset: int) -> Batch:
    source = SimpleNamespace(partition=lambda: 0)
    records = [Record(None, source, None, f"{name}{n}".encode(), [], None) for n in (1, 2)]
    return Batch(records, {0: offset}, np.zeros(2))


def test_what_comes_while_batches_are_on_their_way_waits_and_then_goes_together(parts):
    writer, delivery, stored = parts
    delivery.submit(batch("a", 2))
    delivery.submit(batch("b", 4))
    delivery.submit(batch("c", 6))
    assert writer.written == ["a1", "a2"]
    assert not delivery.settle(0)
    assert not stored

    writer.unacknowledged = 0
    assert not delivery.settle(0)
    assert stored == {0: 2}
    assert writer.written == ["a1", "a2", "b1", "b2", "c1", "c2"]

    writer.unacknowledged = 0
    assert delivery.busy
    assert delivery.settle(0)
    assert stored == {0: 6}
    assert not delivery.busy


def test_what_waits_counts_for_what_may_be_unsettled(parts):
    _, delivery, _ = parts
    for number in range(BATCHES_IN_FLIGHT):
        assert not delivery.full
        delivery.submit(batch("a", number))
    assert delivery.full


def test_partitions_that_went_are_lost_to_what_waits_too(parts):
    _, delivery, _ = parts
    first, second = batch("a", 2), batch("b", 4)
    delivery.submit(first)
    delivery.submit(second)
    delivery.forget({0})
    assert first.lost == second.lost == {0}


def test_what_is_behind_a_refused_record_is_written_after_it(parts, monkeypatch):
    monkeypatch.setattr("textmod_model.stream.delivery.RETRY_SECONDS", 0)
    writer, delivery, stored = parts
    delivery.submit(batch("a", 2))
    delivery.submit(batch("b", 4))
    delivery.submit(batch("c", 6))
    writer.unacknowledged, writer.refuses = 0, "b1"
    assert not delivery.settle(0)
    assert stored == {0: 2}
    assert writer.written == ["a1", "a2"]

    writer.refuses = None
    for _ in range(10):  # one record at a time
        writer.unacknowledged = 0
        delivery.settle(0)
    assert writer.written == ["a1", "a2", "b1", "b2", "c1", "c2"]
    assert stored == {0: 6}
