"""Asking the group's coordinator who reads what, in the background."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from textmod_model.errors import ConfigurationError
from textmod_model.settings import Settings
from textmod_model.stream.background import Background, in_background
from textmod_model.stream.group_view import Member
from textmod_model.stream.kafka import KafkaException, closed_after, open_admin

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0


class GroupLookup:
    """Describes the consumer group. The client lives from the question to the answer."""

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
        self._question: Future[Mapping[str, Member]] | None = None

    def ask(self) -> None:
        """Send the request, if none is on its way."""
        if self._question is None:
            self._question = self._background(self._describe, "group lookup")

    def answer(self) -> Mapping[str, Member] | None:
        """Return the members by their ids, once; None while there is no answer, or if it failed."""
        question = self._question
        if question is None or not question.done():
            return None
        self._question = None
        try:
            return question.result()
        except (ConfigurationError, KafkaException) as error:
            log.info("describe the consumer group: %s", error)
            return None

    def _describe(self) -> Mapping[str, Member]:
        with closed_after(self._connect(self._settings)) as client:
            [answer] = client.describe_consumer_groups(
                [self._settings.consumer_group], request_timeout=REQUEST_SECONDS
            ).values()
            return {
                one.member_id: Member(
                    self._partitions(one.assignment), self._partitions(one.target_assignment)
                )
                for one in answer.result().members
            }

    def _partitions(self, assignment: Any) -> frozenset[int]:  # noqa: ANN401 - of the client
        """Return the input's partitions; none where the protocol has no such thing."""
        if assignment is None:
            return frozenset()
        topic = self._settings.input_topic
        return frozenset(one.partition for one in assignment.topic_partitions if one.topic == topic)
