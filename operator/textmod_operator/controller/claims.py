"""Which TextModeration may write which topic. Pure; nothing is asked of Kafka."""

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

    @property
    def age(self) -> tuple[str, str]:
        """Older claims sort first; the uid breaks a tie the same way for everybody."""
        return self.created, self.uid


class Claims:
    """The claims of all objects.

    Two models on one output topic would mix their verdicts, and no reader could tell them apart.
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
    """What an object claims: the topics that it alone may use."""
    servers = ",".join(sorted(tm.spec.kafka.bootstrap_servers.split(",")))
    names = (tm.input_topic, tm.output_topic)
    return Claim(
        tm.metadata.creation_timestamp,
        tm.metadata.uid,
        frozenset((servers, name) for name in names),
    )
