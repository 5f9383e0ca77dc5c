"""Add up the counts of all verdicts, each text once.

Every event counts a range of offsets of one input partition. The ranges are stored: a gap was never
counted, for example because a process was killed; an overlap was read again by the next process.
Of an overlapping event the share of its offsets that is new is added: texts of one minute are
alike, so this favours no score, and no text counts twice.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from textmod_console.events import Count, Counted
from textmod_console.measurement import AllTexts
from textmod_console.store.projection import insert_into
from textmod_console.store.schema import counted, counted_ranges, micros

KEPT: Final = timedelta(days=400)
"""Longer than the longest window with the longest wait for its labels."""


class Range(NamedTuple):
    """Offsets of one input partition, `until` excluded."""

    begin: int
    until: int


def add_range(ranges: Iterable[Range], more: Range) -> tuple[float, list[Range]]:
    """Return the share of `more`, from 0 to 1, that is in no range, and the ranges with it."""
    touching = [one for one in ranges if one.begin <= more.until and more.begin <= one.until]
    known = sum(max(0, min(one.until, more.until) - max(one.begin, more.begin)) for one in touching)
    merged = Range(
        min([more.begin, *(one.begin for one in touching)]),
        max([more.until, *(one.until for one in touching)]),
    )
    apart = [one for one in ranges if one not in touching]
    return 1 - known / (more.until - more.begin), sorted([*apart, merged])


def take(connection: Connection, events: Iterable[Counted]) -> int:
    """Add the counts of these events. Returns how many had offsets that were new."""
    taken = 0
    for event in events:
        share = _take_range(connection, event.source, Range(event.begin, event.until))
        if share > 0:
            _add(connection, event, share)
            taken += 1
    return taken


def _take_range(connection: Connection, source: str, more: Range) -> float:
    """Store a range; return the share of it that is new."""
    table = counted_ranges
    touching = (
        (table.c.source == source) & (table.c.first <= more.until) & (table.c.until >= more.begin)
    )
    query = select(table.c.first, table.c.until).where(touching)
    share, [merged] = add_range([Range(*row) for row in connection.execute(query)], more)
    connection.execute(delete(table).where(touching))
    row = {"source": source, "first": merged.begin, "until": merged.until}
    connection.execute(insert(table), [row])
    return share


def _add(connection: Connection, event: Counted, share: float) -> None:
    sums: defaultdict[tuple[int, str, bool, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in event.counts:
        key = micros(one.at), one.policy_version or "", one.flagged, _policies(one)
        sums[key][0] += share * one.texts
        sums[key][1] += share * one.scores
    rows = [
        {
            "at": at,
            "model": event.model,
            "version": version,
            "flagged": flagged,
            "policies": policies,
            "texts": texts,
            "scores": scores,
        }
        for (at, version, flagged, policies), (texts, scores) in sorted(sums.items())
    ]
    if not rows:
        return
    statement = insert_into(connection, counted)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["at", "model", "version", "flagged", "policies"],
            set_={
                "texts": counted.c.texts + statement.excluded.texts,
                "scores": counted.c.scores + statement.excluded.scores,
            },
        ),
        rows,
    )


def _policies(one: Count) -> str:
    return json.dumps(sorted({(said.name, said.action) for said in one.policies}))


def expire(connection: Connection, now: datetime) -> None:
    """Delete counts that no window reads any more."""
    connection.execute(delete(counted).where(counted.c.at < micros(now - KEPT)))


def totals(connection: Connection, since: datetime, until: datetime) -> dict[str, list[AllTexts]]:
    """Return all texts of the window that are counted, by the digest of their model."""
    kind = (counted.c.model, counted.c.flagged, counted.c.policies)
    query = (
        select(*kind, func.sum(counted.c.texts), func.sum(counted.c.scores))
        .where(counted.c.at >= micros(since), counted.c.at < micros(until))
        .group_by(*kind)
    )
    found: defaultdict[str, list[AllTexts]] = defaultdict(list)
    for model, flagged, policies, texts, scores in connection.execute(query):
        said = tuple((name, action) for name, action in json.loads(policies))
        found[model].append(AllTexts(flagged, said, texts, scores))
    return found


class Coverage:
    """The ranges of offsets whose texts are counted."""

    def __init__(self, ranges: Mapping[str, Sequence[Range]]) -> None:
        self._begins = {source: [one.begin for one in found] for source, found in ranges.items()}
        self._ranges = ranges

    def includes(self, item: str) -> bool:
        """Whether the item's text is counted; its name is where its message is in the input."""
        source, _, rest = item.rpartition("/")
        number = rest.partition("#")[0]
        if source not in self._ranges or not number.isdecimal():
            return False
        offset = int(number)
        place = bisect_right(self._begins[source], offset) - 1
        return place >= 0 and offset < self._ranges[source][place].until


def coverage(connection: Connection) -> Coverage:
    """Return the ranges of offsets that are counted."""
    table = counted_ranges
    query = select(table.c.source, table.c.first, table.c.until).order_by(
        table.c.source, table.c.first
    )
    found: defaultdict[str, list[Range]] = defaultdict(list)
    for source, begin, until in connection.execute(query):
        found[source].append(Range(begin, until))
    return Coverage(found)
