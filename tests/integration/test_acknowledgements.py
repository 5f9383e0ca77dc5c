"""A producer's delivery reports are true, where librdkafka's with its own defaults are not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from textmod_console import settings as console_settings
from textmod_console.record import kafka_config as console_kafka
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.processes import free_port
from textmod_model import settings as model_settings
from textmod_model.stream import kafka_config as model_kafka

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).parents[1] / "reproductions" / "implicit_acknowledgement.py"
SERVER = "broker:9092"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KafkaBroker, int]]:
    """A broker, and the port at which a proxy has to stand in front of it."""
    proxy = free_port()
    with KafkaBroker(tmp_path_factory.mktemp("kafka") / "kafka", behind=[proxy]) as broker:
        yield broker, proxy


def lost(proxied: tuple[KafkaBroker, int], options: Mapping[str, Any]) -> bool:
    """Whether messages are missing that the reports of a producer with these options have."""
    broker, proxy = proxied
    # The program counts the reports of success, which the stream's producer does without.
    asked = {name: value for name, value in options.items() if "only.error" not in name}
    ports = (str(proxy), str(broker.own_ports[0]))
    command = [sys.executable, str(PROGRAM), broker.bootstrap_servers, *ports, json.dumps(asked)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if "expected:" not in ended.stdout:
        pytest.fail(ended.stderr)
    return ended.returncode == 1


@pytest.mark.parametrize("options", [{}, {"transactional.id": "librdkafka"}])
def test_librdkafka_alone_still_reports_what_was_not_written(
    proxied: tuple[KafkaBroker, int], options: dict[str, str]
) -> None:
    """When this fails, broker or client is mended: more requests may be on their way at once."""
    assert lost(proxied, options)


def model_settings_of(delivery: str) -> model_settings.Settings:
    return model_settings.load(
        {
            "TEXTMOD_STREAMING": "Native",
            "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": SERVER,
            "TEXTMOD_INPUT_TOPIC": "in",
            "TEXTMOD_OUTPUT_TOPIC": "out",
            "TEXTMOD_DEAD_LETTER_TOPIC": "dead",
            "TEXTMOD_CONSUMER_GROUP": "group",
            "TEXTMOD_DELIVERY": delivery,
        }
    )


@pytest.mark.parametrize("delivery", ["AtLeastOnce", "ExactlyOnce"])
def test_what_the_stream_is_told_is_written_is(
    proxied: tuple[KafkaBroker, int], delivery: str
) -> None:
    assert not lost(proxied, model_kafka.producer(model_settings_of(delivery)))


def test_what_a_suggestion_is_told_is_written_is(proxied: tuple[KafkaBroker, int]) -> None:
    assert not lost(proxied, model_kafka.single_records(model_settings_of("AtLeastOnce"), 10))


def test_what_the_console_is_told_is_written_is(proxied: tuple[KafkaBroker, int]) -> None:
    found = console_settings.load(
        {
            "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": SERVER,
            "TEXTMOD_REVIEW_TOPIC": "review",
            "TEXTMOD_FEEDBACK_TOPIC": "feedback",
        }
    )
    assert not lost(proxied, console_kafka.producer(found))
    assert not lost(proxied, console_kafka.plain_producer(found))
