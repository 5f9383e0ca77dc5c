"""An object that is being deleted: first its pods end, then its topics are deleted."""

from __future__ import annotations

import contextlib
import logging

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.controller import kafka_topics, ownership
from textmod_operator.controller.gather import connect_to_kafka
from textmod_operator.controller.inventory import key_of
from textmod_operator.controller.reconcile import Edges
from textmod_operator.errors import ClusterError, NotAccepted, TopicsNotReady
from textmod_operator.state import Manifest, ObjectKey

logger = logging.getLogger(__name__)


def finalize(body: Manifest, edges: Edges) -> None:
    """Delete the topics that the object created, then remove our finalizer.

    The workload is deleted first, and its pods are waited for: a pod that still writes would have
    the brokers create the topic again. A topic that another object uses stays. An object that is
    set back to Retain, can't be parsed, or whose Secrets are gone (a namespace that ends deletes
    them too) is released and its topics stay; an Event and the log then name them.

    Raises:
        ClusterError: it is not known yet which workloads there are.
        TopicsNotReady: pods still run, the brokers can't be reached, or Strimzi has not deleted the
            topics yet; the object is held and tried again.
        KafkaPending: the brokers have not been asked yet.
    """
    tm, owned = None, ownership.owned(body)
    try:
        tm = TextModeration.parse(body)
        if tm.spec.topics.deletion_policy == "Delete":
            _delete_topics(tm, owned, edges)
    except NotAccepted as problem:
        if owned:
            _tell(tm, key_of(body), owned, problem, edges)
    edges.cluster.set_finalizer(key_of(body), present=False)


def _tell(
    tm: TextModeration | None,
    key: ObjectKey,
    owned: dict[str, str],
    problem: NotAccepted,
    edges: Edges,
) -> None:
    """Tell which topics stay though nothing uses them any more."""
    message = f"the topics {', '.join(sorted(owned))} were not deleted: {problem.message}"
    logger.warning("%s: %s", key, message)
    if tm is not None:
        with contextlib.suppress(ClusterError):  # a namespace that ends takes no Event
            edges.cluster.post_event(tm, "Warning", problem.reason, message)


def _delete_topics(tm: TextModeration, owned: dict[str, str], edges: Edges) -> None:
    strimzi = tm.spec.topics.management == "Strimzi"
    if strimzi or owned:
        _stop_pods(tm, edges)
        edges.cluster.check_leading()
    if strimzi:
        kafka_topics.delete(tm, edges.claims, edges.cluster)
        # What the operator created before Strimzi took over, and the spec no longer names.
        owned = {name: one for name, one in owned.items() if name not in tm.topic_names}
    if owned:
        connection, _ = connect_to_kafka(tm, edges.cluster)
        edges.cluster.check_leading()
        edges.kafka.to(connection).delete(
            {name: one for name, one in owned.items() if not edges.claims.also_used(tm, name)}
        )


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
