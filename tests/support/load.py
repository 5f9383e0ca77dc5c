"""A steady stream of numbered texts, and the count of what came of them."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, Producer, TopicPartition

TEXT = json.dumps({"data": {"names": ["text"], "ndarray": ["thanks for the source, you fool"]}})
"""What both the model image and Seldon's executor understand."""


class Load:
    """Produces to one topic and reads another while the block lasts, each in a thread.

    Every message's key is its number, which a verdict keeps.

    Args:
        servers: bootstrap servers.
        source: the topic that is written.
        target: the topic that is read, from its present end.
        per_second: messages.
    """

    def __init__(self, servers: str, source: str, target: str, per_second: float = 40) -> None:
        self._source, self._pause = source, 1 / per_second
        self._producer = Producer({"bootstrap.servers": servers})
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "count",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        partitions = self._consumer.list_topics(target, timeout=10).topics[target].partitions
        ends = [
            TopicPartition(
                target,
                number,
                self._consumer.get_watermark_offsets(TopicPartition(target, number))[1],
            )
            for number in partitions
        ]
        self._consumer.assign(ends)
        self._over, self._drained = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._send, self._receive)]
        self.sent = 0
        self.received: Counter[int] = Counter()
        self.longest_silence = 0.0
        """Seconds between two verdicts, at most, while messages were sent."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._drained.set()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Sends no more; goes on reading."""
        self._over.set()
        self._threads[0].join()

    @property
    def lost(self) -> set[int]:
        """Numbers that were sent and of which no verdict has come (yet)."""
        return set(range(self.sent)) - self.received.keys()

    @property
    def repeated(self) -> int:
        """Verdicts above the first of each number."""
        return self.received.total() - len(self.received)

    def _send(self) -> None:
        while not self._over.wait(self._pause):
            self._producer.produce(self._source, TEXT, key=str(self.sent))
            self._producer.poll(0)
            self.sent += 1
        assert self._producer.flush(30) == 0

    def _receive(self) -> None:
        last = None
        while not self._drained.is_set():
            for message in self._consumer.consume(500, timeout=0.1):
                if message.error() is None:
                    self.received[int(message.key() or b"-1")] += 1
                    now = time.monotonic()
                    if last is not None and not self._over.is_set():
                        self.longest_silence = max(self.longest_silence, now - last)
                    last = now
        self._consumer.close()
