"""Kafka's admin door as a value: the topics that are there, and what the brokers refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from textmod_operator.errors import TopicsNotReady
from textmod_operator.state import KafkaConnection, Topic, TopicSeen


@dataclass
class FakeTopics:
    """One Kafka cluster for every connection. `fault` is raised by every request."""

    partitions_of: dict[str, int] = field(default_factory=dict)
    fault: TopicsNotReady | None = None
    writes: list[tuple[str, str]] = field(default_factory=list)
    sessions: dict[str, int] = field(default_factory=dict)
    """Group → seconds that a dead member keeps its partitions."""

    def to(self, connection: KafkaConnection) -> FakeTopics:
        return self

    def keep_only(self, connections: set[KafkaConnection]) -> None: ...

    def ensure(
        self,
        topics: Iterable[Topic],
        owned: Mapping[str, str],
        record: Callable[[list[str]], None],
    ) -> tuple[TopicSeen, ...]:
        if self.fault is not None:
            raise self.fault
        seen = []
        for topic in topics:
            created = topic.name not in self.partitions_of
            if created:
                record([topic.name])
                self.writes.append(("create", topic.name))
                self.partitions_of[topic.name] = topic.partitions
            seen.append(
                TopicSeen(
                    topic.role,
                    topic.name,
                    self.partitions_of[topic.name],
                    1,
                    created or topic.name in owned,
                )
            )
        return tuple(seen)

    def ensure_group(
        self, group: str, session_seconds: int | None, before: int | None
    ) -> int | None:
        if session_seconds is not None:
            self.sessions[group] = session_seconds
        elif before is not None:
            self.sessions.pop(group)
        return session_seconds

    def delete(self, names: Iterable[str]) -> None:
        if self.fault is not None:
            raise self.fault
        for name in names:
            self.writes.append(("delete", name))
            self.partitions_of.pop(name, None)
