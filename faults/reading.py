"""Reads topics to their end, and what the checker needs of their records."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from faults.history import Place, Result
from faults.topics import ANSWER_SECONDS

VISIBLE_SECONDS = 90.0
"""The longest wait for transactions that killed workers left open."""
SAMPLE_SECONDS = 0.5
REQUESTED = b"dev.textmoderation.review.requested.v1"


def read(servers: str, topic: str, since: Mapping[int, int] | None = None) -> list[Message]:
    """Return the committed records of a topic up to its end as of now.

    `since` has the offsets to begin at, by partition; a partition that is not in it is read whole.

    What is behind an open transaction can't be read. One that a killed worker left open ends
    with its time-out; until then this waits.
    """
    options = {
        "bootstrap.servers": servers,
        "group.id": f"reader-{topic}",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
    }
    whole = Consumer(options | {"isolation.level": "read_uncommitted"})
    reader = Consumer(options | {"isolation.level": "read_committed"})
    found: list[Message] = []
    try:
        known = whole.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions
        begin = since or {}
        partitions = [TopicPartition(topic, number, begin.get(number, 0)) for number in known]
        ends = {
            one.partition: whole.get_watermark_offsets(one, timeout=ANSWER_SECONDS)[1]
            for one in partitions
        }
        deadline = time.monotonic() + VISIBLE_SECONDS
        for one in partitions:  # for read_committed the end is the last stable offset
            while (
                reader.get_watermark_offsets(one, timeout=ANSWER_SECONDS)[1] < ends[one.partition]
                and time.monotonic() < deadline
            ):
                time.sleep(SAMPLE_SECONDS)
        reader.assign(partitions)
        left = set(ends)
        while left:
            for message in reader.consume(1000, 0.2):
                if message.error() is None:
                    found.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    left.discard(message.partition())
    finally:
        reader.close()
        whole.close()
    return found


def places(records: list[Message]) -> list[Place]:
    """Return where the numbered messages among the records of the input topic are."""
    return [
        Place(int(number), one.partition(), one.offset())
        for one in records
        if (number := dict(one.headers() or []).get("number"))
    ]


def requested(records: list[Message]) -> list[str]:
    """Return the items of the review requests among the records of a review topic."""
    headers = [dict(one.headers() or []) for one in records]
    return [one["ce_id"].decode() for one in headers if one["ce_type"] == REQUESTED]


@dataclass(frozen=True, slots=True)
class Reading:
    """Makes results of records."""

    sample: float
    """The share of texts that is reviewed at random, 0 to 1; 0: no text is reviewed at all."""
    salt: str

    def result(self, message: Message, *, dead: bool, base: int) -> Result:
        """Return a record of the output or of the dead-letter topic; `base` is added to offsets."""
        headers = dict(message.headers() or [])
        source, to_review = (-1, -1), ()
        if dead:
            names = ("textmod.error.partition", "textmod.error.offset")
            source = (int(headers.get(names[0], -1)), int(headers.get(names[1], -1)))
        elif "ce_id" in headers:
            verdict = headers["ce_id"].decode()
            _, partition, offset = verdict.rsplit("/", 2)
            source = (int(partition), int(offset))
            to_review = self.to_review(verdict, message.value()) if self.sample else ()
        return Result(
            number=int(headers.get("number", -1)),
            dead=dead,
            partition=message.partition(),
            offset=base + message.offset(),
            key=message.key(),
            value=message.value() if dead else None,
            source=source,
            headers=frozenset(headers),
            to_review=to_review,
        )

    def to_review(self, verdict: str, value: bytes | None) -> tuple[str, ...]:
        """Return the items of a verdict's texts that must be reviewed.

        `verdict` is its id. What docs/review.md says of ids and of the random sample is computed
        here a second time, and not taken from the program under test.
        """
        if value is None:  # a tombstone that was forwarded
            return ()
        answer = json.loads(value)
        count = len(answer["data"]["ndarray"])
        tags = answer.get("meta", {}).get("tags", {})
        actions = tags.get("actions") or [tags.get("action")] * count
        items = [verdict] if count == 1 else [f"{verdict}#{place}" for place in range(count)]
        chosen = zip(items, actions, strict=True)
        return tuple(one for one, action in chosen if action == "Review" or self._sampled(one))

    def _sampled(self, item: str) -> bool:
        digest = hashlib.blake2b(f"{self.salt}\0{item}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.sample * 2**64
