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
from textmod_operator.kafka.requests import AdminRequests, is_refusal
from textmod_operator.state import Topic

logger = logging.getLogger(__name__)

CONFIG_SECONDS: Final = 300.0
"""The settings of a topic that the object names none of are read this often."""
GROUP_SECONDS: Final = 3600.0
"""The settings of a consumer group are looked at this often, also where the brokers refuse them."""
UNANSWERED_SECONDS: Final = 60.0
"""A request about a group that the brokers did not answer is sent again after this time."""
SESSION: Final = "consumer.session.timeout.ms"

Clock = Callable[[], float]


class TopicConfigs:
    """The settings of one Kafka cluster's topics."""

    def __init__(self, requests: AdminRequests, clock: Clock) -> None:
        self._requests = requests
        self._clock = clock
        self._read: dict[str, tuple[float, dict[str, str]]] = {}
        """Topic → until when its settings count as read, and what they were."""

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
                    f"topics.management is {topic.management}: change the topic, or the object",
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
        # Copied first, here and below: passes over other objects add to it in their threads.
        fresh = {name: read for name, read in list(self._read.items()) if now < read[0]}
        self._read = fresh
        known = {
            topic.name: fresh[topic.name][1]
            for topic in topics
            if not topic.config and topic.name in fresh
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
            self._read[name] = (now + CONFIG_SECONDS, known[name])
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
        self._settled: dict[str, tuple[float, int | None, int | None]] = {}
        """Group → until when it is not looked at, what was asked for, and what is set."""
        self._refused_until, self._refused_seconds = clock(), 0
        """Until when these brokers are not asked for so short a session, whatever the group."""

    def ensure(self, group: str, seconds: int | None, before: int | None) -> int | None:
        """Set a group's session timeout, if the brokers take it. Never raises what they answer.

        Args:
            group: the consumer group.
            seconds: None: the brokers' own; what was set before is removed.
            before: what was set by an earlier pass; None: nothing was.

        Returns:
            What is set now by this operator; None: nothing is.
        """
        now = self._clock()
        if seconds is None and before is None:
            return None
        if seconds is not None and now < self._refused_until and seconds <= self._refused_seconds:
            return before
        self._settled = {name: one for name, one in list(self._settled.items()) if now < one[0]}
        if (known := self._settled.get(group)) and known[1] == seconds:
            return known[2]
        pause = GROUP_SECONDS
        try:
            result = self._bring(group, seconds, before)
        except TopicsNotReady as problem:
            logger.info("consumer group %s: set %s to %s s: %s", group, SESSION, seconds, problem)
            result = before
            if not is_refusal(problem):
                pause = UNANSWERED_SECONDS
            elif seconds is not None and problem.reason != "AuthorizationFailed":
                self._refused_until, self._refused_seconds = now + GROUP_SECONDS, seconds
        self._settled[group] = now + pause, seconds, result
        return result

    def _bring(self, group: str, seconds: int | None, before: int | None) -> int | None:
        live = self._read(group).get(SESSION)
        if seconds is None and before is not None:
            if live == str(before * 1000):  # otherwise others have set it since
                self._alter(group, None)
                logger.info("consumer group %s: removed %s", group, SESSION)
        elif seconds is not None and live != str(seconds * 1000):
            self._alter(group, str(seconds * 1000))
            logger.info("consumer group %s: set %s to %s s", group, SESSION, seconds)
        return seconds

    def _read(self, group: str) -> Mapping[str, str]:
        metrics.KAFKA_REQUESTS.labels("describe_configs").inc()
        resource = ConfigResource(ResourceType.GROUP, group)
        (future,) = self._requests.client.describe_configs(
            [resource], request_timeout=REQUEST_SECONDS
        ).values()
        entries = self._requests.result(future, f"reading the config of group {group}")
        return {key: entry.value for key, entry in entries.items()}

    def _alter(self, group: str, milliseconds: str | None) -> None:
        metrics.KAFKA_REQUESTS.labels("alter_configs").inc()
        (future,) = self._requests.client.incremental_alter_configs(
            [_setting(ResourceType.GROUP, group, {SESSION: milliseconds})],
            request_timeout=REQUEST_SECONDS,
        ).values()
        self._requests.result(future, f"setting the config of group {group}")


def _setting(
    kind: Any,  # noqa: ANN401 - an enum that the client's stubs do not have
    name: str,
    config: Mapping[str, str | None],
) -> ConfigResource:
    """The change of a resource's settings; None removes one."""
    return ConfigResource(
        kind,
        name,
        incremental_configs=[
            ConfigEntry(
                key,
                value,
                incremental_operation=(
                    AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
                ),
            )
            for key, value in config.items()
        ],
    )
