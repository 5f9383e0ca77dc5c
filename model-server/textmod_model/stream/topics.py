"""Asking the brokers what records the topics take, in the background."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from textmod_model.settings import Settings
from textmod_model.stream.delivery.rules import TopicRules
from textmod_model.stream.kafka import KafkaException, open_admin

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
FOREVER_MS = 1 << 62
"""Kafka's own default for "no limit" is the largest 64-bit number."""


class TopicRulesLookup:
    """Describes the output and the dead-letter topic.

    The client lives from the question to the answer: the next is a minute away.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: AdminClient | None = None
        self._answers: dict[str, Future[Any]] = {}

    def ask(self) -> None:
        """Send the request, if none is on its way."""
        if self._client is not None:
            return
        self._client = open_admin(self._settings)
        topics = (self._settings.output_topic, self._settings.dead_letter_topic)
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        answers = self._client.describe_configs(resources, request_timeout=REQUEST_SECONDS)
        self._answers = {resource.name: answer for resource, answer in answers.items()}

    def answer(self, wait: float) -> Mapping[str, TopicRules] | None:
        """Return the rules by topic; None while there is no answer, or if it was an error.

        A topic that can't be described, for want of the permission or because it doesn't exist, is
        left out.
        """
        if self._client is None:
            return None
        found = {}
        for topic, answer in self._answers.items():
            try:
                found[topic] = rules_of(answer.result(wait))
            except TimeoutError:
                return None
            except KafkaException as exception:
                log.info("describe topic %s: %s", topic, exception.args[0].str())
        self._client = None
        return found


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
