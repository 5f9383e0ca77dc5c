"""Counts all texts with a verdict, and writes the counts to the review topic now and then.

With the sums of the scores of all texts, estimates from the labels of a sample are more precise.
`verdicts.counted.v1` holds these sums for a range of offsets of one input partition. The ranges
show which texts are missing after a crash, and which are counted twice after a redelivery.
"""

from collections.abc import Collection, Sequence
from itertools import accumulate, compress, groupby
from operator import methodcaller
from typing import Any, Final

from textmod_model.formats.message import Decoded, Verdicts
from textmod_model.formats.moment import timestamp, timestamp_of
from textmod_model.formats.payload import dumps
from textmod_model.policies.evaluate import Ruling
from textmod_model.review.event import EventHeaders
from textmod_model.stream.records import Message, Origin, Record, time_stamp
from textmod_model.stream.review_requests import Judged

EVENT_TYPE: Final = b"dev.textmoderation.verdicts.counted.v1"
INTERVAL_SECONDS: Final = 60.0
"""Between two events of one partition; a process that is killed loses the counts since the last."""
SLOT_MILLISECONDS: Final = 600_000
"""Texts are counted by the ten minutes of their messages' time."""
MOST_COUNTS: Final = 500
"""Of one event, which then takes at most some 100 KB, whatever the time stamps are."""

_Key = tuple[int, Ruling | bool]
"""The slot, and the ruling; without policies, whether the text is flagged."""
_Sums = dict[_Key, list[float]]
"""Texts, and the sum of their scores."""
_PARTITION: Final = methodcaller("partition")


class _Range:
    """The counts of a partition from one offset on."""

    def __init__(self, message: Message, now: float) -> None:
        self.begin = self.until = message.offset() or 0
        self.since = now
        self.last = Origin(message)
        """Not the message, whose value of up to 64 MiB would stay until the next."""
        self.sums: _Sums = {}

    def is_due(self, now: float) -> bool:
        old = not 0 <= now - self.since < INTERVAL_SECONDS  # or the clock was set back
        return bool(self.sums) and (old or len(self.sums) >= MOST_COUNTS)

    def restart(self, now: float) -> None:
        """Begin the next range where this one ends, so that there is no gap."""
        self.begin, self.since, self.sums = self.until, now, {}


class Counting:
    """Counts the texts of judged batches.

    Args:
        headers: of the events.
        verdicts: the labels and the threshold of the model.
        digest: of the model.
    """

    def __init__(self, headers: EventHeaders, verdicts: Verdicts, digest: str) -> None:
        self._headers = headers
        self._verdicts = verdicts
        self._columns = {name: place for place, name in enumerate(verdicts.columns)}
        self._digest = digest
        self._ranges: dict[int, _Range] = {}

    def add(self, judged: Judged, now: float) -> list[Record]:
        """Count a batch; return the events that are due, to be written behind its verdicts."""
        messages, places = judged.messages, _places(judged)
        first = 0
        for _, same in groupby(messages, _PARTITION):
            after = first + sum(1 for _ in same)
            found = self._range(messages[first], now)
            found.last = Origin(messages[after - 1])
            found.until = found.last.offset() + 1
            slot = _slot(messages[first], now)
            if slot == _slot(messages[after - 1], now):  # then those between are almost always too
                self._count(found.sums, slot, judged, places[first], places[after])
            else:
                for at in range(first, after):
                    slot = _slot(messages[at], now)
                    self._count(found.sums, slot, judged, places[at], places[at + 1])
            first = after
        return [self._record(one, now) for one in self._ranges.values() if one.is_due(now)]

    def rest(self, partitions: Collection[int] | None, now: float) -> list[Record]:
        """Return events with the counts since the last ones; None: of all partitions."""
        return [
            self._record(one, now)
            for partition, one in self._ranges.items()
            if one.sums and (partitions is None or partition in partitions)
        ]

    def forget(self, partitions: Collection[int]) -> None:
        """Drop the counts of partitions that another consumer reads now."""
        for partition in partitions:
            self._ranges.pop(partition, None)

    def _range(self, message: Message, now: float) -> _Range:
        """Return the range that the message continues."""
        partition, offset = message.partition() or 0, message.offset() or 0
        found = self._ranges.get(partition)
        if found is None or offset < found.until:  # read again from an earlier offset
            found = self._ranges[partition] = _Range(message, now)
        return found

    def _count(self, sums: _Sums, slot: int, judged: Judged, begin: int, end: int) -> None:
        """Count the texts from one place to another."""
        rows, failures = judged.scores[begin:end], judged.failures
        said: Sequence[Ruling | bool] = judged.rulings[begin:end]
        if self._verdicts.names:  # the score that decided: a request names its label
            columns = self._columns
            rows = (
                [
                    row[columns[one.label]]
                    for row, one in zip(rows, judged.rulings[begin:end], strict=True)
                ]
                if said
                else [row[0] for row in rows]
            )
        if not said:
            threshold = self._verdicts.threshold
            said = [score >= threshold for score in rows]
        if failures:
            good = [at not in failures for at in range(begin, end)]
            rows, said = list(compress(rows, good)), list(compress(said, good))
        seen: dict[Ruling | bool, list[float]] = {}
        for one, score in zip(said, rows, strict=True):
            if one not in seen:
                seen[one] = sums.setdefault((slot, one), [0, 0.0])
            found = seen[one]
            found[0] += 1
            found[1] += score

    def _record(self, one: _Range, now: float) -> Record:
        message = one.last
        source = f"{message.topic()}/{message.partition()}"
        fields = {
            "source": source,
            "from": one.begin,
            "until": one.until,
            "model": self._digest,
            "counts": [_fields(*key, sums, now) for key, sums in one.sums.items()],
        }
        item = f"{source}/{one.begin}-{one.until}"
        headers = self._headers.of(item, self._headers.for_batch(now))
        one.restart(now)
        return Record(None, message, source.encode(), dumps(fields), headers, None, counts=True)


def _places(judged: Judged) -> Sequence[int]:
    """Return the place of each message's first text, and behind them the number of texts."""
    messages = len(judged.messages)
    if len(judged.texts) == messages and set(map(type, judged.decoded)) == {Decoded}:
        return range(messages + 1)  # a text each
    texts = (len(one.texts) if isinstance(one, Decoded) else 0 for one in judged.decoded)
    return list(accumulate(texts, initial=0))


def _slot(message: Message, now: float) -> int:
    milliseconds = time_stamp(message)
    return (int(now * 1000) if milliseconds is None else milliseconds) // SLOT_MILLISECONDS


def _fields(slot: int, said: Ruling | bool, sums: list[float], now: float) -> dict[str, Any]:
    at = timestamp_of(slot * SLOT_MILLISECONDS).decode() or timestamp(now)
    fields: dict[str, Any] = {"at": at, "texts": int(sums[0]), "scores": sums[1]}
    if isinstance(said, bool):
        return fields | {"flagged": said}
    return fields | {
        "flagged": said.action != "Allow",
        "policyVersion": said.version,
        "policies": said.acting,
    }
