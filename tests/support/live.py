"""What an integration test sees of the operator and of the topics, and what it puts into them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from textmod_dev.local_cluster import LocalCluster

Kubectl = Callable[..., str]
WaitFor = Callable[[Callable[[], object], float, str], None]


def refused(kubectl: Kubectl, *arguments: str, stdin: str | None = None) -> str:
    """What kubectl said when it failed, as it must."""
    with pytest.raises(Exception) as failure:
        kubectl(*arguments, stdin=stdin)
    return str(failure.value)


def condition(kubectl: Kubectl, name: str, of: str = "science") -> dict[str, str]:
    body = json.loads(kubectl("get", "tm", of, "-o", "json"))
    conditions = body.get("status", {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == name), {})


def topics(admin: AdminClient, prefix: str) -> dict[str, int]:
    """Name and number of partitions of the topics that start with `prefix`."""
    found = admin.list_topics(timeout=10).topics
    return {name: len(topic.partitions) for name, topic in found.items() if name.startswith(prefix)}


def produce(cluster: LocalCluster, topic: str, values: list[bytes], *, partition: int = -1) -> None:
    """Writes to a topic, and to one partition if that is named."""
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(10) == 0


def consume(cluster: LocalCluster, topic: str, count: int) -> list[bytes]:
    """The first `count` messages of a topic, in any order of partitions."""
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": "none",
            "enable.auto.commit": False,
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    values: list[bytes] = []
    for _ in range(300):
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            values.append(message.value())
        if len(values) == count:
            break
    consumer.close()
    return values
