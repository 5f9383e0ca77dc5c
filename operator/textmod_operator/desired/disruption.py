"""The PodDisruptionBudget: a drained node takes one replica at a time."""

from __future__ import annotations

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.state import Manifest


def pod_disruption_budget(tm: TextModeration) -> Manifest:
    """At most one replica away at a time, which also lets a single replica be moved.

    Pods that are not ready, because they crash or Kafka is away, hold up no drain of a node.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": naming.child(tm),
            "namespace": tm.metadata.namespace,
            "labels": naming.labels(tm),
        },
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": naming.pod_labels(tm)},
        },
    }
