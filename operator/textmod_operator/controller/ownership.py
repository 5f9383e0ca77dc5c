"""What an object created in Kafka: topics, on record in its status before they are made and by id
after, and the setting of its consumer group; and the input topic that it first saw.

Pure but for the write that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textmod_operator.controller.inventory import key_of
from textmod_operator.errors import ClusterError
from textmod_operator.state import Manifest, ObjectKey, Topic, TopicSeen

Write = Callable[[ObjectKey, Manifest, str], Manifest | None]
"""Merges a patch into the status of the object with a uid at once; None: that is gone."""


def owned(body: Manifest) -> dict[str, str]:
    """Return the topics that an object has on record as created by it: name → topic id, which is
    empty where it was about to create the topic, or the brokers have no ids. Topics that its spec
    no longer names are among them."""
    status = body.get("status") or {}
    created = [topic for topic in status.get("topics") or () if topic.get("created")]
    return {
        topic["name"]: topic.get("topicId") or ""
        for topic in [*(status.get("formerTopics") or ()), *created]
    }


def first_input(body: Manifest, name: str, topics: Iterable[TopicSeen] = ()) -> str:
    """Return the id of the topic that the object first saw under its input's name.

    Args:
        body: the object as read; what its status has on record stays.
        name: of the input topic.
        topics: as they are now.

    Returns:
        an empty string if it is not known, or the brokers have no ids.
    """
    known = (body.get("status") or {}).get("inputTopic") or {}
    if known.get("name") == name and known.get("topicId"):
        return str(known["topicId"])
    return next((one.topic_id for one in topics if one.name == name), "")


def session_seconds(body: Manifest) -> int | None:
    """Return the session timeout that was set on the object's consumer group; None: none was."""
    found: int | None = (body.get("status") or {}).get("consumerGroupSessionSeconds")
    return found


def recorder(body: Manifest, asked: Iterable[Topic], write: Write) -> Callable[[list[str]], None]:
    """Return a function that puts topics on record that are about to be created.

    A process that dies between creating a topic and the end of its pass leaves this record, so the
    topic is deleted with its object. What is on record for the other topics stays. It raises
    `ClusterError` when the object is gone: nobody would delete the topics.
    """
    roles = {topic.name: topic for topic in asked}
    known = (body.get("status") or {}).get("topics") or []

    def record(names: list[str]) -> None:
        others = [topic for topic in known if topic["name"] not in names]
        intended = [
            {
                "name": name,
                "role": roles[name].role,
                "partitions": 0,
                "replicationFactor": 0,
                "created": True,
            }
            for name in names
        ]
        patch = {"topics": [*others, *intended]}
        if write(key_of(body), patch, body["metadata"]["uid"]) is None:
            raise ClusterError(404, "the TextModeration is gone, and its topics are not created")

    return record
