"""The pod of the review console: restricted, and with a token for the questions it asks of RBAC."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from textmod_operator import naming
from textmod_operator.api.review import Console
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired import console_policies, console_webhooks, kafka_access, policies
from textmod_operator.desired.container import Health, container, variable
from textmod_operator.settings import ConsoleSettings
from textmod_operator.state import Capabilities, KafkaConnection, Manifest

SHUTDOWN_SECONDS: Final = 25
"""What the console takes at most to finish its requests and publish what was decided."""
PRE_STOP_SECONDS: Final = 2
SPARE_SECONDS: Final = 8
DATA_FOLDER: Final = "/data"
DATA_VOLUME: Final = "data"
USER: Final = 65532
"""Of the image: the volume's files belong to this group, unless the cluster assigns another."""


def pod_template(
    tm: TextModeration,
    console: Console,
    connection: KafkaConnection,
    capabilities: Capabilities,
    secrets_digest: str,
) -> Manifest:
    """The pod template.

    Args:
        secrets_digest: changes with the content of the Secrets that the pod reads.
    """
    spec = _pod_spec(tm, console, connection, capabilities)
    made_of = json.dumps([spec, secrets_digest], sort_keys=True)
    revision = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    return {
        "metadata": {
            "labels": naming.console_labels(tm),
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(naming.CONSOLE_INTERNAL_PORT),
                "prometheus.io/path": "/metrics",
                naming.CONSOLE_REVISION_ANNOTATION: revision,
            },
        },
        "spec": spec,
    }


def _pod_spec(
    tm: TextModeration, console: Console, connection: KafkaConnection, capabilities: Capabilities
) -> Manifest:
    own_volume = console.database is None
    volumes: list[Manifest] = [{"name": "tmp", "emptyDir": {}}]
    if not own_volume:
        volumes.append({"name": DATA_VOLUME, "emptyDir": {}})
    volumes += policies.volumes(tm, naming.console(tm))
    volumes += console_webhooks.volumes(console)
    spec: Manifest = {
        "serviceAccountName": naming.console(tm),
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": PRE_STOP_SECONDS + SHUTDOWN_SECONDS + SPARE_SECONDS,
        "containers": [_container(tm, console, connection, capabilities)],
        "volumes": [*volumes, *kafka_access.volumes(tm)],
    }
    if not capabilities.assigned_ids:
        spec["securityContext"] = {"fsGroup": USER, "fsGroupChangePolicy": "OnRootMismatch"}
    if secrets := tm.spec.model.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret.name} for secret in secrets]
    return spec


def _container(
    tm: TextModeration, console: Console, connection: KafkaConnection, capabilities: Capabilities
) -> Manifest:
    health = Health(naming.CONSOLE_INTERNAL_PORT, "/healthz", "/readyz", "/healthz")
    return {
        "name": naming.CONSOLE_CONTAINER,
        "image": console.image or capabilities.console.image,
        "ports": [
            {"name": "http", "containerPort": naming.CONSOLE_PORT},
            {"name": "internal", "containerPort": naming.CONSOLE_INTERNAL_PORT},
        ],
        "env": _environment(tm, console, connection, capabilities.console),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": DATA_VOLUME, "mountPath": DATA_FOLDER},
            *policies.mounts(tm),
            *console_webhooks.mounts(console),
            *kafka_access.mounts(tm),
        ],
        **container(console.resources, health, PRE_STOP_SECONDS),
    }


def _environment(
    tm: TextModeration, console: Console, connection: KafkaConnection, settings: ConsoleSettings
) -> list[Manifest]:
    review, proxy = tm.spec.review, console.authentication.proxy
    values: dict[str, str] = {
        **kafka_access.brokers(connection),
        **console_policies.environment(tm),
        **console_webhooks.environment(console, settings.webhook_networks),
        naming.ENV_REVIEW_TOPIC: tm.review_topic,
        naming.ENV_FEEDBACK_TOPIC: tm.feedback_topic,
        naming.ENV_CONSUMER_GROUP: naming.console_group(tm),
        naming.CONSOLE_ENV_OBJECT_NAMESPACE: tm.metadata.namespace,
        naming.CONSOLE_ENV_OBJECT_NAME: tm.metadata.name,
        naming.CONSOLE_ENV_DATA: DATA_FOLDER,
        naming.CONSOLE_ENV_AUTHENTICATION: "Proxy" if proxy else "Token",
        naming.CONSOLE_ENV_PORT: str(naming.CONSOLE_PORT),
        naming.CONSOLE_ENV_INTERNAL_PORT: str(naming.CONSOLE_INTERNAL_PORT),
        naming.ENV_SHUTDOWN_SECONDS: str(SHUTDOWN_SECONDS),
    }
    if review is not None:
        values[naming.CONSOLE_ENV_LABEL_DELAY_HOURS] = str(review.label_delay_hours)
        values[naming.CONSOLE_ENV_MINIMUM_LABELS] = str(review.minimum_labels)
        values[naming.CONSOLE_ENV_REMOVES_UNSEEN] = str(_removes_unseen(tm)).lower()
    key = (naming.console_session_secret(tm), naming.CONSOLE_SESSION_KEY)
    secrets: dict[str, tuple[str, str]] = {naming.CONSOLE_ENV_SESSION_KEY: key}
    if database := console.database:
        ref = database.secret_ref
        secrets[naming.CONSOLE_ENV_DATABASE_URL] = (ref.name, ref.key)
    if proxy:
        secrets[naming.CONSOLE_ENV_PROXY_SECRET] = (proxy.secret_ref.name, proxy.secret_ref.key)
        values[naming.CONSOLE_ENV_PROXY_USER_HEADER] = proxy.user_header
        values[naming.CONSOLE_ENV_PROXY_GROUPS_HEADER] = proxy.groups_header
    return [
        *(variable(name, value) for name, value in values.items()),
        {
            "name": naming.ENV_POD_NAME,
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
        },
        *kafka_access.credentials(tm),
        *(
            {"name": name, "valueFrom": kafka_access.secret_key(*at)}
            for name, at in secrets.items()
        ),
    ]


def _removes_unseen(tm: TextModeration) -> bool:
    """Whether some flagged texts are not sent to review: only the random sample has those."""
    enforced = [policy for policy in tm.spec.policies if policy.mode == "Enforce"]
    return not enforced or any(
        "Remove" in (policy.otherwise, *(rule.action for rule in policy.policy_rules))
        for policy in enforced
    )
