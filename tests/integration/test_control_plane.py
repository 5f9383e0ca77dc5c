"""The control plane and the broker are real: they answer as themselves."""

from __future__ import annotations

import json

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

pytestmark = pytest.mark.integration


def test_the_api_server_is_the_pinned_kubernetes(cluster):
    version = json.loads(cluster.kubectl("version", "-o", "json"))
    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"]
    assert version["serverVersion"]["minor"] == "36"


def test_controllers_act(kubectl, wait_for):
    kubectl("create", "deployment", "web", "--image", "example/nothing:1", "--replicas", "2")

    def two_pods():
        return len(json.loads(kubectl("get", "pods", "-o", "json"))["items"]) == 2

    wait_for(two_pods, 20, "the Deployment's ReplicaSet made two pods")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_kafka_carries_a_record(cluster, protocol):
    topic = f"carries-{protocol}"
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    producer.produce(topic, b"hello", key=b"k")
    assert producer.flush(10) == 0
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": f"group-{protocol}",
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    try:
        message = consumer.poll(20)
        assert message is not None
        assert message.error() is None
        assert (message.key(), message.value()) == (b"k", b"hello")
    finally:
        consumer.close()


def test_topics_are_not_made_by_asking_for_them(cluster):
    producer = Producer(
        {"bootstrap.servers": cluster.bootstrap_servers, "message.timeout.ms": 3000, "log_level": 0}
    )
    errors = []
    producer.produce("nobody-made-this", b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(10)
    assert len(errors) == 1
    assert errors[0] is not None
