"""Sends dead letters again: back to the input, or through the model straight to the output.

Each letter once: what is written and how far the topic is done are one transaction, and a second
run goes on where the first one ended. Progress is kept by reason, so that a run for one reason
leaves the others for later. No Kafka client here; `redrive_log` has it.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from textmod_model.errors import StreamError
from textmod_model.formats.dead_letter import (
    ERROR_PREFIX,
    REDRIVE_COUNT,
    REDRIVE_TIMESTAMP,
    is_error_header,
)
from textmod_model.formats.message import Headers
from textmod_model.formats.moment import timestamp_of
from textmod_model.stream.records import Message, Record

MOST_AT_ONCE = 500
MOST_REASONS = 100
MOST_TIMES = 5
"""A letter that came back so often is not sent again unless it is asked for."""

_REASON = re.compile(r"[A-Za-z0-9]{1,64}")
_LARGEST = (1 << 63) - 1
_DIGITS = len(str(_LARGEST))

UNKNOWN_REASON = "Unknown"
"""Of a message on the dead-letter topic without a reason as ours are: somebody else's."""


class Letter:
    """A dead letter as the message that it was: where it stood, and its headers without the errors.

    The count of redrives is among the headers, one higher.
    """

    def __init__(self, message: Message) -> None:
        self.message = message
        own = message.headers() or []
        self._errors = {
            name.lower().removeprefix(ERROR_PREFIX): _text(value)
            for name, value in own
            if is_error_header(name)
        }
        self.count = next(
            (_number(_text(value)) or 0 for name, value in own if name.lower() == REDRIVE_COUNT), 0
        )
        self._headers: Headers = [
            (name, value)
            for name, value in own
            if not is_error_header(name) and name.lower() not in {REDRIVE_COUNT, REDRIVE_TIMESTAMP}
        ]
        self._headers.append((REDRIVE_COUNT, str(self.count + 1).encode()))

    @property
    def reason(self) -> str:
        """Why it is a dead letter; a part of a group's name, so that no other text is taken."""
        found = self._errors.get("reason") or ""
        return found if _REASON.fullmatch(found) else UNKNOWN_REASON

    @property
    def bare(self) -> bool:
        """Whether the original was left where it stood, so that there is nothing to send."""
        return self.message.value() is None and self.reason != "NullValue"

    def topic(self) -> str | None:
        return self._errors.get("topic") or self.message.topic()

    def partition(self) -> int | None:
        found = _number(self._errors.get("partition"))
        return self.message.partition() if found is None else found

    def offset(self) -> int | None:
        found = _number(self._errors.get("offset"))
        return self.message.offset() if found is None else found

    def key(self) -> bytes | None:
        return self.message.key()

    def value(self) -> bytes | None:
        return self.message.value()

    def headers(self) -> Headers | None:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        """Return the original's: with LogAppendTime the letter's own is when it was written."""
        text = self._errors.get("timestamp")
        try:
            seconds = datetime.fromisoformat(text or "").timestamp()
        except (ValueError, OverflowError):  # no moment, or one that no clock shows
            return (0, -1)
        return (1, round(seconds * 1000))

    def __len__(self) -> int:
        return len(self.message)


@dataclass(frozen=True)
class Plan:
    """What to send again."""

    reasons: frozenset[str] = frozenset()
    """Only these; empty: all."""
    most_times: int = MOST_TIMES
    """Leave out letters that were sent again so often."""


@dataclass
class Report:
    """What a run did, in letters."""

    redriven: Counter[str] = field(default_factory=Counter)
    """By reason; in a dry run what would have been."""
    already: int = 0
    """Done by an earlier run."""
    left: Counter[str] = field(default_factory=Counter)
    """Not sent: of another reason (by the reason), `TooOften`, `OriginalElsewhere`."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        return {
            "redriven": sum(self.redriven.values()),
            "by_reason": dict(self.redriven),
            "already": self.already,
            "left": dict(self.left),
        }


Done = dict[str, dict[int, int]]
"""By reason and partition of the dead-letter topic: the offset to go on from."""


def choose(
    letters: Iterable[Letter], plan: Plan, done: Done, report: Report
) -> tuple[list[Letter], Done]:
    """Return the letters to send, and how far that brings each reason. Counts what is left."""
    chosen: list[Letter] = []
    progress: Done = {}
    for letter in letters:
        partition, offset = letter.message.partition() or 0, letter.message.offset() or 0
        if offset < done.get(letter.reason, {}).get(partition, 0):
            report.already += 1
            continue
        if plan.reasons and letter.reason not in plan.reasons:
            report.left[letter.reason] += 1
            continue
        progress.setdefault(letter.reason, {})[partition] = offset + 1
        if letter.bare:
            report.left["OriginalElsewhere"] += 1
        elif letter.count >= plan.most_times:
            report.left["TooOften"] += 1
        else:
            chosen.append(letter)
            report.redriven[letter.reason] += 1
    return chosen, progress


class Log(Protocol):
    """The dead-letter topic, and the transactions that settle letters."""

    def take_over(self) -> None:
        """Fence other runs: from here on nobody else moves the progress."""
        ...

    def batches(self) -> Iterator[Sequence[Letter]]:
        """Yield what is on the topic now, in order."""
        ...

    def done(self, reason: str) -> dict[int, int]:
        """Return how far earlier runs came with a reason."""
        ...

    def settle(self, records: Sequence["Sent"], progress: Done) -> None:
        """Write the records and the progress, all or nothing."""
        ...


@dataclass(frozen=True)
class Sent:
    """A record to write."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    milliseconds: int | None


Answer = Callable[[Sequence[Letter]], Sequence[Sent]]
"""What to write for letters, in order."""


def to_input(topic: str) -> Answer:
    """Return an answer that sends each letter back as the message that it was.

    Its time stamp is the time of sending, or the input's retention could delete it before it is
    read; the original's is in a header.
    """

    def answer(letters: Sequence[Letter]) -> list[Sent]:
        return [
            Sent(topic, one.key(), one.value(), [*(one.headers() or []), _sent_at(one)], None)
            for one in letters
        ]

    return answer


def through_model(
    judge: Callable[[Sequence[Message]], Sequence[Record]], output: str, dead_letters: str
) -> Answer:
    """Return an answer that judges letters: a verdict to the output, or a dead letter again.

    A verdict has the `ce_id` that the first attempt would have had.
    """

    def answer(letters: Sequence[Letter]) -> list[Sent]:
        return [
            Sent(
                output if record.refused is None else dead_letters,
                record.key,
                record.value,
                record.headers,
                record.milliseconds,
            )
            for record in judge(letters)
        ]

    return answer


def run(
    log: Log,
    plan: Plan,
    answer: Answer,
    *,
    dry: bool = False,
    rate: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Report:
    """Send the letters that are on the topic now.

    Args:
        log: the topic and its transactions.
        plan: which letters.
        answer: what to write for them.
        dry: write nothing, only count.
        rate: at most so many letters a second.
        clock, sleep: seconds, monotonic.
    """
    report = Report()
    done: Done = {}
    began = clock()
    if not dry:
        log.take_over()  # before any progress is read, or a run under way would still move it
    for letters in log.batches():
        for reason in {letter.reason for letter in letters} - done.keys():
            if len(done) >= MOST_REASONS:
                raise StreamError(f"More than {MOST_REASONS} reasons: filter by --reason.")
            done[reason] = log.done(reason)
        chosen, progress = choose(letters, plan, done, report)
        if dry or not progress:
            continue
        log.settle(answer(chosen), progress)
        if rate:
            sent = sum(report.redriven.values())
            sleep(max(0.0, began + sent / rate - clock()))
    return report


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def _number(text: str | None) -> int | None:
    """Return a number that Kafka can have; None for other texts, which anybody may write."""
    if not text or len(text) > _DIGITS or not (text.isascii() and text.isdigit()):
        return None
    return min(int(text), _LARGEST)


def _sent_at(letter: Letter) -> tuple[str, bytes]:
    kind, milliseconds = letter.timestamp()
    return REDRIVE_TIMESTAMP, timestamp_of(milliseconds) if kind else b""
