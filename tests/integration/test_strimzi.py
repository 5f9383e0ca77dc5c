"""Topics by KafkaTopics, on a real API server and a real broker.

Strimzi's own Topic Operator is not to be had as a package: its place is taken by
tests/support/strimzi.py, over the same broker.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from live import Kubectl, WaitFor, condition, refused, topics
from objects import merged
from permissions import check_requests
from strimzi import FINALIZER, Change, TopicOperator

from textmod_dev import chart, manifests
from textmod_dev.errors import LocalClusterError
from textmod_dev.local_cluster import LocalCluster

pytestmark = pytest.mark.integration

KAFKA_TOPICS = Path(__file__).parents[1] / "support" / "kafkatopics.yaml"
KAFKAS = Path(__file__).parents[1] / "support" / "kafkas.yaml"
USER = "textmod-operator"
GIVEN = r'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}'
"""Prints the namespace and name of each object in a list, as a line."""


@pytest.fixture
def strimzi(operator: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster with KafkaTopics, and the operator with permission to make them."""
    url = f"http://127.0.0.1:{operator.operator_health_port}"
    kept = ("--lease-namespace=kube-system", f"--keda-url={url}")
    name = f"{USER}-strimzi"
    operator.kubectl("apply", "-f", str(KAFKA_TOPICS), "-f", str(KAFKAS))
    for plural in ("kafkas", "kafkatopics"):
        operator.kubectl("wait", "--for=condition=Established", f"crd/{plural}.kafka.strimzi.io")
    operator.apply(
        manifests.cluster_role(name, chart.rules("strimzi-rules.yaml")),
        manifests.cluster_role_binding(name, name, user=USER),
    )
    operator.stop_operator()
    operator.start_operator(*kept, "--strimzi=on")
    yield operator
    operator.stop_operator()
    operator.start_operator(*kept)
    # A definition that is still being deleted would be taken for one that the next test may use.
    for topic in operator.kubectl("get", "kafkatopics", "-A", "-o", GIVEN).splitlines():
        namespace, name = topic.split("/")
        without = ("--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        with suppress(LocalClusterError):  # gone meanwhile
            operator.kubectl("patch", "kafkatopic", name, "-n", namespace, *without)
    operator.kubectl("delete", "-f", str(KAFKA_TOPICS), "-f", str(KAFKAS), "--timeout=60s")


@contextmanager
def topic_operator(kubectl: Kubectl, admin: AdminClient, cluster: str) -> Iterator[None]:
    """Strimzi's Topic Operator for the KafkaTopics of the test's namespace."""
    works, stop = TopicOperator(admin, cluster), threading.Event()

    def write(name: str, patch: dict[str, Any], *more: str) -> None:
        kubectl("patch", "kafkatopic", name, "--type=merge", "-p", json.dumps(patch), *more)

    def run() -> None:
        while not stop.wait(0.5):
            listed = json.loads(kubectl("get", "kafkatopics", "-o", "json"))["items"]
            for change in works.step(listed):
                with suppress(LocalClusterError):  # it changed meanwhile: next time
                    bring(change)

    def bring(change: Change) -> None:
        metadata = change.kafka_topic["metadata"]
        if change.status not in (None, change.kafka_topic.get("status")):
            write(metadata["name"], {"status": change.status}, "--subresource=status")
        if change.finalizers != metadata.get("finalizers", []):
            write(metadata["name"], {"metadata": {"finalizers": change.finalizers}})

    thread = threading.Thread(target=run, name="topic-operator")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def publish(kubectl: Kubectl, name: str, cluster_id: str, bootstrap_servers: str) -> None:
    """Make a Kafka object with the status that Strimzi gives it."""
    kafka: dict[str, Any] = {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "Kafka",
        "metadata": {"name": name},
        "spec": {"entityOperator": {"topicOperator": {}}},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(kafka))
    listeners = [{"name": "plain", "bootstrapServers": bootstrap_servers}]
    status = {"status": {"clusterId": cluster_id, "listeners": listeners}}
    patch = ("--type=merge", "-p", json.dumps(status), "--subresource=status")
    kubectl("patch", "kafka", name, *patch)


def test_strimzi_makes_grows_and_deletes_the_topics(
    strimzi: LocalCluster,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    admin: AdminClient,
    topic_prefix: str,
    wait_for: WaitFor,
) -> None:
    spec = {
        "serving": {"platform": "Deployment"},
        "topics": {
            "management": "Strimzi",
            "strimzi": {"cluster": topic_prefix},
            "deletionPolicy": "Delete",
        },
    }

    def reason() -> str:
        return condition(kubectl, "TopicsReady").get("reason", "")

    kubectl("apply", "-f", "-", stdin=manifest(spec))
    wait_for(lambda: reason() == "ClusterUnproven", 30, "there is no Kafka object")
    publish(kubectl, topic_prefix, "of-another", strimzi.bootstrap_servers)
    wait_for(
        lambda: "is of-another" in condition(kubectl, "TopicsReady")["message"], 60, "another one"
    )
    assert kubectl("get", "kafkatopics", "-o", "name") == ""
    cluster_id = admin.describe_cluster().result(10).cluster_id
    publish(kubectl, topic_prefix, cluster_id, strimzi.bootstrap_servers)
    wait_for(lambda: reason() == "Creating", 60, "the KafkaTopics wait for Strimzi")
    assert topics(admin, topic_prefix) == {}
    names = {f"{topic_prefix}-{role}" for role in ("input", "output", "dead-letter")}
    with topic_operator(kubectl, admin, topic_prefix):
        wait_for(lambda: reason() == "AsAsked", 30, "Strimzi made the topics")
        assert topics(admin, topic_prefix).keys() == names
        kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=90s")

        kubectl("patch", "kafkatopic", f"{topic_prefix}-output", "--type=json",
                "-p", '[{"op": "remove", "path": "/spec/config"}]')  # fmt: skip
        config = ("get", "kafkatopic", f"{topic_prefix}-output", "-o", "jsonpath={.spec.config}")
        wait_for(lambda: "LogAppendTime" in kubectl(*config), 20, "an edit is undone")

        grown = merged(spec, {"topics": {"input": {"partitions": 5}}})
        kubectl("apply", "-f", "-", stdin=manifest(grown))
        wait_for(lambda: topics(admin, topic_prefix)[f"{topic_prefix}-input"] == 5, 30, "it grew")

        many = merged(grown, {"topics": {"deadLetter": {"replicationFactor": 3}}})
        kubectl("apply", "-f", "-", stdin=manifest(many))
        wait_for(lambda: reason() == "NotReady", 30, "Strimzi's answer is reported")
        said = condition(kubectl, "TopicsReady")["message"]
        assert "NotSupported: Replication factor change not supported" in said

    kubectl("delete", "tm", "science", "--wait=false")
    wait_for(
        lambda: "has not deleted" in condition(kubectl, "TopicsReady")["message"], 60, "it is held"
    )
    assert FINALIZER in kubectl("get", "kafkatopics", "-o", "jsonpath={..finalizers}")
    assert topics(admin, topic_prefix).keys() == names
    with topic_operator(kubectl, admin, topic_prefix):
        kubectl("wait", "--for=delete", "tm/science", "--timeout=60s")
    assert topics(admin, topic_prefix) == {}
    check_requests(strimzi)


def test_topics_of_the_operator_are_given_to_strimzi(
    strimzi: LocalCluster,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    admin: AdminClient,
    topic_prefix: str,
    wait_for: WaitFor,
) -> None:
    """Brokers without an authorizer let every user manage every topic, and say so."""
    before: dict[str, Any] = {"serving": {"platform": "Deployment"}}
    kubectl("apply", "-f", "-", stdin=manifest(before))
    wait_for(lambda: len(topics(admin, topic_prefix)) == 3, 30, "the operator made the topics")
    wait_for(
        lambda: condition(kubectl, "TopicsReady").get("reason") == "AsAsked", 30, "and noted it"
    )
    cluster_id = admin.describe_cluster().result(10).cluster_id
    publish(kubectl, topic_prefix, cluster_id, strimzi.bootstrap_servers)
    by_strimzi = {"topics": {"management": "Strimzi", "strimzi": {"cluster": topic_prefix}}}
    kubectl("apply", "-f", "-", stdin=manifest(merged(before, by_strimzi)))
    count = ("get", "kafkatopics", "-o", "name")
    wait_for(lambda: len(kubectl(*count).split()) == 3, 30, "each has a KafkaTopic")
    kubectl("delete", "tm", "science", "--timeout=60s")
    check_requests(strimzi)


def test_without_permission_or_kafka_topics_it_is_reported(
    operator: LocalCluster, kubectl: Kubectl, manifest: Callable[..., str], wait_for: WaitFor
) -> None:
    spec = {"topics": {"management": "Strimzi", "strimzi": {"cluster": "events"}}}
    kubectl("apply", "-f", "-", stdin=manifest(spec))
    wait_for(
        lambda: condition(kubectl, "TopicsReady").get("reason") == "StrimziUnavailable",
        30,
        "reported",
    )
    assert "strimzi.enabled" in condition(kubectl, "TopicsReady")["message"]
    back = manifest({"topics": {"management": "Managed"}})
    assert "two owners" in refused(kubectl, "apply", "-f", "-", stdin=back)
    kubectl("delete", "tm", "science", "--timeout=30s")
