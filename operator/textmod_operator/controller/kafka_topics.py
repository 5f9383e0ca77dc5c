"""The step of a pass that makes the topics through Strimzi: `topics.management: Strimzi`.

A topic has one owner. The operator writes KafkaTopics that it made itself and no others, and makes
one only for a topic that does not exist yet, or that it has on record as created by it and the
object's own Kafka user may manage: the record may be of other brokers. Those that it asks have to
be the cluster on which Strimzi acts. Strimzi makes, grows and configures the topic of a KafkaTopic.
What exists otherwise is checked, as with `topics.management: Existing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.controller import ownership
from textmod_operator.controller.apply import refuse_terminating
from textmod_operator.controller.claims import Claims
from textmod_operator.controller.refusals import problem_of
from textmod_operator.controller.strimzi_cluster import check_same
from textmod_operator.desired.kafka_topics import (
    KAFKA,
    KAFKA_TOPIC,
    kafka_topic,
    kafka_topics_namespace,
    topic_of,
)
from textmod_operator.errors import ClusterError, TopicsNotReady, WorkloadNotReady
from textmod_operator.kafka.clusters import KafkaCluster
from textmod_operator.kube.cluster import Cluster
from textmod_operator.kube.resources import owner_uid
from textmod_operator.state import Manifest, Ref, Topic, TopicSeen


def ensure(
    tm: TextModeration,
    topics: Iterable[Topic],
    body: Manifest,
    kafka: KafkaCluster,
    cluster: Cluster,
) -> tuple[TopicSeen, ...]:
    """Bring the KafkaTopics to what is asked, and return the topics once Strimzi has made them.

    Raises:
        KafkaPending: the brokers have not been asked yet.
        TopicsNotReady: StrimziUnavailable; ClusterUnproven, when a KafkaTopic is to be made and the
            brokers are not known to be those on which Strimzi acts; Creating, while Strimzi has not
            answered; NotReady, with its answer; OwnedByAnother, when somebody keeps changing a
            KafkaTopic; ApplyFailed in a namespace that is being deleted; what the brokers say of
            the topics, see `KafkaCluster.ensure`.
        NotAccepted: the API server calls a KafkaTopic invalid.
        ClusterError: the API server could not be reached.
    """
    asked = tuple(topics)
    version = cluster.kafka_topics_version(kafka_topics_namespace(tm))
    live = {topic.name: _read(tm, topic, version, cluster) for topic in asked}
    missing = [name for name, found in live.items() if found is None]
    there = kafka.topic_ids(missing)
    owned = ownership.owned(body)
    on_record = [name for name, topic_id in there.items() if owned.get(name) in ("", topic_id)]
    to_make = set(missing) - there.keys() | kafka.manageable(on_record)
    if to_make:
        refuse_terminating(tm, cluster)
        check_same(tm, _kafka(tm, version, cluster), kafka.cluster_id())
    for topic in asked:
        found = live[topic.name]
        if _is_ours(found, tm) or topic.name in to_make:
            live[topic.name] = _apply(tm, topic, found, version, cluster)
    for name, found in live.items():
        if found is not None:
            check_ready(name, found)
    record = {name: one for name, one in owned.items() if live.get(name) is None}
    record |= {name: _topic_id(found) for name, found in live.items() if _is_ours(found, tm)}
    return kafka.ensure(asked, record, lambda _: None)


def delete(tm: TextModeration, claims: Claims, cluster: Cluster) -> None:
    """Delete the KafkaTopics that were made for an object, and with them their topics.

    A topic that another object uses stays, with its KafkaTopic. That Strimzi acts on the object's
    brokers was proven before they were made, and is not asked again: no object is held because a
    Kafka object or its brokers are gone.

    Raises:
        TopicsNotReady: StrimziUnavailable; NotReady, while Strimzi has not deleted them.
        ClusterError: the API server refused.
    """
    namespace = kafka_topics_namespace(tm)
    left = [
        found
        for found in cluster.kafka_topics_of(tm.metadata.uid, namespace)
        if not claims.also_used(tm, topic_of(found))
    ]
    for found in left:
        if not found["metadata"].get("deletionTimestamp"):
            cluster.delete(Ref.of(found))
    held = [one for one in left if one["metadata"].get("finalizers")]
    if held:
        names = ", ".join(one["metadata"]["name"] for one in held)
        raise TopicsNotReady(
            "NotReady",
            f"Strimzi has not deleted the topics of KafkaTopics {names} in namespace {namespace} "
            "yet: check that its Topic Operator runs, and what the KafkaTopics' conditions say",
        )


def installed(tm: TextModeration, cluster: Cluster) -> bool:
    """Whether the cluster has KafkaTopics, and the operator may make those of an object."""
    try:
        cluster.kafka_topics_version(kafka_topics_namespace(tm))
    except TopicsNotReady:
        return False
    return True


def without_strimzi(
    tm: TextModeration, owned: Mapping[str, str], cluster: Cluster
) -> dict[str, str]:
    """Return the topics on record that no KafkaTopic stands for: Strimzi does not delete them.

    Raises:
        ClusterError: the API server refused.
    """
    if not installed(tm, cluster):
        return dict(owned)
    namespace = kafka_topics_namespace(tm)
    version = cluster.kafka_topics_version(namespace)

    def stands(topic: str) -> bool:  # asked for: the cache has only those of the operator
        ref = Ref(version, KAFKA_TOPIC, namespace, naming.kafka_topic(topic))
        return cluster.get(ref) is not None

    return {name: one for name, one in owned.items() if not stands(name)}


def check_ready(name: str, found: Manifest) -> None:
    """Raise unless Strimzi has made a topic as the KafkaTopic asks now.

    Raises:
        TopicsNotReady: Creating, while it has not answered; NotReady, with what it answered.
    """
    metadata, status = found["metadata"], found.get("status") or {}
    where = f"KafkaTopic {metadata['name']} in namespace {metadata['namespace']}"
    if metadata.get("deletionTimestamp"):
        raise TopicsNotReady(
            "Creating", f"{where} is being deleted, and its topic {name} is made again after that"
        )
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    if conditions.get("ReconciliationPaused", {}).get("status") == "True":
        raise TopicsNotReady(
            "NotReady",
            f"Strimzi does not reconcile {where}: remove its annotation "
            "strimzi.io/pause-reconciliation",
        )
    ready = conditions.get("Ready")
    if ready is None or status.get("observedGeneration", 0) < metadata.get("generation", 0):
        cluster = (metadata.get("labels") or {}).get(naming.STRIMZI_CLUSTER_LABEL, "none")
        raise TopicsNotReady(
            "Creating",
            f"Strimzi has not answered {where} yet; if that lasts, check that the Topic Operator "
            f"of Kafka {cluster} runs and watches that namespace",
        )
    if ready.get("status") != "True":
        reason, message = ready.get("reason", "no reason"), ready.get("message", "no message")
        raise TopicsNotReady("NotReady", f"Strimzi says of {where}: {reason}: {message}")


def _read(tm: TextModeration, topic: Topic, version: str, cluster: Cluster) -> Manifest | None:
    """Return the KafkaTopic of a topic, or None."""
    name = naming.kafka_topic(topic.name)
    try:
        return cluster.known(Ref(version, KAFKA_TOPIC, kafka_topics_namespace(tm), name))
    except ClusterError as error:
        raise problem_of(KAFKA_TOPIC, name, error) from error


def _kafka(tm: TextModeration, version: str, cluster: Cluster) -> Manifest | None:
    """Return the Kafka object that the KafkaTopics are to belong to, or None."""
    name = tm.spec.topics.strimzi.cluster if tm.spec.topics.strimzi else ""
    try:
        return cluster.get(Ref(version, KAFKA, kafka_topics_namespace(tm), name))
    except ClusterError as error:
        raise problem_of(KAFKA, name, error) from error


def _apply(
    tm: TextModeration, topic: Topic, found: Manifest | None, version: str, cluster: Cluster
) -> Manifest:
    """Bring a KafkaTopic to what is asked, unless it is being deleted."""
    if found is not None and found["metadata"].get("deletionTimestamp"):
        return found
    grown_to = ((found or {}).get("spec") or {}).get("partitions") or 0
    try:
        return cluster.apply_kafka_topic(kafka_topic(tm, topic, version, grown_to), tm)
    except WorkloadNotReady as conflict:
        raise TopicsNotReady("OwnedByAnother", conflict.message) from conflict
    except ClusterError as error:
        raise problem_of(KAFKA_TOPIC, naming.kafka_topic(topic.name), error) from error


def _is_ours(found: Manifest | None, tm: TextModeration) -> bool:
    return found is not None and owner_uid(found) == tm.metadata.uid


def _topic_id(found: Manifest | None) -> str:
    """Id of the topic that Strimzi made of a KafkaTopic; empty when it does not say."""
    return str(((found or {}).get("status") or {}).get("topicId") or "")
