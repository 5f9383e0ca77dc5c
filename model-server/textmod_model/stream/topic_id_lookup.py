"""Asking the brokers for the ids of the input topic and of its cluster, in the background."""

from typing import TYPE_CHECKING

from confluent_kafka import TopicCollection

from textmod_model.stream.input_identity import Topic
from textmod_model.stream.lookup import REQUEST_SECONDS, Lookup

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


class TopicIdLookup(Lookup[Topic]):
    """Describes the input topic and its cluster."""

    name = "topic id lookup"

    def ask(self) -> None:
        """Send a request; the answer to an earlier one is not wanted any more."""
        self._send()

    @property
    def _subject(self) -> str:
        return f"topic {self._settings.input_topic}"

    def _describe(self, client: "AdminClient") -> Topic:
        """Ask one client for both ids: an address may lead to another cluster by the next."""
        topics = TopicCollection([self._settings.input_topic])
        [topic] = client.describe_topics(topics, request_timeout=REQUEST_SECONDS).values()
        cluster = client.describe_cluster(request_timeout=REQUEST_SECONDS)
        # Without the cluster's id a mirrored offset would pass for that of an earlier topic: so
        # neither or both.
        return Topic(str(topic.result().topic_id or ""), cluster.result().cluster_id or "")
