"""Settings of topics and of consumer groups: the named ones are kept at their values, no others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from textmod_operator import metrics
from textmod_operator.errors import TopicsNotReady
from textmod_operator.kafka.connection import REQUEST_SECONDS
from textmod_operator.kafka.requests import AdminRequests
from textmod_operator.state import Topic

logger = logging.getLogger(__name__)

CONFIG_SECONDS: Final = 300.0
"""The settings of a topic that the object names none of are read this often."""
GROUP_SECONDS: Final = 3600.0
"""The settings of a consumer group are looked at this often, also where the brokers refuse them."""
SESSION: Final = "consumer.session.timeout.ms"

Clock = Callable[[], float]


class TopicConfigs:
    """The settings of one Kafka cluster's topics."""

    def __init__(self, requests: AdminRequests, clock: Clock) -> None:
        self._requests = requests
        self._clock = clock
        self._read: dict[str, tuple[float, dict[str, str]]] = {}
        """Topic → when its settings were read, and what they were."""

    def ensure(self, topics: Iterable[Topic]) -> dict[str, dict[str, str]]:
        """Bring the named settings, and only those, to their values; returns the settings of every
        topic as they are then, where they may be read."""
        by_name = {topic.name: topic for topic in topics}
        live = self._live(by_name.values())
        changes = {}
        for name, topic in by_name.items():
            drifted = {
                key: value
                for key, value in topic.config.items()
                if live.get(name, {}).get(key) != value
            }
            if drifted and not topic.create:
                raise TopicsNotReady(
                    "ConfigDrift",
                    f"topic {name} has another {', '.join(sorted(drifted))} than asked and "
                    "topics.management is Existing: change the topic, or the object",
                )
            if drifted:
                changes[name] = drifted
        if changes:
            metrics.KAFKA_REQUESTS.labels("alter_configs").inc()
            for resource, future in self._requests.client.incremental_alter_configs(
                [_setting(ResourceType.TOPIC, name, drifted) for name, drifted in changes.items()],
                request_timeout=REQUEST_SECONDS,
            ).items():
                self._requests.result(future, f"setting the config of topic {resource.name}")
            for name, drifted in changes.items():
                live[name] = {**live.get(name, {}), **drifted}
        return live

    def _live(self, topics: Iterable[Topic]) -> dict[str, dict[str, str]]:
        """The settings of the topics: read now where the object names some, else at times, and
        then only where we may."""
        now = self._clock()
        known = {
            topic.name: self._read[topic.name][1]
            for topic in topics
            if not topic.config
            and topic.name in self._read
            and now - self._read[topic.name][0] < CONFIG_SECONDS
        }
        wanted = {topic.name: topic for topic in topics if topic.name not in known}
        if not wanted:
            return known
        metrics.KAFKA_REQUESTS.labels("describe_configs").inc()
        futures = self._requests.client.describe_configs(
            [ConfigResource(ResourceType.TOPIC, name) for name in wanted],
            request_timeout=REQUEST_SECONDS,
        )
        for resource, future in futures.items():
            name = resource.name
            try:
                entries = self._requests.result(future, f"reading the config of topic {name}")
            except TopicsNotReady as refused:
                if wanted[name].config or refused.reason != "AuthorizationFailed":
                    raise
                entries = {}
            known[name] = {key: entry.value for key, entry in entries.items()}
            self._read[name] = (now, known[name])
        return known


class GroupConfigs:
    """How long a member of a consumer group that has died keeps its partitions (KIP-848).

    The brokers' own 45 s are longer than most promises. Kafka 4.0 and later take another value for
    a group, not below their `group.consumer.min.session.timeout.ms`. Where they refuse it, or we
    may not ask, all stays as it is: a killed pod then costs the stream the brokers' own time.
    """

    def __init__(self, requests: AdminRequests, clock: Clock) -> None:
        self._requests = requests
        self._clock = clock
        self._settled: dict[str, tuple[float, str]] = {}
        """Group → when it was looked at, and what was asked for."""
        self._refused_at, self._refused_seconds = -GROUP_SECONDS, 0
        """When these brokers last refused, for whatever group, and how short a session."""

    def ensure(self, group: str, session_seconds: int) -> None:
        """Set a group's session timeout, if the brokers take it. Never raises what they answer."""
        wanted, now = str(session_seconds * 1000), self._clock()
        if now - self._refused_at < GROUP_SECONDS and session_seconds <= self._refused_seconds:
            return
        looked_at, asked = self._settled.get(group, (-GROUP_SECONDS, ""))
        if asked == wanted and now - looked_at < GROUP_SECONDS:
            return
        self._settled[group] = (now, wanted)
        try:
            if self._read(group).get(SESSION) != wanted:
                self._set(group, wanted)
                logger.info("consumer group %s: set %s to %s", group, SESSION, wanted)
        except TopicsNotReady as refused:
            logger.info("consumer group %s: set %s to %s: %s", group, SESSION, wanted, refused)
            if refused.reason != "AuthorizationFailed":  # that is of this group alone
                self._refused_at, self._refused_seconds = now, session_seconds

    def _read(self, group: str) -> Mapping[str, str]:
        metrics.KAFKA_REQUESTS.labels("describe_configs").inc()
        resource = ConfigResource(ResourceType.GROUP, group)
        (future,) = self._requests.client.describe_configs(
            [resource], request_timeout=REQUEST_SECONDS
        ).values()
        entries = self._requests.result(future, f"reading the config of group {group}")
        return {key: entry.value for key, entry in entries.items()}

    def _set(self, group: str, milliseconds: str) -> None:
        metrics.KAFKA_REQUESTS.labels("alter_configs").inc()
        (future,) = self._requests.client.incremental_alter_configs(
            [_setting(ResourceType.GROUP, group, {SESSION: milliseconds})],
            request_timeout=REQUEST_SECONDS,
        ).values()
        self._requests.result(future, f"setting the config of group {group}")


def _setting(kind: Any, name: str, config: Mapping[str, str]) -> ConfigResource:  # noqa: ANN401
    return ConfigResource(
        kind,
        name,
        incremental_configs=[
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
        ],
    )
