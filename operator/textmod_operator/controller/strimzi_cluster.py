"""Whether the brokers that an object names are the cluster on which Strimzi acts. Pure.

An object's author chooses both, and brokers of an author could lie, about their topics and about
the id of their cluster. So they have to be named as Strimzi publishes them in the status of its
Kafka object, and have the cluster id that it publishes there. Unknown is no match.
"""

from __future__ import annotations

from typing import Final

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.kafka_topics import KAFKA, kafka_topics_namespace
from textmod_operator.errors import TopicsNotReady
from textmod_operator.state import Manifest

DEFAULT_PORT: Final = "9092"
_SERVICES: Final = ".svc"
_CLUSTER_DOMAIN: Final = ".cluster.local"


def check_same(tm: TextModeration, kafka: Manifest | None, cluster_id: str) -> None:
    """Raise unless an object's brokers are the cluster whose KafkaTopics its own would be.

    Args:
        tm: one with `topics.strimzi`.
        kafka: the Kafka object in the namespace of the KafkaTopics; None: there is none.
        cluster_id: what the object's brokers say; empty: nothing.

    Raises:
        TopicsNotReady: ClusterUnproven; Creating, while Strimzi has not published what to go by.
    """
    strimzi, namespace = tm.spec.topics.strimzi, kafka_topics_namespace(tm)
    if strimzi is None:
        raise ValueError("topics.strimzi is not set")
    where = f"{KAFKA} {strimzi.cluster} in namespace {namespace}"
    if kafka is None:
        raise TopicsNotReady(
            "ClusterUnproven",
            f"there is no {where}, by which to tell on which brokers Strimzi acts: create it, or "
            "create this object again with topics.strimzi that names the Kafka object of its "
            "brokers",
        )
    if not _watches(kafka, namespace):
        raise TopicsNotReady(
            "ClusterUnproven",
            f"the Topic Operator of {where} does not watch that namespace: set "
            "spec.entityOperator.topicOperator of the Kafka object, without a watchedNamespace",
        )
    status = kafka.get("status") or {}
    expected = status.get("clusterId")
    if not expected or not published(kafka):
        raise TopicsNotReady(
            "Creating",
            f"Strimzi has not published the cluster id of {where} and the addresses of its "
            "listeners yet; if that lasts, look at the Kafka object's conditions",
        )
    servers = tm.spec.kafka.bootstrap_servers
    if foreign := foreign_servers(servers, kafka):
        raise TopicsNotReady(
            "ClusterUnproven",
            f"{where} has no listener at {', '.join(foreign)}: name in kafka.bootstrapServers "
            f"only what Strimzi publishes in its status, which is {', '.join(published(kafka))}",
        )
    if cluster_id != expected:
        raise TopicsNotReady(
            "ClusterUnproven",
            f"{servers} leads to the Kafka cluster {cluster_id or 'unknown'}, and {where} is "
            f"{expected}: name brokers of that cluster in kafka.bootstrapServers",
        )


def published(kafka: Manifest) -> list[str]:
    """The addresses of a Kafka object's listeners, as host:port."""
    found: list[str] = []
    for listener in (kafka.get("status") or {}).get("listeners") or ():
        found += filter(None, (listener.get("bootstrapServers") or "").split(","))
        for one in listener.get("addresses") or ():
            found.append(f"{one.get('host')}:{one.get('port')}")
    return list(dict.fromkeys(found))


def foreign_servers(bootstrap_servers: str, kafka: Manifest) -> list[str]:
    """Those of an object's brokers that Strimzi does not publish."""
    known = {_plain(one) for one in published(kafka)}
    return [one for one in bootstrap_servers.split(",") if _plain(one) not in known]


def _watches(kafka: Manifest, namespace: str) -> bool:
    operators = (kafka.get("spec") or {}).get("entityOperator") or {}
    topic_operator = operators.get("topicOperator")
    if topic_operator is None:
        return False
    return (topic_operator.get("watchedNamespace") or namespace) == namespace


def _plain(server: str) -> tuple[str, str]:
    """Host and port, as they are written but for the long form of a Service's name.

    Shorter forms are not taken for a Service's: what they lead to depends on who asks.
    """
    _, _, server = server.rpartition("://")
    host, colon, port = server.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = server, DEFAULT_PORT
    host = host.strip("[]")
    if host.endswith(_SERVICES + _CLUSTER_DOMAIN):
        host = host.removesuffix(_CLUSTER_DOMAIN)
    return host, port
