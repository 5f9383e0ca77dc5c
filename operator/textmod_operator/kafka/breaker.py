"""When a Kafka cluster may be asked again: a circuit breaker with back-off. Pure.

A cluster is *proven* while its last answer was one. Only a proven cluster is asked by reconciles;
one that is not is asked by its own worker alone, at the pace that the breaker allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from textmod_operator.errors import TopicsNotReady

FIRST_DELAY_SECONDS: Final = 2.0
MOST_DELAY_SECONDS: Final = 20.0

OPENS: Final = frozenset({"KafkaUnreachable", "AuthenticationFailed"})
"""Reasons that concern the whole cluster: nobody else would get an answer either."""


@dataclass
class Breaker:
    """The state of one Kafka cluster as its clients found it. Times are monotonic seconds."""

    proven: bool = False
    problem: TopicsNotReady | None = None
    """Why it is not proven; None: it was not asked yet."""
    failures: int = 0
    retry_at: float = 0.0

    def succeeded(self) -> None:
        """Note an answer."""
        self.proven, self.problem, self.failures, self.retry_at = True, None, 0, 0.0

    def failed(self, problem: TopicsNotReady, now: float) -> None:
        """Note a failure; one that concerns a topic or a right says that the cluster answers."""
        if problem.reason not in OPENS:
            self.succeeded()
            return
        self.proven, self.problem = False, problem.without_trace()
        self.retry_at = now + min(MOST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0**self.failures)
        self.failures = min(self.failures + 1, 16)

    def delay(self, now: float) -> float:
        """Return the seconds until the cluster may be asked again; 0 for now."""
        return max(0.0, self.retry_at - now)
