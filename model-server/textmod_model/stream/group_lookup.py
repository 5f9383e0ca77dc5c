"""Asking the group's coordinator who reads what, in the background."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from textmod_model.settings import Settings
from textmod_model.stream.group_view import Member
from textmod_model.stream.kafka import KafkaException, open_admin

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0


class GroupLookup:
    """Describes the consumer group. The client lives from the question to the answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: AdminClient | None = None
        self._answer: Future[Any] | None = None

    def ask(self) -> None:
        """Send the request, if none is on its way."""
        if self._client is not None:
            return
        group = self._settings.consumer_group
        self._client = open_admin(self._settings)
        [self._answer] = self._client.describe_consumer_groups(
            [group], request_timeout=REQUEST_SECONDS
        ).values()

    def answer(self) -> Mapping[str, Member] | None:
        """Return the members by their ids, once; None while there is no answer, or if it failed."""
        if self._answer is None or not self._answer.done():
            return None
        answer, self._answer, self._client = self._answer, None, None
        try:
            found = answer.result()
        except KafkaException as exception:
            log.info("describe the consumer group: %s", exception.args[0].str())
            return None
        return {
            one.member_id: Member(
                self._partitions(one.assignment), self._partitions(one.target_assignment)
            )
            for one in found.members
        }

    def _partitions(self, assignment: Any) -> frozenset[int]:  # noqa: ANN401 - of the client
        """Return the input's partitions; none where the protocol has no such thing."""
        if assignment is None:
            return frozenset()
        topic = self._settings.input_topic
        return frozenset(one.partition for one in assignment.topic_partitions if one.topic == topic)
