"""What librdkafka reports becomes a page that a person can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faults.client_statistics import LINES, condensed, page, parsed, queued
from faults.observed import recording


def consumer(at: int = 0, **partition: Any) -> dict[str, Any]:
    """A report, with only what is looked at."""
    known = {
        "leader": 1,
        "fetch_state": "active",
        "committed_offset": 90,
        "stored_offset": 95,
        "app_offset": 100,
        "ls_offset": 130,
        "fetchq_cnt": 20,
    }
    return {
        "name": "pod#consumer-2",
        "type": "consumer",
        "time": 1_000_000 + at,
        "replyq": 3,
        "brokers": {
            "127.0.0.1:9092/0": {"state": "UP", "rtt": {"p99": 4200}, "req_timeouts": 2},
            "127.0.0.1:9093/1": {"state": "DOWN", "disconnects": 7, "waitresp_cnt": 1},
        },
        "cgrp": {
            "state": "up",
            "join_state": "steady",
            "rebalance_cnt": 4,
            "rebalance_reason": "a member left",
            "assignment_size": 1,
        },
        "topics": {
            "in": {
                "partitions": {
                    "0": known | partition,
                    "1": {"fetch_state": "none"},
                    "-1": {"msgq_cnt": 5},
                }
            }
        },
    }


PRODUCER = {
    "name": "pod#producer-1",
    "type": "producer",
    "time": 1_000_000,
    "msg_cnt": 12,
    "topics": {"out": {"partitions": {"3": {"msgq_cnt": 8, "xmit_msgq_cnt": 3}}}},
}


def test_a_page_has_the_last_report_and_the_timeline() -> None:
    seen = [condensed(consumer(at, app_offset=100 + at)) for at in (0, 2, 4)]
    text = page([*seen, condensed(PRODUCER)])
    assert "# consumer pod#consumer-2, 3 reports" in text
    assert "steady, 1 partitions, 4 rebalances; the last: a member left" in text
    assert "127.0.0.1:9093/1  DOWN" in text
    assert "0:90<100<130 +20" in text
    assert "0:90<104<130 +20" in text
    assert "1 of 2" in text
    assert "# producer pod#producer-1, 1 reports" in text
    assert "out/3:-11" in text
    assert "\n1:" not in text  # not read by this one


def test_a_partition_that_is_not_read_says_why() -> None:
    assert "(offset-query)" in page([condensed(consumer(fetch_state="offset-query"))])


def test_a_long_timeline_is_thinned_and_keeps_its_end() -> None:
    seen = [condensed(consumer(at, app_offset=1000 + at)) for at in range(5 * LINES)]
    text = page(seen)
    assert text.count("+20") <= LINES + 1
    assert f"<{1000 + 5 * LINES - 1}<" in text


def test_what_waits_in_queues_is_counted_once_for_each_client() -> None:
    seen = [condensed(one) for one in (consumer(), consumer(2, fetchq_cnt=7), PRODUCER)]
    assert queued(seen) == 7 + 12
    assert queued([condensed(consumer(fetch_state="stopped"))]) == 0
    assert queued([]) == 0


def test_a_report_without_figures_is_taken() -> None:
    assert "# ? ?" in page([condensed({})])
    assert page([]).startswith("No statistics")


def test_a_line_that_was_cut_off_is_left_out() -> None:
    text = json.dumps(condensed(PRODUCER))
    assert len(parsed(f"{text}\n{text[:40]}")) == 1
    assert parsed("3\n") == []


def test_reports_are_written_and_handed_on(tmp_path: Path) -> None:
    seen: list[str] = []
    prefix = str(tmp_path / "worker")
    options = recording({"stats_cb": seen.append, "statistics.interval.ms": 500}, prefix)
    text = json.dumps(consumer())
    options["stats_cb"](text)
    assert seen == [text]
    assert options["statistics.interval.ms"] == 500
    assert (tmp_path / "worker.consumer.json").read_text() == text
    assert parsed((tmp_path / "worker.statistics.jsonl").read_text()) == [condensed(consumer())]


def test_a_report_that_cannot_be_written_is_handed_on(tmp_path: Path) -> None:
    seen: list[str] = []
    options = recording({"stats_cb": seen.append}, str(tmp_path / "absent" / "worker"))
    options["stats_cb"](json.dumps(consumer()))
    options["stats_cb"]("no JSON")
    assert len(seen) == 2
    recording({}, str(tmp_path / "other"))["stats_cb"](json.dumps(PRODUCER))
    assert (tmp_path / "other.producer.json").exists()
