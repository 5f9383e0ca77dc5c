"""Which topic of the input's name a stream began with: kept for ever, and handed to the pods."""

from __future__ import annotations

from typing import Any

from whole import DEPLOYMENTS, PATH, Whole

from textmod_operator import naming
from textmod_operator.controller import ownership
from textmod_operator.state import TopicSeen

SPEC: dict[str, Any] = {
    "topics": {"input": {"partitions": 2}},
    "serving": {"platform": "Deployment"},
}
NAME = "science-input"


def given(whole: Whole) -> str | None:
    """The id that the pods are given."""
    deployment: Any = whole.server.read(f"{DEPLOYMENTS}/science")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found = {one["name"]: one.get("value") for one in container["env"]}
    return found.get(naming.ENV_INPUT_TOPIC_ID)


def on_record(whole: Whole) -> Any:
    found: Any = whole.server.read(PATH)
    return found["status"]["inputTopic"]


def test_the_pods_are_made_with_the_id_of_the_topic_that_was_made_for_them() -> None:
    whole = Whole()
    whole.asks(SPEC)
    whole.run()
    first = whole.topic_ids[NAME]
    assert given(whole) == first, "not by a second rollout"
    assert on_record(whole) == {"name": NAME, "topicId": first}


def test_a_topic_that_is_created_again_rolls_nothing_and_is_not_the_first() -> None:
    whole = Whole()
    whole.asks(SPEC)
    whole.settle()
    first, before = whole.topic_ids[NAME], whole.server.read(f"{DEPLOYMENTS}/science")
    del whole.kafka.topics[NAME]
    whole.kafka.create(NAME, 2)
    whole.start()
    whole.settle()
    assert whole.topic_ids[NAME] != first
    assert on_record(whole)["topicId"] == first
    after: Any = whole.server.read(f"{DEPLOYMENTS}/science")
    assert before is not None
    assert after["spec"]["template"] == before["spec"]["template"]


def test_a_topic_that_cannot_be_seen_changes_nothing() -> None:
    whole = Whole()
    whole.asks(SPEC)
    whole.settle()
    first = whole.topic_ids[NAME]
    whole.kafka.down = True
    whole.start()
    whole.run()
    assert given(whole) == first == on_record(whole)["topicId"]


def test_another_topic_has_a_first_id_of_its_own() -> None:
    seen = TopicSeen("input", "other", 2, 1, created=True, topic_id="id-9")
    status = {"inputTopic": {"name": NAME, "topicId": "id-1"}}
    assert ownership.first_input({"status": status}, NAME, [seen]) == "id-1"
    assert ownership.first_input({"status": status}, "other", [seen]) == "id-9"
    assert ownership.first_input({}, "other") == ""
