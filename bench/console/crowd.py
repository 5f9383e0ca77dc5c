"""Simulated reviewers over HTTP, one thread each; they record which decisions were accepted."""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

PAUSE_SECONDS = 0.2
"""Before asking again, after an error or where the queue is empty."""


@dataclass
class Seen:
    """What the crowd observed; each list is written by many threads and read at the end."""

    accepted: dict[str, str] = field(default_factory=dict)
    """The item of each decision that was accepted and not undone, by its id."""
    unknown: set[str] = field(default_factory=set)
    """Decisions whose undo got no response: they may be in the topic or not."""
    errors: int = 0
    decide_seconds: list[float] = field(default_factory=list)
    next_seconds: list[float] = field(default_factory=list)


class Crowd:
    """`size` reviewers; they work until `stop`, or until `wanted` decisions are accepted."""

    def __init__(
        self,
        port: int,
        *,
        size: int,
        wanted: int,
        seed: int,
        undo_share: float,
        pace: float = 0.0,
    ) -> None:
        self.seen = Seen()
        self._port = port
        self._wanted = wanted
        self._undo_share = undo_share
        self._pace = pace
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(f"reviewer-{n}", _luck(seed + n)))
            for n in range(size)
        ]

    def start(self) -> None:
        """Start all of them."""
        for thread in self._threads:
            thread.start()

    def done(self) -> bool:
        """Tell whether enough decisions are accepted."""
        return len(self.seen.accepted) >= self._wanted

    def stop(self) -> None:
        """Stop all of them, and wait until they have finished."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _work(self, name: str, luck: random.Random) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        self._stopping.wait(luck.uniform(0, self._pace))  # spread the first requests
        while not self._stopping.is_set() and not self.done():
            try:
                if not self._one(connection, name, luck):
                    self._stopping.wait(PAUSE_SECONDS)
                elif self._pace:
                    self._stopping.wait(luck.expovariate(1 / self._pace))
            except (OSError, http.client.HTTPException, ValueError):
                connection.close()
                self.seen.errors += 1
                self._stopping.wait(PAUSE_SECONDS)
        connection.close()

    def _one(self, connection: http.client.HTTPConnection, name: str, luck: random.Random) -> bool:
        """Take a card and decide it; False if there was none or it was refused."""
        begun = time.perf_counter()
        status, card = _ask(connection, "GET", "/api/next", name)
        if status != 200:
            return False
        self.seen.next_seconds.append(time.perf_counter() - begun)
        answer = luck.choices(
            ["Remove", "Approve", "Skip", "Unsure", "Escalate"], [45, 45, 4, 3, 3]
        )[0]
        body = {"decision": answer, "version": card["version"], "milliseconds": 900}
        begun = time.perf_counter()
        status, decision = _ask(
            connection, "POST", f"/api/items/{card['item']}/decision", name, body
        )
        if status != 200:
            self.seen.errors += 1
            return False
        self.seen.decide_seconds.append(time.perf_counter() - begun)
        with self._lock:
            self.seen.accepted[decision["id"]] = card["item"]
        if luck.random() < self._undo_share:
            self._undo(connection, name, decision["id"])
        return True

    def _undo(self, connection: http.client.HTTPConnection, name: str, decision: str) -> None:
        with self._lock:
            item = self.seen.accepted.pop(decision)
            self.seen.unknown.add(decision)
        status, _ = _ask(connection, "POST", "/api/undo", name, {"decision": decision})
        with self._lock:
            self.seen.unknown.discard(decision)
            if status != 204:  # too late: it stays
                self.seen.accepted[decision] = item


def _luck(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - repeatable, not secret


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, name: str, body: object = None
) -> tuple[int, Any]:
    headers = {"X-Reviewer": name, "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    if response.status >= 500:
        raise http.client.HTTPException(str(response.status))
    return response.status, json.loads(content) if content else None
