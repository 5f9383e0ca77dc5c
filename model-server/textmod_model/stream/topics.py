"""Asks the brokers in the background which records the topics accept."""

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from textmod_model.stream.delivery.rules import TopicRules
from textmod_model.stream.kafka import KafkaException
from textmod_model.stream.lookup import REQUEST_SECONDS, Lookup

log = logging.getLogger(__name__)

FOREVER_MS = 1 << 62
"""Kafka's own default for "no limit" is the largest 64-bit number."""


class TopicRulesLookup(Lookup[Mapping[str, TopicRules]]):
    """Describes the topics that are written: output, dead letter and, with review, its requests'.

    The answer is the rules by topic. A topic of which nothing is known, for want of the permissions
    or because it doesn't exist, is left out; all are if no client can be opened.
    """

    name = "topic rules"

    def _without_answer(self) -> Mapping[str, TopicRules]:
        return {}

    @property
    def _subject(self) -> str:
        return "the topics"

    def _describe(self, client: AdminClient) -> Mapping[str, TopicRules]:
        topics = self._settings.written_topics
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        asked = TopicCollection(list(topics))
        described = client.describe_topics(asked, request_timeout=REQUEST_SECONDS)
        configured = client.describe_configs(resources, request_timeout=REQUEST_SECONDS)
        found = {
            resource.name: rules_of(entries)
            for resource, entries in _answered(configured, lambda one: str(one.name))
        }
        for topic, description in _answered(described, str):
            if known := str(description.topic_id or ""):
                found[topic] = found.get(topic, TopicRules())._replace(id=known)
        return found


def _answered(
    answers: "dict[Any, Future[Any]]", name: Callable[[Any], str]
) -> Iterator[tuple[Any, Any]]:
    """Yield the answers that came, with what they are about."""
    for subject, answer in answers.items():
        try:
            found = answer.result()
        except KafkaException as exception:
            log.info("describe topic %s: %s", name(subject), exception.args[0].str())
            exception.__traceback__ = None  # it has this frame, which has the answers
        else:
            yield subject, found


def rules_of(entries: Mapping[str, Any]) -> TopicRules:
    """Return the rules in a topic's settings, as `describe_configs` gives them."""
    values = {name: entry.value for name, entry in entries.items()}
    own_time = values.get("message.timestamp.type") == "LogAppendTime"
    before, after = (
        None if own_time else _milliseconds(values.get(f"message.timestamp.{side}.max.ms"))
        for side in ("before", "after")
    )
    return TopicRules(
        max_bytes=int(values["max.message.bytes"]),
        keyed="compact" in (values.get("cleanup.policy") or ""),
        before_ms=before,
        after_ms=after,
    )


def _milliseconds(value: str | None) -> int | None:
    return int(value) if value and int(value) < FOREVER_MS else None
