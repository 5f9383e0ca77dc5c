"""What the probes are told."""

import pytest

from textmod_model.health import STALL_SECONDS, UNREACHABLE_SECONDS, Health


def test_live_as_long_as_the_loop_turns():
    health = Health(streaming=True, last_turn=100.0)
    assert health.live(100.0 + STALL_SECONDS).ok
    stalled = health.live(101.0 + STALL_SECONDS)
    assert not stalled.ok
    assert stalled.sentence == "The stream's loop has not turned for 61 s."


def test_live_while_it_starts_and_without_a_stream():
    assert Health(streaming=True).live(1e6).ok
    assert Health(streaming=False, last_turn=0.0).live(1e6).ok


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": None}, "The model is not loaded yet."),
        ({"kafka_seen": None}, "No Kafka broker has been reached yet."),
        ({"kafka_seen": 60.0}, "No Kafka broker has been reached for 40 s."),
        ({"kafka_seen": None, "kafka_error": "no"}, "No Kafka broker has been reached yet: no."),
        ({"blocked": "The topic dead can't be written: gone."}, "The topic dead can't be written"),
        ({"undecided": "No policies are in force: x."}, "No policies are in force: x."),
        ({"stopping": True}, "The server is stopping."),
    ],
)
def test_not_ready_says_why(changes, says):
    health = Health(streaming=True, model="science:1", last_turn=100.0, kafka_seen=100.0)
    assert health.ready(100.0 + UNREACHABLE_SECONDS).ok
    for name, value in changes.items():
        setattr(health, name, value)
    answer = health.ready(100.0)
    assert not answer.ok
    assert answer.sentence.startswith(says)


def test_without_a_stream_kafka_is_nobodys_business():
    assert Health(streaming=False, model="science:1").ready(0.0).ok
