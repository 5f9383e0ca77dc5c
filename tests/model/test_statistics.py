"""Reading librdkafka's statistics."""

import json

from textmod_model.stream.statistics import Statistics, read


def test_what_is_missing_is_unknown():
    assert read("{}", "in") == Statistics(False, 0, {}, None)


def test_a_report():
    report = {
        "brokers": {
            "one": {"state": "UP", "req_timeouts": 2, "disconnects": 1},
            "two": {"state": "CONNECT", "disconnects": 4},
        },
        "cgrp": {"rebalance_cnt": 8},
        "topics": {
            "in": {"partitions": {"-1": {"ls_offset": 5}, "0": {"ls_offset": 7}, "12": {}}},
            "other": {"partitions": {"3": {"ls_offset": 9}}},
        },
    }
    assert read(json.dumps(report), "in") == Statistics(True, 15, {0: 7, 12: -1}, 2)


def test_without_a_connection_it_is_not_connected():
    report = {"brokers": {"one": {"state": "DOWN", "disconnects": 1}}}
    assert read(json.dumps(report), "in") == Statistics(False, 1, {}, None)
