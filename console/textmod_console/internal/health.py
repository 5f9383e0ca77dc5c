"""The answers to the liveness and readiness probes."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

STALL_SECONDS: Final = 120.0
"""A turn of the record's loop takes a second; a question to a slow broker takes up to 15 s."""


class Answer(NamedTuple):
    """The answer to a probe."""

    ok: bool
    sentence: str


class Health:
    """Facts of one process, each written by one thread and read by any."""

    def __init__(
        self,
        last_turn: Callable[[], float | None],
        asked: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the sources of both answers.

        Args:
            last_turn: when the loop last turned, by `clock`; None before its first turn.
            asked: raises an exception with a sentence if the database does not answer.
            clock: monotonic seconds.
        """
        self._last_turn = last_turn
        self._asked = asked
        self._clock = clock
        self.serving = False
        """The database holds the record and the pages' port is open."""
        self.stopping = False

    def live(self) -> Answer:
        """Answer the liveness probe."""
        last = self._last_turn()
        if last is not None and self._clock() - last > STALL_SECONDS:
            still = self._clock() - last
            return Answer(False, f"The loop of the record has not turned for {still:.0f} s.")
        return Answer(True, "The process is alive.")

    def ready(self) -> Answer:
        """Answer the readiness probe. Kafka may be away: decisions wait in the database."""
        if self.stopping:
            return Answer(False, "The process is stopping.")
        if not self.serving:
            return Answer(False, "The topics are being read into the database.")
        try:
            self._asked()
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is no
            return Answer(False, f"The database does not answer: {error}")
        return Answer(True, "Reviewers can be served.")
