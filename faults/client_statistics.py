"""What librdkafka says of itself: condense its statistics, and write them for a person. Pure.

The fields are those of librdkafka's STATISTICS.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

Snapshot = dict[str, Any]
"""The main figures of one report; see `condensed`."""
LINES: Final = 120
"""The longest timeline of one client; of a longer one every so many lines are shown."""


def condensed(figures: Mapping[str, Any]) -> Snapshot:
    """Return the main figures of a report."""
    group = figures.get("cgrp") or {}
    return {
        "at": figures.get("time", 0),  # seconds of the wall clock, as in the logs
        "client": figures.get("name", "?"),
        "kind": figures.get("type", "?"),
        "calls": figures.get("replyq", 0),  # that wait for the program to poll
        "messages": figures.get("msg_cnt", 0),  # that the producer has not delivered
        "brokers": {
            name: {
                "state": one.get("state", "?"),
                "waiting": one.get("outbuf_cnt", 0) + one.get("waitresp_cnt", 0),
                "round_trip_ms": round((one.get("rtt") or {}).get("p99", 0) / 1000, 1),
                "timeouts": one.get("req_timeouts", 0),
                "errors": one.get("txerrs", 0) + one.get("rxerrs", 0),
                "disconnects": one.get("disconnects", 0),
            }
            for name, one in (figures.get("brokers") or {}).items()
        },
        "group": {
            "state": group.get("state", "-"),
            "join": group.get("join_state", "-"),
            "rebalances": group.get("rebalance_cnt", 0),
            "reason": group.get("rebalance_reason", ""),
            "partitions": group.get("assignment_size", 0),
        },
        "partitions": {
            f"{topic}/{number}": {
                "leader": one.get("leader", -1),
                "state": one.get("fetch_state", "-"),
                "committed": one.get("committed_offset", -1),
                "stored": one.get("stored_offset", -1),
                "read": one.get("app_offset", -1),
                "end": one.get("ls_offset", -1),
                "fetched": one.get("fetchq_cnt", 0),  # and not handed to the program
                "unsent": one.get("msgq_cnt", 0) + one.get("xmit_msgq_cnt", 0),
                "in_flight": one.get("msgs_inflight", 0),
            }
            for topic, listed in (figures.get("topics") or {}).items()
            for number, one in (listed.get("partitions") or {}).items()
            if number != "-1"  # messages without a partition yet
        },
    }


def queued(snapshots: Iterable[Snapshot]) -> int:
    """Return the messages in the queues of clients, of the last snapshot of each.

    Of a partition that is no longer read librdkafka reports what was in its queue when it stopped.
    """
    last = {one["client"]: one for one in snapshots}
    return sum(one["messages"] + _fetched(one) for one in last.values())


def _fetched(one: Snapshot) -> int:
    return sum(each["fetched"] for each in one["partitions"].values() if each["state"] == "active")


def parsed(text: str) -> list[Snapshot]:
    """Return the snapshots of a file, one a line; a line that was cut off by a kill is left out."""
    found = []
    for line in text.splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict):
            found.append(one)
    return found


def page(snapshots: Sequence[Snapshot]) -> str:
    """Return the last snapshot of each client of a worker, and how its figures changed."""
    by_client: dict[str, list[Snapshot]] = {}
    for one in snapshots:
        by_client.setdefault(one["client"], []).append(one)
    if not by_client:
        return "No statistics: the worker ended before its clients reported any.\n"
    return "\n".join("".join(_client(name, seen)) for name, seen in by_client.items())


def _client(name: str, seen: Sequence[Snapshot]) -> Iterator[str]:
    last = seen[-1]
    group = last["group"]
    yield f"# {last['kind']} {name}, {len(seen)} reports, the last one at {_clock(last['at'])}\n\n"
    if last["kind"] == "consumer":
        yield (
            f"Group: {group['state']}, {group['join']}, {group['partitions']} partitions,"
            f" {group['rebalances']} rebalances; the last: {group['reason'] or '-'}.\n"
        )
    yield f"Waiting for the program: {last['calls']} events; unsent: {last['messages']} messages.\n"
    yield "\n"
    yield from _table(
        ("broker", "state", "requests", "p99 ms", "timeouts", "errors", "disconnects"),
        ((broker, *one.values()) for broker, one in last["brokers"].items()),
    )
    yield "\n"
    yield from _table(
        ("partition", "leader", "state", "committed", "stored", "read", "end", "fetched", "unsent",
         "in flight"),
        (
            (place, *map(_known, one.values()))
            for place, one in last["partitions"].items()
            if last["kind"] == "consumer" or one["unsent"] or one["in_flight"]
        ),
    )  # fmt: skip
    yield "\nOver time; of a partition: committed<read<end +fetched, or -unsent and in flight.\n\n"
    every = -(-len(seen) // LINES)
    shown = [*seen[:-1:every], last]
    yield from _table(("time", "brokers up", "group", "partitions"), map(_moment, shown))


def _moment(one: Snapshot) -> tuple[object, ...]:
    up = sum(broker["state"] == "UP" for broker in one["brokers"].values())
    group = one["group"]
    state = f"{group['join']} {group['partitions']}" if one["kind"] == "consumer" else "-"
    busy = (
        _place(place, figures, reads=one["kind"] == "consumer")
        for place, figures in one["partitions"].items()
    )
    return _clock(one["at"]), f"{up} of {len(one['brokers'])}", state, " ".join(filter(None, busy))


def _place(place: str, one: Mapping[str, Any], *, reads: bool) -> str:
    if not reads:
        waiting = one["unsent"] + one["in_flight"]
        return f"{place}:-{waiting}" if waiting else ""
    if one["state"] == "none":  # not one of the partitions that it reads
        return ""
    number = place.rpartition("/")[2]
    active = "" if one["state"] == "active" else f" ({one['state']})"
    committed, read, end = (_known(one[name]) for name in ("committed", "read", "end"))
    return f"{number}:{committed}<{read}<{end} +{one['fetched']}{active}"


def _known(value: object) -> object:
    """Return a figure; librdkafka's codes for an unknown offset are below 0."""
    return "-" if isinstance(value, int) and value < 0 else value


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip() + "\n"


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
