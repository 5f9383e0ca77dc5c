"""Reads librdkafka's statistics of a consumer. Pure."""

from typing import NamedTuple

import orjson


class Statistics(NamedTuple):
    """One report."""

    connected: bool
    """Whether a broker is connected."""
    troubles: int
    """Requests without an answer, lost connections and rebalances since the client was opened."""
    ends: dict[int, int]
    """Where the topic's partitions end for a reader of committed records; below 0: unknown."""
    partitions: int | None
    """How many the topic has; None: no broker has said it yet."""


def read(text: str, topic: str) -> Statistics:
    """Read a report as `stats_cb` gets it, for one topic."""
    figures = orjson.loads(text)
    brokers = figures.get("brokers", {}).values()
    lost = sum(one.get("req_timeouts", 0) + one.get("disconnects", 0) for one in brokers)
    listed = figures.get("topics", {}).get(topic, {}).get("partitions", {})
    ends = {
        int(name): partition.get("ls_offset", -1)
        for name, partition in listed.items()
        if name != "-1"  # the messages that have no partition yet
    }
    return Statistics(
        connected=any(one.get("state") == "UP" for one in brokers),
        troubles=lost + figures.get("cgrp", {}).get("rebalance_cnt", 0),
        ends=ends,
        partitions=len(ends) or None,
    )
