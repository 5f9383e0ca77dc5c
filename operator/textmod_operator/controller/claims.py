"""Which TextModeration may write which topic, and which read it. Pure; nothing is asked of Kafka.

Two objects may read one input: that is Kafka's ordinary fan-out, each with a group of its own. No
two write one topic: a reader could not tell their verdicts apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.errors import Problem
from textmod_operator.state import Manifest, ObjectKey

Claimed = tuple[str, str]
"""The bootstrap servers, in one order, and a topic there."""


@dataclass(frozen=True)
class Claim:
    """What one object claims, and since when."""

    created: str
    """creationTimestamp, in RFC 3339: text sorts as time does."""
    uid: str
    topics: frozenset[Claimed]
    """What it writes, alone."""
    reads: Claimed
    """What it reads, perhaps with others."""

    @property
    def age(self) -> tuple[str, str]:
        """Older claims sort first; the uid breaks a tie the same way for everybody."""
        return self.created, self.uid


class Claims:
    """The claims of all objects.

    Changed on the event loop and read by passes in threads: an object's claim is replaced in one
    assignment, so no pass ever sees it missing.
    """

    def __init__(self) -> None:
        self._claims: dict[ObjectKey, Claim] = {}
        self._claimants: dict[Claimed, frozenset[ObjectKey]] = {}

    def note(self, key: ObjectKey, body: Manifest) -> set[ObjectKey]:
        """Record what an object claims now; return the others whose answer may change with it.

        A spec that cannot be parsed keeps the claims of the last one that could: what it describes
        still runs.
        """
        try:
            claim = claim_of(TextModeration.parse(body))
        except Problem:
            return set()
        before = self._claims.get(key)
        if before == claim:
            return set()
        old = before.topics if before is not None else frozenset()
        self._claims[key] = claim
        for topic in claim.topics - old:
            self._claimants[topic] = self._claimants.get(topic, frozenset()) | {key}
        self._release(key, old - claim.topics)
        return self._neighbours(key, old | claim.topics)

    def forget(self, key: ObjectKey) -> set[ObjectKey]:
        """Drop the claims of an object that is gone; return the others that waited for them."""
        claim = self._claims.pop(key, None)
        if claim is None:
            return set()
        self._release(key, claim.topics)
        return self._neighbours(key, claim.topics)

    def rival(self, tm: TextModeration) -> tuple[str, str] | None:
        """The oldest other object that claims a topic of `tm`, if it is older: its key and the
        topic."""
        own = ObjectKey(tm.metadata.namespace, tm.metadata.name)
        claim = claim_of(tm)
        found = [
            (other.age, str(key), topic[1])
            for topic in claim.topics
            for key in self._claimants.get(topic, frozenset()) - {own}
            if (other := self._claims.get(key)) is not None and other.age < claim.age
        ]
        if not found:
            return None
        _, key, topic = min(found)
        return key, topic

    def also_used(self, tm: TextModeration, topic: str) -> bool:
        """Whether another object reads or writes a topic of `tm`."""
        own = ObjectKey(tm.metadata.namespace, tm.metadata.name)
        at = (_servers(tm), topic)
        return any(
            at == claim.reads or at in claim.topics
            for key, claim in list(self._claims.items())
            if key != own
        )

    def _neighbours(self, key: ObjectKey, topics: frozenset[Claimed]) -> set[ObjectKey]:
        return {other for topic in topics for other in self._claimants.get(topic, frozenset())} - {
            key
        }

    def _release(self, key: ObjectKey, topics: frozenset[Claimed]) -> None:
        for topic in topics:
            left = self._claimants.get(topic, frozenset()) - {key}
            if left:
                self._claimants[topic] = left
            else:
                self._claimants.pop(topic, None)


def claim_of(tm: TextModeration) -> Claim:
    """What an object claims: the topics that it alone may write, and the one that it reads."""
    servers = _servers(tm)
    return Claim(
        tm.metadata.creation_timestamp,
        tm.metadata.uid,
        frozenset((servers, name) for name in tm.topic_names - {tm.input_topic}),
        (servers, tm.input_topic),
    )


def _servers(tm: TextModeration) -> str:
    return ",".join(sorted(tm.spec.kafka.bootstrap_servers.split(",")))
