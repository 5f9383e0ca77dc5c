"""A batch of Kafka messages in, a batch of records to write out: a verdict or a dead letter each.

No I/O and no Kafka client here, so the whole of what becomes of a message can be tested with plain
objects. Reading is `kafka`'s, writing and offsets are `delivery`'s, the loop is `worker`'s.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from textmod_model.formats.dead_letter import dead_letter_headers
from textmod_model.formats.message import (
    Decoded,
    Decoder,
    Encoder,
    Headers,
    Refused,
    RefusedError,
)
from textmod_model.formats.verdict_headers import VerdictHeaders

Score = Callable[[Sequence[str]], NDArray[np.float64]]
"""Texts to probabilities of "removed", shape (n,)."""

TEXTS_AT_ONCE = 1024
"""Messages may hold many texts each; this bounds what one call of the scorer has to hold."""


class Message(Protocol):
    """What we use of confluent_kafka's Message."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers | None: ...
    def timestamp(self) -> tuple[int, int]: ...
    def __len__(self) -> int: ...  # bytes of the value


class HeadersUnread:
    """A message with a header whose name is not UTF-8: the client can't read any of its headers."""

    refused = Refused(
        "HeaderNotUtf8",
        "the name of a header is not valid UTF-8. The message's own headers were left where these"
        " say.",
    )

    def __init__(self, message: Message) -> None:
        self.topic, self.partition, self.offset = message.topic, message.partition, message.offset
        self.key, self.value, self.timestamp = message.key, message.value, message.timestamp
        self._size = len(message)

    def __len__(self) -> int:
        return self._size

    def headers(self) -> None:
        """Have none, where the client would raise, or return what can't be looked at."""


class Record(NamedTuple):
    """Something to write because of `source`."""

    refused: Refused | None
    """None for a verdict; the reason for a dead letter."""
    source: Message
    key: bytes | None
    value: bytes | None
    headers: Headers
    milliseconds: int | None
    """Time stamp; None lets the producer take its own."""
    bare: bool = False
    """A dead letter without the original, which was too large for the dead-letter topic."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in the order of their sources, and what the metrics want to know of them."""

    records: list[Record]
    offsets: dict[int, int]
    """Per input partition, the offset to go on from once all of this is written."""
    scores: NDArray[np.float64]
    lost: set[int] = field(default_factory=set)
    """Partitions that were taken away meanwhile: another consumer reads those sources again."""

    def next_offsets(self) -> dict[int, int]:
        """Return the offsets of the partitions that are still ours."""
        return {p: offset for p, offset in self.offsets.items() if p not in self.lost}

    def holds(self, record: Record) -> bool:
        """Tell whether the record is still ours to write."""
        return not self.lost or record.source.partition() not in self.lost


class Judge:
    """Decodes, scores and answers; what can't be becomes a dead letter, never an error."""

    def __init__(
        self,
        *,
        decode: Decoder,
        score: Score,
        encode: Encoder,
        headers: VerdictHeaders,
        model: str,
        forward_tombstones: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._decode = decode
        self._score = score
        self._encode = encode
        self._headers = headers
        self._model = model
        self._forward_tombstones = forward_tombstones
        self._clock = clock

    def judge(self, messages: Sequence[Message]) -> Batch:
        """Return one record per message, in order."""
        decoded = [
            message.refused
            if isinstance(message, HeadersUnread)
            else self._decode(message.value(), message.headers())
            for message in messages
        ]
        scores = self._scores(decoded)
        shared = self._headers.for_batch(self._clock())
        rows = scores.tolist()
        records = []
        offsets = {}
        place = 0
        for message, one in zip(messages, decoded, strict=True):
            topic, partition, offset = _where(message)
            offsets[partition] = offset + 1
            if isinstance(one, Refused):
                records.append(self._without_verdict(message, one, shared))
                continue
            count = len(one.texts)
            score = rows[place : place + count]
            place += count
            where = f"{topic}/{partition}/{offset}"
            value = self._answer(one, score, where)
            if isinstance(value, Refused):
                records.append(self.dead_letter(message, value))
                continue
            milliseconds = _milliseconds(message)
            records.append(
                Record(
                    None,
                    message,
                    message.key(),
                    value,
                    self._headers.of(message.headers(), where, shared, milliseconds),
                    milliseconds,
                )
            )
        return Batch(records, offsets, scores[~np.isnan(scores)])

    def _without_verdict(self, message: Message, refused: Refused, shared: Headers) -> Record:
        """Return the dead letter, or the tombstone that erases a verdict of a compacted output."""
        tombstone = message.value() is None and not isinstance(message, HeadersUnread)
        if not (tombstone and self._forward_tombstones):
            return self.dead_letter(message, refused)
        topic, partition, offset = _where(message)
        milliseconds = _milliseconds(message)
        where = f"{topic}/{partition}/{offset}"
        headers = self._headers.of(message.headers(), where, shared, milliseconds)
        return Record(None, message, message.key(), None, headers, milliseconds)

    def dead_letter(self, message: Message, refused: Refused) -> Record:
        """Return the dead letter: the original untouched, the reason in headers after its own."""
        original = message.headers(), message.key(), message.value()
        return self._dead_letter(message, refused, *original)

    def empty_dead_letter(self, message: Message, refused: Refused) -> Record:
        """Return what is left to write when the dead letter itself is too large for its topic.

        The original stays at the topic, partition and offset that the headers name.
        """
        note = Refused(
            refused.reason,
            f"{refused.message} The original is too large for the dead-letter topic too and was"
            " left where the headers say.",
        )
        return self._dead_letter(message, note, None, None, None)._replace(bare=True)

    def _dead_letter(
        self,
        message: Message,
        refused: Refused,
        original: Headers | None,
        key: bytes | None,
        value: bytes | None,
    ) -> Record:
        topic, partition, offset = _where(message)
        milliseconds = _milliseconds(message)
        headers = dead_letter_headers(
            original,
            refused,
            topic=topic,
            partition=partition,
            offset=offset,
            milliseconds=milliseconds,
            model=self._model,
        )
        return Record(refused, message, key, value, headers, milliseconds)

    def _answer(self, decoded: Decoded, scores: Sequence[float], where: str) -> bytes | Refused:
        if any(map(math.isnan, scores)):
            return Refused("ScoringFailed", "the model could not score the text.")
        try:
            return self._encode(decoded, scores, where)
        except RefusedError as error:
            return error.refused

    def _scores(self, decoded: Sequence[Decoded | Refused]) -> NDArray[np.float64]:
        texts = [text for one in decoded if isinstance(one, Decoded) for text in one.texts]
        if len(texts) <= TEXTS_AT_ONCE:
            return self._some_scores(texts)
        parts = [
            self._some_scores(texts[start : start + TEXTS_AT_ONCE])
            for start in range(0, len(texts), TEXTS_AT_ONCE)
        ]
        return np.concatenate(parts)

    def _some_scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Score a few texts; if that fails, one by one, so that one text costs only its own."""
        if not texts:
            return np.empty(0)
        try:
            return self._score(texts)
        except Exception:  # noqa: BLE001 - whatever the model raises must not stop the stream
            return np.array([self._one_score(text) for text in texts])

    def _one_score(self, text: str) -> float:
        try:
            return float(self._score([text])[0])
        except Exception:  # noqa: BLE001 - see above; NaN becomes a dead letter
            return float("nan")


def _where(message: Message) -> tuple[str, int, int]:
    """Topic, partition and offset; a consumed message always has them."""
    return message.topic() or "", message.partition() or 0, message.offset() or 0


def _milliseconds(message: Message) -> int | None:
    kind, milliseconds = message.timestamp()
    return milliseconds if kind else None  # kind 0: the record has none
