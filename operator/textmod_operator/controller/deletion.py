"""An object that is being deleted: first its pods end, then its topics are deleted."""

from __future__ import annotations

import logging

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.controller import kafka_topics, ownership
from textmod_operator.controller.gather import connect_to_kafka
from textmod_operator.controller.inventory import key_of
from textmod_operator.controller.reconcile import Edges
from textmod_operator.errors import NotAccepted, TopicsNotReady
from textmod_operator.state import Manifest, ObjectKey

logger = logging.getLogger(__name__)


def finalize(body: Manifest, edges: Edges) -> None:
    """Delete the topics that the object created, then remove our finalizer.

    The workload is deleted first, and its pods are waited for: a pod that still writes would have
    the brokers create the topic again. A topic that another object uses stays. An object that is
    set back to Retain, or can't be parsed, is released and its topics stay. So is one whose Secrets
    are gone, as in a namespace that ends; an Event and the log then name the topics.

    Raises:
        ClusterError: it is not known yet which workloads there are.
        TopicsNotReady: pods still run, the brokers can't be reached, or Strimzi has not deleted the
            topics yet; the object is held and tried again.
        KafkaPending: the brokers have not been asked yet.
    """
    try:
        tm = TextModeration.parse(body)
    except NotAccepted:
        tm = None  # nobody knows its policy
    if tm is not None and tm.spec.topics.deletion_policy == "Delete":
        _delete_topics(tm, ownership.owned(body), edges)
    edges.cluster.set_finalizer(key_of(body), present=False, uid=body["metadata"]["uid"])


def _delete_topics(tm: TextModeration, owned: dict[str, str], edges: Edges) -> None:
    strimzi = tm.spec.topics.management == "Strimzi"
    if strimzi or owned:
        _stop_pods(tm, edges)
        edges.cluster.check_leading()
    if strimzi:
        kafka_topics.delete(tm, edges.claims, edges.cluster)
        # What the operator created before Strimzi was to take over, and Strimzi has not deleted.
        owned = kafka_topics.without_strimzi(tm, owned, edges.cluster)
    unused = {name: one for name, one in owned.items() if not edges.claims.also_used(tm, name)}
    if not unused:
        return
    try:
        connection, _ = connect_to_kafka(tm, edges.cluster)
    except NotAccepted as problem:
        if strimzi and kafka_topics.installed(
            tm, edges.cluster
        ):  # it has deleted those of the spec
            unused = {name: one for name, one in unused.items() if name not in tm.topic_names}
        if unused:
            _tell(tm, unused, problem, edges)
        return
    edges.cluster.check_leading()
    edges.kafka.to(connection).delete(unused)


def _tell(tm: TextModeration, topics: dict[str, str], why: NotAccepted, edges: Edges) -> None:
    """Report which topics stay although nothing uses them any more."""
    message = f"the topics {', '.join(sorted(topics))} were not deleted: {why.message}"
    logger.warning("%s/%s: %s", tm.metadata.namespace, tm.metadata.name, message)
    edges.cluster.post_event(tm, "Warning", why.reason, message)


def _stop_pods(tm: TextModeration, edges: Edges) -> None:
    namespace = tm.metadata.namespace
    edges.cluster.require_workloads(namespace)  # one that is not seen would go on making pods
    for ref in edges.cluster.owned(tm.metadata.uid, namespace):
        edges.cluster.delete(ref)
    pods = edges.cluster.pods_running(ObjectKey(namespace, tm.metadata.name))
    if pods:
        raise TopicsNotReady(
            "PodsRunning",
            f"{pods} pods still run and may write to the topics; the topics are deleted once "
            "they have ended",
        )
