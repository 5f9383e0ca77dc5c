"""Every derived name, label, annotation, environment variable and consumer group, made once.

These names are an interface: to the model image (environment), to Seldon (predictor and
container), to the HPA (metric), and to selectors by label.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from textmod_operator.api.v1alpha1 import GROUP, TextModeration

FIELD_MANAGER: Final = "textmod-operator"
_OBJECT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""Names that Kubernetes allows for an object; topics' names are never too long for it."""

# --- labels and annotations -------------------------------------------------------------------
NAME_LABEL: Final = f"{GROUP}/name"
"""Carries the TextModeration's name on everything that is made for it, pods included."""
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "textmod-operator"
LEADER_ANNOTATION: Final = f"{GROUP}/leader"
"""The operator process that acts on an object. Its first write changes the resourceVersion, so that
what an earlier leader still has on its way is refused."""
LEARNED_ANNOTATION: Final = f"{GROUP}/learned"
"""On the TextModeration: what the scaling law learned, kept over restarts of the operator."""
RESTARTED_ANNOTATION: Final = f"{GROUP}/restarted"
"""On the TextModeration: when its pods were last restarted. A part of their revision."""
OWNER_LABEL: Final = f"{GROUP}/owner"
"""On a KafkaTopic: the uid of the TextModeration that it was made for. An ownerReference would have
the topic deleted with the object whatever its deletionPolicy, and can't leave the namespace."""
NAMESPACE_LABEL: Final = f"{GROUP}/namespace"
"""On a KafkaTopic: the namespace of the TextModeration that it was made for."""
STRIMZI_CLUSTER_LABEL: Final = "strimzi.io/cluster"
"""On a KafkaTopic: the Kafka object whose Topic Operator handles it."""
FINALIZER: Final = f"{GROUP}/delete-topics"
"""Only on objects with deletionPolicy Delete."""
OFFSETS_ANNOTATION: Final = f"{GROUP}/offsets"
"""On the TextModeration, set by its user to OFFSETS_ABANDONED: another consumer group takes over
without what the one before it has committed."""
OFFSETS_ABANDONED: Final = "Abandon"

POLICIES_ANNOTATION: Final = f"{GROUP}/policies"
"""On the model pods: the version of the policies that they are to read. The kubelet reads a pod's
volumes again as soon as its annotations change, and without that once a minute."""
DECIDED_ANNOTATION: Final = f"{GROUP}/decided"
"""On the ConfigMap of the policies: when each threshold moved last, and for which model."""
POLICIES_KEY: Final = "policies.json"
"""In the ConfigMap of the policies: their solved form."""

# --- the review console ---------------------------------------------------------------------------
CONSOLE_LABEL: Final = f"{GROUP}/console"
"""Carries the TextModeration's name on the console's pods, which are not the model's: those are
selected by NAME_LABEL."""
CONSOLE_REVISION_ANNOTATION: Final = f"{GROUP}/revision"
"""On the console's pods: changes with the content of the Secrets that they read."""
CONSOLE_CONTAINER: Final = "console"
CONSOLE_PORT: Final = 8080
"""The pages and the JSON API, for signed-in people."""
CONSOLE_INTERNAL_PORT: Final = 8081
"""Probes, metrics and measurements, for the kubelet, Prometheus and the operator; no texts."""
CONSOLE_SESSION_KEY: Final = "key"
"""In the Secret of a console: what its cookies are signed with."""
CONSOLE_CLUSTER_ROLE: Final = "textmoderation-console"
"""Made by the chart; its ClusterRoleBinding of the same name lists the ServiceAccounts of the
consoles, which the operator keeps."""

# --- readers -------------------------------------------------------------------------------------
MAIN_READER: Final = "main"
"""The reader whose verdicts count. Every object has it, and today no other."""

# --- Seldon -------------------------------------------------------------------------------------
PREDICTOR: Final = "default"
CONTAINER: Final = "classifier"
NO_ENGINE_ANNOTATION: Final = "seldon.io/no-engine"
SELDON_CONTROLLER_LABEL: Final = "seldon.io/controller-id"
"""Which of several Seldon controllers handles a SeldonDeployment; taken from the TextModeration."""

# --- ports of the model image, as Seldon injects them --------------------------------------------
HTTP_PORT: Final = 9000
GRPC_PORT: Final = 9500
METRICS_PORT: Final = 6000

# --- the external metric ------------------------------------------------------------------------
METRIC: Final = "textmoderation_desired_replicas"
METRICS_API_SERVICE: Final = "v1beta1.external.metrics.k8s.io"
"""The APIService by which the API server passes questions on; one provider per cluster."""
CERTIFICATE_SECRET: Final = "textmod-operator-metrics-tls"  # noqa: S105 - its name
"""In the operator's own namespace: the metrics API's certificate, made and renewed by us."""

# --- what a ScaledObject's metrics-api trigger reads ---------------------------------------------
KEDA_PATH: Final = "/keda/v1/namespaces/{namespace}/textmoderations/{name}"
KEDA_VALUE: Final = "desiredReplicas"

# --- environment of the model image --------------------------------------------------------------
ENV_BOOTSTRAP_SERVERS: Final = "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS"
ENV_SECURITY_PROTOCOL: Final = "TEXTMOD_KAFKA_SECURITY_PROTOCOL"
ENV_SASL_MECHANISM: Final = "TEXTMOD_KAFKA_SASL_MECHANISM"
ENV_SASL_USERNAME: Final = "TEXTMOD_KAFKA_SASL_USERNAME"
ENV_SASL_PASSWORD: Final = "TEXTMOD_KAFKA_SASL_PASSWORD"  # noqa: S105 - a variable's name
ENV_OAUTH_TOKEN_ENDPOINT_URL: Final = "TEXTMOD_KAFKA_OAUTH_TOKEN_ENDPOINT_URL"  # noqa: S105
ENV_OAUTH_SCOPE: Final = "TEXTMOD_KAFKA_OAUTH_SCOPE"
ENV_OAUTH_CLIENT_ID: Final = "TEXTMOD_KAFKA_OAUTH_CLIENT_ID"
ENV_OAUTH_CLIENT_SECRET: Final = "TEXTMOD_KAFKA_OAUTH_CLIENT_SECRET"  # noqa: S105 - a name
ENV_OAUTH_CA_FILE: Final = "TEXTMOD_KAFKA_OAUTH_CA_FILE"
ENV_AWS_REGION: Final = "TEXTMOD_KAFKA_AWS_REGION"
ENV_SSL_CA_FILE: Final = "TEXTMOD_KAFKA_SSL_CA_FILE"
ENV_SSL_CERTIFICATE_FILE: Final = "TEXTMOD_KAFKA_SSL_CERTIFICATE_FILE"
ENV_SSL_KEY_FILE: Final = "TEXTMOD_KAFKA_SSL_KEY_FILE"
ENV_SCHEMA_REGISTRY_URL: Final = "TEXTMOD_SCHEMA_REGISTRY_URL"
ENV_SCHEMA_REGISTRY_USERNAME: Final = "TEXTMOD_SCHEMA_REGISTRY_USERNAME"
ENV_SCHEMA_REGISTRY_PASSWORD: Final = "TEXTMOD_SCHEMA_REGISTRY_PASSWORD"  # noqa: S105 - a name
ENV_SCHEMA_REGISTRY_CA_FILE: Final = "TEXTMOD_SCHEMA_REGISTRY_CA_FILE"
ENV_INPUT_TOPIC: Final = "TEXTMOD_INPUT_TOPIC"
ENV_INPUT_TOPIC_ID: Final = "TEXTMOD_INPUT_TOPIC_ID"
ENV_OUTPUT_TOPIC: Final = "TEXTMOD_OUTPUT_TOPIC"
ENV_DEAD_LETTER_TOPIC: Final = "TEXTMOD_DEAD_LETTER_TOPIC"
ENV_CONSUMER_GROUP: Final = "TEXTMOD_CONSUMER_GROUP"
ENV_STREAMING: Final = "TEXTMOD_STREAMING"
ENV_DELIVERY: Final = "TEXTMOD_DELIVERY"
ENV_BATCH_MAX_MESSAGES: Final = "TEXTMOD_BATCH_MAX_MESSAGES"
ENV_BATCH_MAX_WAIT: Final = "TEXTMOD_BATCH_MAX_WAIT_MILLISECONDS"
ENV_MESSAGE_FORMAT: Final = "TEXTMOD_MESSAGE_FORMAT"
ENV_MESSAGE_TEXT_FIELD: Final = "TEXTMOD_MESSAGE_TEXT_FIELD"
ENV_MESSAGE_OUTPUT_FORMAT: Final = "TEXTMOD_MESSAGE_OUTPUT_FORMAT"
ENV_MESSAGE_TOMBSTONES: Final = "TEXTMOD_MESSAGE_TOMBSTONES"
ENV_MEMORY_LIMIT: Final = "TEXTMOD_MEMORY_LIMIT"
ENV_MODEL_DIGEST: Final = "TEXTMOD_MODEL_DIGEST"
ENV_MODEL_THRESHOLD: Final = "TEXTMOD_MODEL_THRESHOLD"
ENV_PROTOCOL: Final = "TEXTMOD_PROTOCOL"
ENV_PERSPECTIVE_ATTRIBUTES: Final = "TEXTMOD_PERSPECTIVE_ATTRIBUTES"
ENV_PERSPECTIVE_LANGUAGES: Final = "TEXTMOD_PERSPECTIVE_LANGUAGES"
ENV_PERSPECTIVE_ORIGINS: Final = "TEXTMOD_PERSPECTIVE_ORIGINS"
ENV_PERSPECTIVE_KEY: Final = "TEXTMOD_PERSPECTIVE_KEY"
ENV_OPENAI_KEY: Final = "TEXTMOD_OPENAI_KEY"
ENV_POD_NAME: Final = "TEXTMOD_POD_NAME"
ENV_SHUTDOWN_SECONDS: Final = "TEXTMOD_SHUTDOWN_SECONDS"
ENV_POLICIES_FILE: Final = "TEXTMOD_POLICIES_FILE"
ENV_REVIEW_TOPIC: Final = "TEXTMOD_REVIEW_TOPIC"
ENV_REVIEW_SAMPLE: Final = "TEXTMOD_REVIEW_SAMPLE"
ENV_REVIEW_SALT: Final = "TEXTMOD_REVIEW_SALT"
ENV_REVISION: Final = "TEXTMOD_REVISION"
"""Read by no process: it changes with all that a pod is made of, the content of the Secrets
included, so that the pods are rolled, and by it the operator knows the new ones from the old. (An
annotation would do on a Deployment, but Seldon decides which annotations reach its pods.)"""
ENV_PARAMETERS: Final = "PREDICTIVE_UNIT_PARAMETERS"
"""Seldon injects it from the graph; on platform Deployment we set it ourselves."""

# --- environment of the console's image ----------------------------------------------------------
ENV_FEEDBACK_TOPIC: Final = "TEXTMOD_FEEDBACK_TOPIC"
CONSOLE_ENV_OBJECT_NAMESPACE: Final = "TEXTMOD_OBJECT_NAMESPACE"
CONSOLE_ENV_OBJECT_NAME: Final = "TEXTMOD_OBJECT_NAME"
CONSOLE_ENV_LABEL_DELAY_HOURS: Final = "TEXTMOD_LABEL_DELAY_HOURS"
CONSOLE_ENV_MINIMUM_LABELS: Final = "TEXTMOD_MINIMUM_LABELS"
CONSOLE_ENV_REMOVES_UNSEEN: Final = "TEXTMOD_REMOVES_UNSEEN"
CONSOLE_ENV_POLICIES_FILE: Final = "TEXTMOD_CONSOLE_POLICIES_FILE"
CONSOLE_ENV_WEBHOOKS: Final = "TEXTMOD_CONSOLE_WEBHOOKS"
CONSOLE_ENV_WEBHOOKS_FOLDER: Final = "TEXTMOD_CONSOLE_WEBHOOKS_FOLDER"
CONSOLE_ENV_WEBHOOK_NETWORKS: Final = "TEXTMOD_CONSOLE_WEBHOOK_NETWORKS"
CONSOLE_ENV_DATA: Final = "TEXTMOD_CONSOLE_DATA"
CONSOLE_ENV_DATABASE_URL: Final = "TEXTMOD_CONSOLE_DATABASE_URL"
CONSOLE_ENV_AUTHENTICATION: Final = "TEXTMOD_CONSOLE_AUTHENTICATION"
CONSOLE_ENV_PROXY_SECRET: Final = "TEXTMOD_CONSOLE_PROXY_SECRET"  # noqa: S105 - a variable's name
CONSOLE_ENV_PROXY_USER_HEADER: Final = "TEXTMOD_CONSOLE_PROXY_USER_HEADER"
CONSOLE_ENV_PROXY_GROUPS_HEADER: Final = "TEXTMOD_CONSOLE_PROXY_GROUPS_HEADER"
CONSOLE_ENV_SESSION_KEY: Final = "TEXTMOD_CONSOLE_SESSION_KEY"
CONSOLE_ENV_PORT: Final = "TEXTMOD_CONSOLE_PORT"
CONSOLE_ENV_INTERNAL_PORT: Final = "TEXTMOD_CONSOLE_INTERNAL_PORT"


def child(tm: TextModeration) -> str:
    """Name of each object made for `tm`. It is no name that Seldon gives (Seldon deletes an HPA or
    a PodDisruptionBudget that is called like its Deployment)."""
    return tm.metadata.name


def seldon_workload(tm: TextModeration) -> str:
    """Name of the Deployment that Seldon's controller makes: object, predictor, index of the pod,
    containers."""
    return f"{child(tm)}-{PREDICTOR}-0-{CONTAINER}"


def policies_config_map(tm: TextModeration) -> str:
    """Name of the ConfigMap that hands the policies of `tm` to its pods."""
    return f"{tm.metadata.name}-policies"


def review_salt(tm: TextModeration) -> str:
    """What the random choice of texts to review is salted with: the same in every replica, and
    another for every object, so that two objects that read one input choose different texts."""
    return f"{tm.metadata.namespace}/{tm.metadata.name}"


def console(tm: TextModeration) -> str:
    """Name of each object made for the review console of `tm`."""
    return console_of(tm.metadata.name)


def console_of(name: str) -> str:
    """The same, of the TextModeration of this name."""
    return f"{name}-console"


def console_group(tm: TextModeration) -> str:
    """The console's consumer group. No name of an object has a dot, so no two share one."""
    return f"textmod.{tm.metadata.namespace}.{tm.metadata.name}.console"


def console_session_secret(tm: TextModeration) -> str:
    """Name of the Secret with the key of the console's sessions."""
    return f"{tm.metadata.name}-console-session"


def console_labels(tm: TextModeration) -> dict[str, str]:
    """Labels of the console's pods."""
    return {
        "app.kubernetes.io/name": "textmoderation-console",
        "app.kubernetes.io/instance": tm.metadata.name,
        MANAGED_BY_LABEL: MANAGED_BY,
        **console_pod_labels(tm),
    }


def console_pod_labels(tm: TextModeration) -> dict[str, str]:
    """Labels that the console's pods are selected by."""
    return {CONSOLE_LABEL: tm.metadata.name}


def labels(tm: TextModeration) -> dict[str, str]:
    """Labels of every object made for `tm` that goes with it."""
    return {"app.kubernetes.io/instance": tm.metadata.name, **labels_without_owner(tm)}


def labels_without_owner(tm: TextModeration) -> dict[str, str]:
    """Labels of what has no ownerReference, such as a KafkaTopic.

    Argo CD that tracks by label (its default before 3.0) takes what has the label
    app.kubernetes.io/instance and no owner for a part of the application of that name, and prunes
    it: the topic would be deleted.
    """
    return {
        "app.kubernetes.io/name": "textmoderation",
        MANAGED_BY_LABEL: MANAGED_BY,
        NAME_LABEL: tm.metadata.name,
    }


def pod_labels(tm: TextModeration) -> dict[str, str]:
    """Labels that the model pods are selected by."""
    return {NAME_LABEL: tm.metadata.name}


def kafka_topic(topic: str) -> str:
    """Name of the KafkaTopic of a topic: the topic's own where Kubernetes allows it, else one
    derived from it, with a digest. (Kafka allows capitals and underscores.)"""
    if _OBJECT_NAME.fullmatch(topic):
        return topic
    readable = re.sub(r"[^a-z0-9.]+", "-", topic.lower())[:200]
    readable = re.sub(r"[-.]*[.][-.]*", ".", readable).strip("-.")
    digest = hashlib.sha256(topic.encode()).hexdigest()[:10]
    return f"{readable}-{digest}" if readable else f"topic-{digest}"


def selector(tm: TextModeration) -> str:
    """`status.selector`: the pods that the autoscaler counts."""
    return ",".join(f"{key}={value}" for key, value in pod_labels(tm).items())


def consumer_group(tm: TextModeration) -> str:
    """The group that reads the input: ours, or the one that Seldon's executor forms."""
    if tm.spec.serving.streaming == "SeldonExecutor":
        return executor_group(tm)
    return native_group(tm)


def native_group(tm: TextModeration) -> str:
    """The group that the model pods form when they read themselves."""
    return f"textmod.{tm.metadata.namespace}.{tm.metadata.name}"


def executor_group(tm: TextModeration) -> str:
    """The group that Seldon's executor forms; nobody can give it another name."""
    return f"{PREDICTOR}.{tm.metadata.name}.{tm.metadata.namespace}"


def endpoint(tm: TextModeration) -> str:
    """URL for synchronous predictions inside the cluster."""
    service = tm.metadata.name
    if tm.spec.serving.platform == "Seldon":
        service = f"{service}-{PREDICTOR}-{CONTAINER}"
    host = f"{service}.{tm.metadata.namespace}.svc"
    if tm.spec.serving.protocol == "Grpc":
        return f"grpc://{host}:{GRPC_PORT}"
    return f"http://{host}:{HTTP_PORT}/api/v1.0/predictions"
