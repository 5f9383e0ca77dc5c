"""Asking the brokers for the ids of the input topic and of its cluster, in the background."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING

from confluent_kafka import TopicCollection

from textmod_model.errors import ConfigurationError
from textmod_model.settings import Settings
from textmod_model.stream.background import Background, in_background
from textmod_model.stream.input_identity import Topic
from textmod_model.stream.kafka import KafkaException, closed_after, open_admin

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0


class TopicIdLookup:
    """Describes the input topic. The client lives from the question to the answer."""

    def __init__(
        self,
        settings: Settings,
        *,
        connect: "Callable[[Settings], AdminClient]" = open_admin,
        background: Background = in_background,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._background = background
        self._question: Future[Topic] | None = None

    def ask(self) -> None:
        """Send a request; the answer to an earlier one is not wanted any more."""
        self._question = self._background(self._describe, "topic id lookup")

    @property
    def asked(self) -> bool:
        """Whether an answer is to come."""
        return self._question is not None

    def answer(self, wait_seconds: float) -> Topic | None:
        """Return the topic, once; None: there is no answer yet, or the request failed."""
        question = self._question
        if question is None or not wait([question], wait_seconds).done:
            return None
        self._question = None
        try:
            return question.result()
        except (ConfigurationError, KafkaException) as error:
            log.info("describe topic %s: %s", self._settings.input_topic, error)
            return None

    def _describe(self) -> Topic:
        """Ask one client for both ids: an address may lead to another cluster by the next."""
        topics = TopicCollection([self._settings.input_topic])
        with closed_after(self._connect(self._settings)) as client:
            [topic] = client.describe_topics(topics, request_timeout=REQUEST_SECONDS).values()
            cluster = client.describe_cluster(request_timeout=REQUEST_SECONDS)
            # Without the cluster's id a mirrored offset would pass for that of an earlier topic: so
            # neither or both.
            return Topic(str(topic.result().topic_id or ""), cluster.result().cluster_id or "")
