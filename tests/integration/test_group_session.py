"""A pod that is killed: its partitions are read again within the promise, once its group has the
session that the operator gives it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from textmod_dev.kafka_broker import KafkaBroker
from textmod_operator.kafka.admin import KafkaAdmin
from textmod_operator.kafka.configs import SESSION
from textmod_operator.state import KafkaConnection, Topic

pytestmark = pytest.mark.integration

PROMISE = 30
GROUP = "textmod.default.science"
MEMBER = """
import sys
from confluent_kafka import Consumer
consumer = Consumer({
    "bootstrap.servers": sys.argv[1], "group.id": sys.argv[2], "group.protocol": "consumer",
})
consumer.subscribe(["in"])
while not consumer.assignment():
    consumer.poll(0.1)
print("joined", flush=True)
while True:
    consumer.poll(1)
"""
"""A member that dies with no farewell."""


def admin_of(kafka: KafkaBroker) -> KafkaAdmin:
    admin = KafkaAdmin(KafkaConnection(kafka.bootstrap_servers))
    admin.ensure([Topic("input", "in", 2, True, 1, {})])
    return admin


def session_of(kafka: KafkaBroker) -> str:
    resource = ConfigResource(ResourceType.GROUP, GROUP)
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    (future,) = client.describe_configs([resource]).values()
    return str(future.result(10)[SESSION].value)


def test_a_killed_members_partitions_are_read_within_the_promise(tmp_path: Path) -> None:
    allowed = {"group.consumer.min.session.timeout.ms": "6000"}
    with KafkaBroker(tmp_path / "kafka", properties=allowed) as kafka:
        admin_of(kafka).ensure_group(GROUP, PROMISE // 2, None)
        assert session_of(kafka) == "15000"
        admin_of(kafka).ensure_group(GROUP, None, PROMISE // 2)
        assert session_of(kafka) == "45000"
        admin_of(kafka).ensure_group(GROUP, PROMISE // 2, None)
        doomed = subprocess.Popen(
            [sys.executable, "-c", MEMBER, kafka.bootstrap_servers, GROUP], stdout=subprocess.PIPE
        )
        config = {"bootstrap.servers": kafka.bootstrap_servers, "group.id": GROUP}
        survivor = Consumer({**config, "group.protocol": "consumer"})
        try:
            assert doomed.stdout is not None
            assert doomed.stdout.readline() == b"joined\n"
            survivor.subscribe(["in"])
            assert until(lambda: share(survivor) == 1, 60), "both have a partition"
            doomed.kill()
            killed = time.monotonic()
            assert until(lambda: share(survivor) == 2, 60), "one has both"
            assert time.monotonic() - killed < PROMISE
        finally:
            doomed.kill()
            doomed.communicate()
            survivor.close()


def test_brokers_with_the_defaults_keep_theirs(tmp_path: Path) -> None:
    with KafkaBroker(tmp_path / "kafka") as kafka:
        admin_of(kafka).ensure_group(GROUP, PROMISE // 2, None)
        assert session_of(kafka) == "45000"


def share(consumer: Consumer) -> int:
    consumer.poll(0.1)
    return len(consumer.assignment())


def until(happened: object, seconds: float) -> bool:
    assert callable(happened)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if happened():
            return True
    return False
