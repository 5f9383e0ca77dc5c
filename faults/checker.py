"""Judge a history: what was lost, repeated, reordered or altered, and whether the stream went on.

The properties are those of docs/stream.md. Pure; `tests/faults` plants histories that each property
must catch.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass

from faults.history import History, Result, Sent


@dataclass(frozen=True, slots=True)
class Findings:
    """Counts of messages, 0 where all is well, and seconds."""

    messages: int
    lost: int
    """Acknowledged, and neither a verdict nor a dead letter."""
    expired: int
    """Deleted from the input unread: neither lost nor results."""
    duplicated: int
    """Results beyond the first of a message. At least once allows them."""
    invented: int
    """Results of no message that was sent, or that name the wrong one."""
    order_breaks: int
    """First results of a key that come before those of an earlier message of the same key."""
    altered: int
    """Results with another key, without the original's headers, or letters with another value."""
    ahead: int
    """Messages below a committed offset that have no result."""
    requests: int
    """Review requests."""
    unreviewed: int
    """Texts that a policy or the random sample chose and that have a verdict, but no request."""
    asked_again: int
    """Review requests beyond the first of a text. At least once allows them."""
    recovery_seconds: float | None
    """From the end of the last fault to the next result; None: none was outstanding."""
    visible_seconds: float | None
    """From the end of the last fault until all results could be read; None: unknown."""
    stalled: bool
    """The stream stood still for longer than promised after the last fault, or never finished."""

    def broken(self, delivery: str) -> list[str]:
        """Return the names of the properties that do not hold."""
        counts = asdict(self)
        names = ["lost", "invented", "order_breaks", "altered", "ahead", "unreviewed", "stalled"]
        if delivery == "ExactlyOnce":
            names += ["duplicated", "asked_again"]
        return [name for name in names if counts[name]]


def check(history: History) -> Findings:
    """Return what is wrong with a history."""
    sent = {one.number: one for one in history.sent}
    times = Counter(
        (result.number, result.source if result.source in history.copies else None)
        for result in history.results
        if result.number in sent
    )
    known = [
        result for result in history.results if _is_of(result, sent.get(result.number), history)
    ]
    answered = {number for number, copy in times if copy is None}
    excused = history.expired
    missing = [sent[number] for number in sent.keys() - answered - excused]
    unanswered = history.copies.keys() - {result.source for result in history.results}
    # At least once, a worker that is killed after a verdict and before its request leaves both to
    # the next one, which can't read the message if retention has deleted it. Exactly once, both are
    # in one transaction.
    cut_off = excused if history.delivery == "AtLeastOnce" else set()
    # The next one may also have other policies: what counts is a message's last verdict.
    verdicts = sorted((one for one in known if not one.dead), key=lambda one: one.offset)
    latest = {verdict.source: verdict for verdict in verdicts}
    to_review = {
        item
        for result in latest.values()
        if result.number not in cut_off
        for item in result.to_review
    }
    asked = Counter(history.requests)
    recovery, stood_still = _standstill(history, outstanding=bool(missing))
    return Findings(
        messages=len(sent),
        lost=len(missing) + len(unanswered),
        expired=sum(one in sent and one not in answered for one in excused),
        duplicated=sum(times.values()) - len(times),
        invented=len(history.results) - len(known),
        order_breaks=_order_breaks(known),
        altered=sum(_is_altered(result, sent[result.number], history) for result in known),
        ahead=sum(one.offset < history.committed.get(one.partition, -1) for one in missing),
        requests=len(history.requests),
        unreviewed=len(to_review - asked.keys()),
        asked_again=len(history.requests) - len(asked),
        recovery_seconds=recovery,
        visible_seconds=None if history.visible is None else history.visible - history.last_fault,
        stalled=stood_still,
    )


def _is_of(result: Result, one: Sent | None, history: History) -> bool:
    if one is None:
        return False
    own = result.source == (one.partition, one.offset)
    return own or history.copies.get(result.source) == one.number


def _is_altered(result: Result, one: Sent, history: History) -> bool:
    if result.dead and history.bare and result.value is None:
        return False
    if "number" not in result.headers:
        return True
    return result.key != one.key or (result.dead and result.value != one.value)


def _order_breaks(results: list[Result]) -> int:
    """Count, by topic and key, first results that stand before one of an earlier message.

    Messages without a key have no order. Offsets order those of a key in one partition of the
    input; partitions that are added move keys to others, which are read beside it.
    """
    by_key: dict[tuple[bool, bytes, int, int], list[Result]] = defaultdict(list)
    for result in results:
        if result.key is not None:
            place = (result.dead, result.key, result.partition, result.source[0])
            by_key[place].append(result)
    breaks = 0
    for group in by_key.values():
        seen: set[tuple[int, int]] = set()
        latest = -1
        for result in sorted(group, key=lambda one: one.offset):
            if result.source in seen:
                continue
            seen.add(result.source)
            offset = result.source[1]
            breaks += offset < latest
            latest = max(latest, offset)
    return breaks


def _standstill(history: History, *, outstanding: bool) -> tuple[float | None, bool]:
    """Return the seconds from the last fault to the next result, and if the stream stood still."""
    after = [one for one in history.progress if one.at >= history.last_fault]
    if not after:
        return None, outstanding
    begun, total = after[0], len(history.sent)
    if begun.results >= total:
        return None, outstanding
    recovery = next((one.at for one in after if one.results > begun.results), None)
    longest, last = 0.0, begun
    for one in after:
        if one.results > last.results:
            last = one
        elif last.results < total:
            longest = max(longest, one.at - last.at)
    seconds = None if recovery is None else recovery - history.last_fault
    return seconds, outstanding or longest > history.promise_seconds
