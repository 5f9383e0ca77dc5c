"""The console between a real broker and reviewers, both killed: nothing lost, nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.console.crowd import Crowd
from bench.console.stage import Console, judge, make_topics, produce, read_feedback, requests
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.processes import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        make_topics(broker.bootstrap_servers)
        yield broker


def test_kills_of_console_and_broker_lose_no_decision_and_repeat_none(
    kafka: KafkaBroker, tmp_path: Path
) -> None:
    produce(kafka.bootstrap_servers, requests(400))
    console = Console(kafka.bootstrap_servers, tmp_path)
    console.start()
    crowd = Crowd(console.port, size=6, wanted=330, seed=1, undo_share=0.05, pace=0.2)
    try:
        console.wait()
        crowd.start()
        for wanted in (60, 160):
            wait_until(lambda wanted=wanted: len(crowd.seen.accepted) >= wanted, "decisions came")
            console.kill()
            console.start()
        console.wait()
        wait_until(lambda: len(crowd.seen.accepted) >= 220, "decisions came")
        kafka.stop_broker(kill=True)
        wait_until(lambda: len(crowd.seen.accepted) >= 250, "decisions are accepted without Kafka")
        console.kill()
        console.start()
        kafka.start_broker()
        console.wait()
        wait_until(crowd.done, "all decisions came")
    finally:
        crowd.stop()
        servers = kafka.bootstrap_servers
        try:
            wait_until(
                lambda: judge(crowd.seen.accepted, read_feedback(servers)).decisions_lost == 0,
                "every accepted decision stands in the feedback topic",
                every=1,
            )
        finally:
            assert console.stop() == 0, (tmp_path / "console.log").read_text()[-4000:]
    found = judge(crowd.seen.accepted, read_feedback(servers))
    assert (found.decisions_lost, found.published_twice, found.decided_twice) == (0, 0, 0)
    assert found.decisions >= 330
    before = console.run("digest")
    assert console.run("rebuild") == before
    assert "is whole" in console.run("verify")
    # The database is lost altogether.
    for file in tmp_path.glob("console.db*"):
        file.unlink()
    assert console.run("rebuild") == before
    assert "is whole" in console.run("verify")
