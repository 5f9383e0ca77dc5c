"""Asks the brokers in the background which records the topics accept."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any

from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from textmod_model.errors import ConfigurationError
from textmod_model.settings import Settings
from textmod_model.stream.background import Background, in_background
from textmod_model.stream.delivery.rules import TopicRules
from textmod_model.stream.kafka import KafkaException, closed_after, open_admin

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
FOREVER_MS = 1 << 62
"""Kafka's own default for "no limit" is the largest 64-bit number."""


class TopicRulesLookup:
    """Describes the topics that are written: output, dead letter and, with review, its requests'.

    The client lives from the question to the answer: the next is a minute away. It is opened in the
    background too, which takes seconds where it has to get a token first.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect: Callable[[Settings], AdminClient] = open_admin,
        background: Background = in_background,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._background = background
        self._question: Future[Mapping[str, TopicRules]] | None = None

    def ask(self) -> None:
        """Send the request, if none is on its way."""
        if self._question is None:
            self._question = self._background(self._describe, "topic rules")

    def answer(self, wait_seconds: float) -> Mapping[str, TopicRules] | None:
        """Return the rules by topic, once; None while there is no answer.

        A topic that can't be described, for want of the permission or because it doesn't exist, is
        left out; all are if no client can be opened.
        """
        question = self._question
        if question is None or not wait([question], wait_seconds).done:
            return None
        self._question = None
        try:
            return question.result()
        except (ConfigurationError, KafkaException) as error:
            log.info("describe the topics: %s", error)
            return {}

    def _describe(self) -> Mapping[str, TopicRules]:
        topics = self._settings.written_topics
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        found = {}
        with closed_after(self._connect(self._settings)) as client:
            answers: dict[Any, Future[Any]] = client.describe_configs(
                resources, request_timeout=REQUEST_SECONDS
            )
            for resource, answer in answers.items():
                try:
                    found[resource.name] = rules_of(answer.result())
                except KafkaException as exception:
                    log.info("describe topic %s: %s", resource.name, exception.args[0].str())
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
