"""Is this process alive, is it ready? One sentence each, from facts that the worker leaves here.

Live means that a restart would not help: the worker's loop turns, even while it waits for a broker,
and no partition stands still while messages wait there.
Ready means that a message sent now would be answered: the model is loaded and, if the server
streams, Kafka is reachable and verdicts can be written.
"""

from dataclasses import dataclass
from typing import NamedTuple

STALL_SECONDS = 60.0
"""A turn takes a second at most when idle, and a batch's scoring when busy: see `patience`."""

UNREACHABLE_SECONDS = 30.0
"""Brokers restart; shorter than this is not worth taking a pod out of its Service."""


class Answer(NamedTuple):
    """The answer to a probe."""

    ok: bool
    sentence: str


@dataclass
class Health:
    """Facts, each written by one thread and read by any; times are `time.monotonic()` seconds."""

    streaming: bool
    model: str | None = None
    """Name and version, once it is loaded."""
    last_turn: float | None = None
    """When the worker's loop last turned; None before its first turn."""
    patience: float = 0.0
    """Seconds that scoring what the loop has in hand may take, on top of STALL_SECONDS."""
    kafka_seen: float | None = None
    """When a broker was last known to be connected; None if never."""
    kafka_error: str | None = None
    """The client's last error, the reason why no broker is reached."""
    undecided: str | None = None
    """Why no policies are in force although they are configured: nothing is consumed meanwhile."""
    blocked: str | None = None
    """Why nothing is consumed although it could be: a topic can't be written."""
    stalled: str | None = None
    """Which partitions stand still although messages wait there, whatever the cause."""
    denied: str | None = None
    """Why the input may not be read; nobody says then whether messages wait."""
    stopping: bool = False

    def live(self, now: float) -> Answer:
        """Answer the liveness probe."""
        if self.streaming and self.last_turn is not None:
            still = now - self.last_turn
            if still > STALL_SECONDS + self.patience:
                return Answer(False, f"The stream's loop has not turned for {still:.0f} s.")
        if self.stalled is not None:
            return Answer(False, self.stalled)
        return Answer(True, "The process is alive.")

    def ready(self, now: float) -> Answer:
        """Answer the readiness probe: the first thing that is missing, or what is there."""
        missing = self._missing(now)
        if missing is not None:
            return Answer(False, missing)
        stream = " and the stream is connected" if self.streaming else ""
        return Answer(True, f"The model {self.model} is loaded{stream}.")

    def _missing(self, now: float) -> str | None:
        if self.stopping:
            return "The server is stopping."
        if self.model is None:
            return "The model is not loaded yet."
        if self.undecided is not None:
            return self.undecided
        return self._missing_stream(now) if self.streaming else None

    def _missing_stream(self, now: float) -> str | None:
        if self.blocked is not None:
            return self.blocked
        if self.stalled is not None:
            return self.stalled
        if self.denied is not None:
            return self.denied
        if self.kafka_seen is None:
            return f"No Kafka broker has been reached yet{self._why()}."
        gone = now - self.kafka_seen
        if gone > UNREACHABLE_SECONDS:
            return f"No Kafka broker has been reached for {gone:.0f} s{self._why()}."
        return None

    def _why(self) -> str:
        return f": {self.kafka_error}" if self.kafka_error else ""
