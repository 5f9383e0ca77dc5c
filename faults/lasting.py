"""A stream that lives through many faults, judged piece by piece while its workers go on."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from random import Random

from confluent_kafka import KafkaException, Message

from faults.history import History
from faults.reading import read
from faults.sender import Sender
from faults.topics import ANSWER_SECONDS
from faults.world import PROMISE_SECONDS, Stage, World
from textmod_dev.processes import ManagedProcess
from textmod_model.stream.group_lookup import members_apart

READ_ATTEMPTS = 5
"""To read the topics at a checkpoint."""
SEGMENT_BYTES = 16 << 20
"""Of a topic's files, so that deleted records give their space back."""


class LastingWorld(World):
    """A world whose history is taken piece by piece.

    A piece ends at a quiet moment: all that was sent is committed. Workers that a fault ends belong
    to a companion, so that others live for as long as the world does.
    """

    def __init__(self, stage: Stage, delivery: str, random: Random, replicas: int) -> None:
        super().__init__(stage, delivery, random, replicas, proxied=True, reviewed=True)
        self._since: dict[str, dict[int, int]] = {}
        """Where the next piece begins in each topic, by partition."""
        self._companions: list[LastingWorld] = []
        for topic in self._topics():
            self.configure(topic, "segment.bytes", str(SEGMENT_BYTES))

    def companion(self, random: Random) -> LastingWorld:
        """Return the same stream with other workers, none yet, and other random choices."""
        other = self.beside(random)
        assert isinstance(other, LastingWorld)  # noqa: S101 - a copy
        other.workers, other._companions = [], []  # noqa: SLF001 - of this class
        self._companions.append(other)
        return other

    def every_worker(self) -> list[ManagedProcess]:
        """Return the workers that run, those of companions too."""
        return [*self.workers, *(one for other in self._companions for one in other.workers)]

    def revive(self) -> None:
        """The companions' workers, too."""
        super().revive()
        for other in self._companions:
            other.revive()

    def watch(self) -> None:
        """Begin to follow the group's committed offsets."""
        self._watcher.start()

    def load(
        self, count: int, rate: float, poison: float, values: Sequence[bytes], tail: float
    ) -> None:
        """Send as `Sender.begin` says, with the numbers after those that were sent before."""
        first = self._sender.next
        self._sender.close()
        servers, random = self.brokers.bootstrap_servers, Random(self.random.random())  # noqa: S311
        self._sender = Sender(servers, self.input, random, first=first, values=values)
        self._sender.begin(count, rate, poison, tail)

    def all_sent(self) -> None:
        """Stop sending within a second, and add what was acknowledged to the history."""
        self._sender.fault_is_over()
        self.history.sent += self._sender.finish()

    def wait_until_done(self) -> None:
        """Wait until all that was sent is committed, or nothing moves for longer than promised."""
        self._wait_until_done()

    def checkpoint(self) -> History:
        """Return the history since the last checkpoint; all that was sent is to be committed.

        Raises KafkaException if the topics can't be read again and again.
        """
        since = copy.deepcopy(self._since)
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                self._collect()
                break
            except KafkaException:  # a broker that has just come back
                if attempt == READ_ATTEMPTS:
                    raise
                self._since = copy.deepcopy(since)
                time.sleep(ANSWER_SECONDS)
        done, fresh = self.history, History(self.history.delivery, PROMISE_SECONDS)
        fresh.last_fault = self._now()
        self._settled = sum(done.committed.values())
        self.history = fresh
        return done

    def forget(self) -> None:
        """Delete the records of the pieces that were taken."""
        for topic, starts in self._since.items():
            self.admin.expire(topic, starts)

    def members(self) -> int | None:
        """Return how many members the group has; None: no broker says.

        Asked in a process of its own, since librdkafka aborts the one that asks at a bad moment.
        """
        direct = {"TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": self.brokers.bootstrap_servers}
        try:
            return len(members_apart(os.environ | self._environment | direct))
        except (OSError, subprocess.SubprocessError):
            return None

    def topics(self) -> frozenset[str] | None:
        """Return the names of the cluster's topics but for Kafka's own; None: no broker says."""
        try:
            known = self.admin.client.list_topics(timeout=ANSWER_SECONDS).topics
        except KafkaException:
            return None
        return frozenset(name for name in known if not name.startswith("__"))

    def close(self) -> None:
        """End what is left; delete the topics."""
        for other in self._companions:
            for worker in list(other.workers):
                with contextlib.suppress(ProcessLookupError):
                    other.end_worker(worker, signal.SIGKILL)
        super().close()

    def _topics(self) -> list[str]:
        return [one for one in (self.input, self.output, self.letters, self._review) if one]

    def _records(self, topic: str) -> list[Message]:
        """Read the records of this piece."""
        since = self._since.setdefault(topic, {})
        found = read(self.brokers.bootstrap_servers, topic, since)
        for one in found:
            since[one.partition()] = one.offset() + 1
        return found
