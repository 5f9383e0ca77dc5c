"""The plain Deployment and its Service, for clusters without Seldon Core."""

from __future__ import annotations

import json

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.container import variable
from textmod_operator.desired.pod import parameters, pod_annotations, pod_spec
from textmod_operator.state import KafkaConnection, Manifest

PORTS = (
    ("http", naming.HTTP_PORT),
    ("grpc", naming.GRPC_PORT),
    ("metrics", naming.METRICS_PORT),
)


def deployment(
    tm: TextModeration, connection: KafkaConnection, revision: str, input_topic_id: str = ""
) -> Manifest:
    """A Deployment that never takes a serving replica away before its successor serves: a model
    that doesn't load stops the rollout and nothing else."""
    spec = pod_spec(tm, connection, revision, input_topic_id)
    (container,) = spec["containers"]
    container["ports"] = [{"name": name, "containerPort": port} for name, port in PORTS]
    if tm.spec.model.parameters:
        container["env"].append(variable(naming.ENV_PARAMETERS, json.dumps(parameters(tm))))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": naming.child(tm),
            "namespace": tm.metadata.namespace,
            "labels": naming.labels(tm),
        },
        "spec": {
            "replicas": tm.replicas,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": naming.pod_labels(tm)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
            },
            "template": {
                "metadata": {"labels": naming.labels(tm), "annotations": pod_annotations(tm)},
                "spec": spec,
            },
        },
    }


def service(tm: TextModeration) -> Manifest:
    """Synchronous predictions and metrics of the model pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": naming.child(tm),
            "namespace": tm.metadata.namespace,
            "labels": naming.labels(tm),
        },
        "spec": {
            "selector": naming.pod_labels(tm),
            "ports": [
                {"name": name, "port": port, "targetPort": port, "protocol": "TCP"}
                for name, port in PORTS
            ],
        },
    }
