"""The model pod, the same on every platform: what differs is who wraps it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired import dropins, kafka_access, policies, review
from textmod_operator.desired.container import Health, container, variable
from textmod_operator.state import KafkaConnection, Manifest

SHUTDOWN_SECONDS = 30
"""What the worker takes at most to finish its batch, flush, commit and leave."""
PRE_STOP_SECONDS = 2
"""Endpoints hear of the end before the server stops answering."""
PRE_STOP_SECONDS_BEHIND_EXECUTOR = 15
"""Seldon's executor has no preStop: it gets SIGTERM together with the model and pumps on until it
has ended; what it then asks a model that has gone already it drops and commits. So the model
outlives it."""
SPARE_SECONDS = 8
"""terminationGracePeriodSeconds beyond what the container takes at most."""
REGISTRY_CA_FOLDER = "/etc/textmod/schema-registry-ca"


def pod_spec(
    tm: TextModeration, connection: KafkaConnection, revision: str, input_topic_id: str = ""
) -> Manifest:
    """The PodSpec: restricted in the sense of Pod Security, and with no service-account token.

    Args:
        connection: how the brokers are reached; only its public part is used.
        revision: of this pod, as `revision` makes it.
        input_topic_id: of the input topic that the object first saw; empty: not known.
    """
    model = tm.spec.model
    spec: Manifest = {
        "containers": [_container(tm, connection, revision, input_topic_id)],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            *kafka_access.volumes(tm),
            *_registry_volumes(tm),
            *policies.volumes(tm, naming.policies_config_map(tm)),
        ],
        "terminationGracePeriodSeconds": _pre_stop(tm) + SHUTDOWN_SECONDS + SPARE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
    }
    optional: Manifest = {
        "imagePullSecrets": [{"name": secret.name} for secret in model.image_pull_secrets],
        "serviceAccountName": model.service_account_name,
        "priorityClassName": model.priority_class_name,
        "nodeSelector": model.node_selector,
        "tolerations": model.tolerations,
        "affinity": model.affinity,
    }
    return spec | {key: value for key, value in optional.items() if value}


def pod_annotations(tm: TextModeration) -> dict[str, str]:
    """Annotations of the pods: where Prometheus scrapes, and what the user adds."""
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(naming.METRICS_PORT),
        "prometheus.io/path": "/prometheus",
        **tm.spec.model.pod_annotations,
    }


def parameters(tm: TextModeration) -> list[dict[str, str]]:
    """The model's parameters in Seldon's form."""
    return [
        {"name": parameter.name, "value": parameter.value, "type": parameter.type}
        for parameter in tm.spec.model.parameters
    ]


def revision(
    tm: TextModeration,
    connection: KafkaConnection,
    secrets_digest: str | None,
    input_topic_id: str = "",
) -> str:
    """Changes with all that the pods are made of, and with nothing else.

    Args:
        connection: how the brokers are reached.
        secrets_digest: changes with the content of the object's Secrets; None when it uses none.
        input_topic_id: as in `pod_spec`.
    """
    spec = pod_spec(tm, connection, "", input_topic_id)
    made_of = [spec, pod_annotations(tm), parameters(tm), secrets_digest]
    if restarted := tm.metadata.annotations.get(naming.RESTARTED_ANNOTATION):
        made_of.append(restarted)
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def _container(
    tm: TextModeration, connection: KafkaConnection, revision: str, input_topic_id: str
) -> Manifest:
    health = Health(naming.METRICS_PORT, "/health/ready", "/health/ready", "/health/live")
    return {
        "name": naming.CONTAINER,
        "image": tm.spec.model.image,
        "env": _environment(tm, connection, revision, input_topic_id),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            *kafka_access.mounts(tm),
            *_registry_mounts(tm),
            *policies.mounts(tm),
        ],
        **container(tm.spec.model.resources, health, _pre_stop(tm)),
    }


def _pre_stop(tm: TextModeration) -> int:
    executor = tm.spec.serving.streaming == "SeldonExecutor"
    return PRE_STOP_SECONDS_BEHIND_EXECUTOR if executor else PRE_STOP_SECONDS


def _environment(
    tm: TextModeration, connection: KafkaConnection, revision: str, input_topic_id: str
) -> list[Manifest]:
    spec = tm.spec
    batch = spec.serving.batch
    native = spec.serving.streaming == "Native"
    values: dict[str, str | None] = {
        naming.ENV_STREAMING: "Native" if native else "Off",
        **kafka_access.brokers(connection),
        naming.ENV_INPUT_TOPIC: tm.input_topic,
        naming.ENV_INPUT_TOPIC_ID: (input_topic_id or None) if native else None,
        naming.ENV_OUTPUT_TOPIC: tm.output_topic,
        naming.ENV_DEAD_LETTER_TOPIC: tm.dead_letter_topic,
        naming.ENV_CONSUMER_GROUP: naming.consumer_group(tm),
        naming.ENV_DELIVERY: spec.serving.delivery,
        naming.ENV_BATCH_MAX_MESSAGES: str(batch.max_messages),
        naming.ENV_BATCH_MAX_WAIT: str(batch.max_wait_milliseconds),
        naming.ENV_MESSAGE_FORMAT: spec.message.format,
        naming.ENV_MESSAGE_TEXT_FIELD: spec.message.text_field,
        naming.ENV_MESSAGE_OUTPUT_FORMAT: spec.message.output_format,
        naming.ENV_MESSAGE_TOMBSTONES: spec.message.tombstones,
        naming.ENV_MEMORY_LIMIT: _memory_limit(tm),
        naming.ENV_MODEL_DIGEST: spec.model.digest,
        naming.ENV_MODEL_THRESHOLD: _decimal(spec.model.threshold),
        naming.ENV_PROTOCOL: spec.serving.protocol,
        naming.ENV_SHUTDOWN_SECONDS: str(SHUTDOWN_SECONDS),
        naming.ENV_REVISION: revision,
    }
    return [
        *(variable(name, value) for name, value in values.items() if value is not None),
        {
            "name": naming.ENV_POD_NAME,
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
        },
        *kafka_access.credentials(tm),
        *_registry(tm),
        *policies.environment(tm),
        *dropins.environment(tm),
        *review.environment(tm),
        *(entry.model_dump(by_alias=True, exclude_none=True) for entry in spec.model.env),
    ]


def _memory_limit(tm: TextModeration) -> str | None:
    limit = tm.spec.model.resources.limits.get("memory")
    return None if limit is None else str(limit)


def _decimal(threshold: float | None) -> str | None:
    return None if threshold is None else repr(threshold)


def _registry(tm: TextModeration) -> list[Manifest]:
    registry = tm.spec.kafka.schema_registry
    if registry is None:
        return []
    entries: list[Manifest] = [variable(naming.ENV_SCHEMA_REGISTRY_URL, registry.url)]
    if ref := registry.secret_ref:
        entries += [
            {
                "name": naming.ENV_SCHEMA_REGISTRY_USERNAME,
                "valueFrom": kafka_access.secret_key(ref.name, ref.username_key),
            },
            {
                "name": naming.ENV_SCHEMA_REGISTRY_PASSWORD,
                "valueFrom": kafka_access.secret_key(ref.name, ref.password_key),
            },
        ]
    if ca := registry.ca_secret_ref:
        path = f"{REGISTRY_CA_FOLDER}/{ca.key}"
        entries.append(variable(naming.ENV_SCHEMA_REGISTRY_CA_FILE, path))
    return entries


def _registry_volumes(tm: TextModeration) -> list[Manifest]:
    registry = tm.spec.kafka.schema_registry
    if registry is None or registry.ca_secret_ref is None:
        return []
    return [kafka_access.secret_volume("schema-registry-ca", registry.ca_secret_ref.name)]


def _registry_mounts(tm: TextModeration) -> list[dict[str, Any]]:
    return [
        kafka_access.secret_mount(volume["name"], REGISTRY_CA_FOLDER)
        for volume in _registry_volumes(tm)
    ]
