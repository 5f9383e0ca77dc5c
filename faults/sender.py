"""Sends the load: numbered messages at a rate; keeps those that the broker acknowledged."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Sequence
from random import Random

from confluent_kafka import KafkaError, Message, Producer

from faults.history import UNKNOWN, Sent
from faults.poison import payload

KEYS = 29
BODIES = 64
"""Different texts. Few, so that scoring them costs little: what is tested is where they go."""
TAIL_SECONDS = 1.0
"""Messages go on for so long after the last fault, so that a recovery can be seen."""
TAIL_RATE = 100.0
"""Messages a second, once the wanted number is sent."""


class Sender(threading.Thread):
    """Sends numbered messages at a rate, and keeps those that the broker acknowledged.

    Attributes:
        next: the number of the next message.

    Args:
        first: the number of the first message.
        values: what harmless messages hold, in turn; None: a few short comments.
    """

    def __init__(
        self,
        servers: str,
        topic: str,
        random: Random,
        *,
        first: int = 0,
        values: Sequence[bytes] | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                # With more, a message that was never written may count as acknowledged.
                "max.in.flight.requests.per.connection": 1,
                "delivery.timeout.ms": 300_000,
                "message.max.bytes": 4_000_000,
                "linger.ms": 5,
                "log_level": 0,
            }
        )
        self._topic, self._random = topic, Random(random.random())  # noqa: S311 - a seeded run
        self._acknowledged: list[Sent] = []
        self.next = first
        self._end, self._rate, self._poison = first, 0.0, 0.0
        self._tail = TAIL_RATE
        self._stopped = False
        self._until = math.inf
        bodies = [f"comment {n}: lovely paper, you stupid idiot" for n in range(BODIES)]
        self._values = values or [json.dumps({"id": 0, "body": body}).encode() for body in bodies]

    def begin(self, count: int, rate: float, poison: float, tail: float = TAIL_RATE) -> None:
        """Send `count` messages at `rate` a second, then at `tail` until the last fault is over.

        A share of them is hostile.
        """
        self._end = self.next + count
        self._rate, self._poison, self._tail = rate, poison, tail
        self.start()

    def run(self) -> None:
        due = time.monotonic()
        while not self._stopped and (self.next < self._end or due < self._until):
            early = due - time.monotonic()
            if early > 0.01:
                self._producer.poll(early)
            self._send(self.next)
            self.next += 1
            due += 1 / (self._rate if self.next < self._end else self._tail)

    def fault_is_over(self) -> None:
        """Send for a moment longer."""
        self._until = time.monotonic() + TAIL_SECONDS

    def finish(self) -> list[Sent]:
        """Wait for the last acknowledgement; return what was acknowledged."""
        self.join()
        self._producer.flush(300)
        return self._acknowledged

    def close(self) -> None:
        """End the client; what it has not sent is given up."""
        self._stopped = True
        if self.ident is not None:
            self.join()
        self._producer.purge()
        self._producer.flush(5)
        del self._producer

    def _send(self, number: int) -> None:
        key = f"key-{number % KEYS}".encode() if number % 11 else None
        if self._random.random() < self._poison:
            value, headers = payload(self._random)
        else:
            value, headers = self._values[number % len(self._values)], []

        def acknowledged(error: KafkaError | None, message: Message) -> None:
            if error is None:
                # The answer to a repeated request has no offset.
                offset = UNKNOWN if message.offset() is None else message.offset()
                self._acknowledged.append(Sent(number, message.partition(), offset, key, value))

        everything = [*headers, ("number", str(number).encode())]
        while not self._stopped:
            try:
                self._producer.produce(
                    self._topic, value, key, headers=everything, on_delivery=acknowledged
                )
                break
            except BufferError:  # brokers have been away for long
                self._producer.poll(0.5)
        self._producer.poll(0)
