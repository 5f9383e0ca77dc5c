"""textmoderation.dev/v1alpha1: the TextModeration object.

These models are the single source of the CRD's schema (`crd.py` renders it). Every field has a
description with its unit and default, because `kubectl explain` is the reference that users read.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from textmod_operator.api.behavior import Behavior
from textmod_operator.api.quantity import Quantity
from textmod_operator.api.rules import Rule, Strict, part
from textmod_operator.errors import NotAccepted

GROUP = "textmoderation.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TextModeration"
PLURAL = "textmoderations"
SINGULAR = "textmoderation"
SHORT_NAME = "tm"

# Seldon calls its Deployment <name>-default-0-classifier; a label value has at most 63 characters.
MAX_NAME_LENGTH = 42

TopicName = Annotated[
    str,
    Field(min_length=1, max_length=249, pattern=r"^[a-zA-Z0-9._-]*[a-zA-Z0-9_-][a-zA-Z0-9._-]*$"),
]
"""A legal Kafka topic name: at most 249 of a-z A-Z 0-9 . _ - and not `.` or `..`."""
ObjectName = Annotated[str, Field(min_length=1, max_length=253)]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
FreeForm = Annotated[dict[str, Any], Field(json_schema_extra={"x-preserve": True})]
"""A part of another API's schema that is passed through unread."""
UNIQUE_NAMES: dict[str, Any] = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}
"""The API server refuses a list in which two entries have the same name."""
_PORT = r"(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_SERVER = rf"([A-Z_]+://)?(\[[0-9a-fA-F:.]+\]|[^\s,:/\[\]]+)(:{_PORT})?"


class CaSecretRef(Strict):
    name: ObjectName = Field(description="Name of a Secret in the object's own namespace.")
    key: SecretKey = Field(
        default="ca.crt", description="Key of the CA certificates (PEM). Default: ca.crt."
    )


class CertificateSecretRef(Strict):
    name: ObjectName = Field(description="Name of a Secret in the object's own namespace.")
    cert_key: SecretKey = Field(
        default="tls.crt", description="Key of the client certificate (PEM). Default: tls.crt."
    )
    key_key: SecretKey = Field(
        default="tls.key", description="Key of the client's private key (PEM). Default: tls.key."
    )


class Tls(Strict):
    """TLS to the brokers."""

    ca_secret_ref: CaSecretRef | None = Field(
        default=None,
        description="The CA that signed the brokers' certificates. Default: the CAs that the "
        "images trust.",
    )
    certificate_secret_ref: CertificateSecretRef | None = Field(
        default=None,
        description="The client certificate, for brokers that want mutual TLS. Default: none.",
    )


class SaslSecretRef(Strict):
    name: ObjectName = Field(description="Name of a Secret in the object's own namespace.")
    username_key: SecretKey = Field(
        default="username", description="Key of the user name. Default: username."
    )
    password_key: SecretKey = Field(
        default="password", description="Key of the password. Default: password."
    )


class Sasl(Strict):
    """SASL authentication to the brokers."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."
    )
    secret_ref: SaslSecretRef = Field(description="The Secret that holds user name and password.")


class SchemaRegistry(Strict):
    """A schema registry with Confluent's API."""

    url: str = Field(
        min_length=1,
        max_length=2048,
        pattern=r"^https?://[^\s@]+$",
        description="Address of the registry, such as https://registry:8081, several separated by "
        "commas; without credentials. Required, so without a default.",
    )
    secret_ref: SaslSecretRef | None = Field(
        default=None,
        description="The Secret that holds user name and password of the registry. Default: none.",
    )
    ca_secret_ref: CaSecretRef | None = Field(
        default=None,
        description="The CA that signed the registry's certificate. Default: the CAs that the "
        "image trusts.",
    )


class Kafka(Strict):
    """How the operator and the model pods reach Kafka."""

    bootstrap_servers: str = Field(
        min_length=1,
        max_length=2048,
        pattern=rf"^{_SERVER}(,{_SERVER})*$",
        description="Brokers to start from: host:port, several separated by commas; a port is a "
        "number from 1 to 65535, and 9092 where it is left out.",
    )
    tls: Tls | None = Field(
        default=None,
        description="TLS to the brokers; an empty object ({}) is TLS with the "
        "images' own CAs. Default: no TLS.",
    )
    sasl: Sasl | None = Field(default=None, description="SASL to the brokers. Default: no SASL.")
    schema_registry: SchemaRegistry | None = Field(
        default=None,
        description="The schema registry of the topics' values; the model pods ask it. Default: "
        "none.",
    )


class DataTopic(Strict):
    """The input or the output topic."""

    name: TopicName | None = Field(
        default=None,
        description="Name of the topic. Default: the name of this object, with -input or -output.",
    )
    partitions: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Number of partitions; may grow and never shrinks. It bounds the replicas that "
        "can share the work. Default: 12 for the input, the input's number for the output.",
    )
    replication_factor: int | None = Field(
        default=None,
        ge=1,
        le=32767,
        description="Copies of each partition. Given to the topics that the operator creates; a "
        "topic that has another number is told as ConfigDrift and left as it is. Default: the "
        "brokers' own default.replication.factor, and any number is fine.",
    )
    config: dict[str, str] = Field(
        default_factory=dict,
        description="Topic settings (such as retention.ms) that are kept at these values, as "
        "strings; settings not named here are left alone. Default: none.",
        json_schema_extra={"maxProperties": 64},
    )


class DeadLetterTopic(DataTopic):
    """The topic of messages that can't be scored."""

    rules = (
        Rule(
            "!has(self.config) || !('cleanup.policy' in self.config) || "
            "!self.config['cleanup.policy'].contains('compact')",
            "topics.deadLetter.config must not set cleanup.policy to compact: a compacted topic "
            "takes no message without a key, and would lose all but one of each key",
            lambda topic: "compact" not in topic.config.get("cleanup.policy", ""),
        ),
    )

    name: TopicName | None = Field(
        default=None,
        description="Name of the topic. Default: the name of this object, with -dead-letter.",
    )
    partitions: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Number of partitions; may grow and never shrinks. Default: 1.",
    )


class Topics(Strict):
    """The three topics of the stream."""

    input: DataTopic = part(DataTopic(), "Texts to score are read from here.")
    output: DataTopic = part(DataTopic(), "Verdicts are written here.")
    dead_letter: DeadLetterTopic = part(
        DeadLetterTopic(),
        "Messages that can't be scored are written here, unchanged, with the reason "
        "in their headers.",
    )
    management: Literal["Managed", "Existing"] = Field(
        default="Managed",
        description="Managed: the operator creates the topics, grows them and keeps the named "
        "config. Existing: it only checks that they are as asked. Default: Managed.",
    )
    deletion_policy: Literal["Retain", "Delete"] = Field(
        default="Retain",
        description="What happens to topics that the operator created when this object is "
        "deleted. Delete holds the object until they are gone; setting it back to Retain lets go. "
        "Default: Retain.",
    )


class Message(Strict):
    """How texts stand in the input and verdicts in the output."""

    format: Literal["Auto", "Seldon", "Json", "Text", "SchemaRegistry"] = Field(
        default="Auto",
        description="Format of the input messages. Seldon: the v1 protocol's JSON. Json: an "
        "object that holds the text at textField. Text: the whole value is the text (UTF-8). "
        "SchemaRegistry: Avro, Protobuf or JSON Schema, framed as Confluent's serializers do; "
        "needs kafka.schemaRegistry. Auto: detected for each message. Default: Auto.",
    )
    text_field: str = Field(
        default="body",
        min_length=1,
        max_length=253,
        description="Json and SchemaRegistry: the dotted path of the text, such as post.body. "
        "Default: body.",
    )
    output_format: Literal["Seldon", "Verdict", "Avro", "JsonSchema"] = Field(
        default="Seldon",
        description="Seldon: data.names and data.ndarray, as the v1 protocol answers. Verdict: one "
        "flat JSON object with label, score, flagged and threshold. Avro, JsonSchema: the same, "
        "framed for kafka.schemaRegistry, where its schema is registered for the output topic. "
        "Default: Seldon.",
    )
    tombstones: Literal["DeadLetter", "Forward"] = Field(
        default="DeadLetter",
        description="What happens to a message without a value. DeadLetter: it goes to the "
        "dead-letter topic. Forward: a message without a value and with the same key is written to "
        "the output, so that it erases the verdict of a compacted topic. Native streaming only. "
        "Default: DeadLetter.",
    )


class Parameter(Strict):
    """One parameter of the model."""

    name: str = Field(min_length=1, max_length=253, description="Name of the parameter.")
    value: str = Field(max_length=4096, description="Its value, as a string.")
    type: Literal["INT", "FLOAT", "DOUBLE", "STRING", "BOOL"] = Field(
        default="STRING", description="Type that the value is read as. Default: STRING."
    )


class Resources(Strict):
    """Compute resources of one container."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict,
        description="What is set aside for the container, by resource, such as cpu: 500m. Default: "
        "none, where resources is given.",
        json_schema_extra={"maxProperties": 16},
    )
    limits: dict[str, Quantity] = Field(
        default_factory=dict,
        description="What the container can use at most, by resource, such as memory: 512Mi. "
        "Default: none, where resources is given.",
        json_schema_extra={"maxProperties": 16},
    )


class EnvVar(Strict):
    name: str = Field(min_length=1, max_length=253, description="Name of the variable.")
    value: str | None = Field(
        default=None, max_length=32768, description="Its value. Default: empty."
    )
    value_from: FreeForm | None = Field(
        default=None, description="Where the value is read from, as in a Pod. Default: nowhere."
    )


class LocalObjectReference(Strict):
    name: ObjectName = Field(description="Name of an object in the same namespace.")


def _once(entries: list[Any]) -> bool:
    return len({entry.name for entry in entries}) == len(entries)


RESERVED_ENV_PREFIXES = ("TEXTMOD_", "PREDICTIVE_UNIT_")


class Model(Strict):
    """The packaged model and its pods."""

    rules = (
        Rule(
            "!has(self.env) || self.env.all(e, !e.name.startsWith('TEXTMOD_') && "
            "!e.name.startsWith('PREDICTIVE_UNIT_'))",
            "model.env must not set TEXTMOD_* or PREDICTIVE_UNIT_*: the operator and Seldon set "
            "those from the rest of the spec",
            lambda model: all(
                not entry.name.startswith(RESERVED_ENV_PREFIXES) for entry in model.env
            ),
        ),
        Rule(
            None,  # the list's type says it to the API server
            "model.env and model.imagePullSecrets must name every entry once",
            lambda model: _once(model.env) and _once(model.image_pull_secrets),
        ),
    )

    image: str = Field(
        min_length=1,
        max_length=1024,
        pattern=r"^\S+$",
        description="The packaged model's image, such as textmoderation/nlp-model:0.1.0.",
    )
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        max_length=71,
        description="Digest of the model artifact inside the image; an image that holds another "
        "never serves. Default: any.",
    )
    parameters: list[Parameter] = Field(
        default_factory=list,
        max_length=64,
        description="Parameters handed to the model, as in Seldon's graph. The project's own image "
        "knows one, threshold, which model.threshold outdoes. Default: none.",
    )
    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Score from which a text counts as flagged, from 0 to 1. Default: the "
        "artifact's own operating point.",
    )
    resources: Resources = part(
        Resources(requests={"cpu": "500m", "memory": "256Mi"}, limits={"memory": "512Mi"}),
        "Requests and limits of the model container, as in a Pod. Default: requests "
        "of 500m CPU and 256Mi memory, a limit of 512Mi memory.",
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=64,
        description="More environment variables of the model container, as in a Pod. Default: "
        "none.",
        json_schema_extra=UNIQUE_NAMES,
    )
    image_pull_secrets: list[LocalObjectReference] = Field(
        default_factory=list,
        max_length=16,
        description="Secrets to pull the image with, as in a Pod. Default: none.",
        json_schema_extra=UNIQUE_NAMES,
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict,
        description="Labels that a node must have, as in a Pod. Default: any node.",
        json_schema_extra={"maxProperties": 64},
    )
    tolerations: list[FreeForm] = Field(
        default_factory=list,
        max_length=64,
        description="Taints that the pods tolerate, as in a Pod. Default: none.",
    )
    affinity: FreeForm = Field(
        default_factory=dict, description="Affinity of the pods, as in a Pod. Default: none."
    )
    pod_annotations: dict[str, str] = Field(
        default_factory=dict,
        description="More annotations of the pods. Default: none.",
        json_schema_extra={"maxProperties": 64},
    )


class Batch(Strict):
    """Micro-batches of Native streaming."""

    max_messages: int = Field(
        default=256, ge=1, le=10000, description="Most messages scored at once. Default: 256."
    )
    max_wait_milliseconds: int = Field(
        default=20,
        ge=0,
        le=10000,
        description="Longest that a message waits for others, in milliseconds. Default: 20.",
    )


class Serving(Strict):
    """How the model is run."""

    rules = (
        Rule(
            "self.delivery != 'ExactlyOnce' || self.streaming == 'Native'",
            "serving.delivery ExactlyOnce needs serving.streaming Native: Seldon's executor has no "
            "transactions",
            lambda serving: serving.delivery != "ExactlyOnce" or serving.streaming == "Native",
        ),
        Rule(
            "self.streaming != 'SeldonExecutor' || self.platform == 'Seldon'",
            "serving.streaming SeldonExecutor needs serving.platform Seldon: without Seldon Core "
            "there is no executor",
            lambda serving: serving.streaming != "SeldonExecutor" or serving.platform == "Seldon",
        ),
    )

    platform: Literal["Seldon", "Deployment"] = Field(
        default="Seldon",
        description="Seldon: a SeldonDeployment. Deployment: a plain Deployment and Service, for "
        "clusters without Seldon Core. Default: Seldon.",
    )
    streaming: Literal["Native", "SeldonExecutor"] = Field(
        default="Native",
        description="Native: the model image reads Kafka itself, in micro-batches, and loses "
        "nothing. SeldonExecutor: Seldon's executor pumps each message over REST or gRPC, and "
        "drops what fails. Default: Native.",
    )
    protocol: Literal["Rest", "Grpc"] = Field(
        default="Rest", description="Protocol of synchronous calls. Default: Rest."
    )
    delivery: Literal["AtLeastOnce", "ExactlyOnce"] = Field(
        default="AtLeastOnce",
        description="AtLeastOnce: a crash may repeat verdicts. ExactlyOnce: verdicts and offsets "
        "in one Kafka transaction (Native only). Default: AtLeastOnce.",
    )
    batch: Batch = part(Batch(), "Micro-batches of Native streaming.")


class LagTarget(Strict):
    """Exactly one of the two."""

    rules = (
        Rule(
            "has(self.maxSecondsBehind) != has(self.messagesPerReplica)",
            "autoscaling.lag needs exactly one of maxSecondsBehind and messagesPerReplica",
            lambda lag: (lag.max_seconds_behind is None) != (lag.messages_per_replica is None),
        ),
    )

    max_seconds_behind: int | None = Field(
        default=None,
        ge=1,
        le=86400,
        description="The promise: the oldest unread message is at most this many seconds old. "
        "Default: 30, when lag is left out.",
    )
    messages_per_replica: int | None = Field(
        default=None,
        ge=1,
        le=1000000000,
        description="The simple threshold instead: one replica for every so many unread messages. "
        "Default: none.",
    )


class CpuTarget(Strict):
    average_utilization: int = Field(
        ge=1,
        le=1000,
        description="Average CPU of the model containers to scale for, in percent of "
        "model.resources.requests.cpu. Required, so without a default.",
    )


class Autoscaling(Strict):
    """How many replicas run."""

    rules = (
        Rule(
            "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            "autoscaling.minReplicas must be at most autoscaling.maxReplicas",
            lambda scaling: (
                scaling.max_replicas is None or scaling.min_replicas <= scaling.max_replicas
            ),
        ),
        Rule(
            "self.minReplicas > 0 || self.metricsProvider == 'Builtin'",
            "autoscaling.minReplicas 0 needs autoscaling.metricsProvider Builtin: only the "
            "operator itself sees the first message that waits for no replica",
            lambda scaling: scaling.min_replicas > 0 or scaling.metrics_provider == "Builtin",
        ),
    )

    min_replicas: int = Field(
        default=1,
        ge=0,
        le=10000,
        description="Fewest replicas; 0 scales to zero when the input is idle. Default: 1.",
    )
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Most replicas, at most the input's partitions. Default: the input's "
        "partitions.",
    )
    lag: LagTarget = part(
        LagTarget(max_seconds_behind=30),
        "What scaling on consumer lag aims at: exactly one of a promise in seconds and a threshold "
        "in messages. Default: maxSecondsBehind 30.",
    )
    cpu: CpuTarget | None = Field(
        default=None,
        description="Also scale on the CPU of the model containers; the larger of the two numbers "
        "of replicas counts. Needs metrics-server. Default: on lag alone.",
    )
    metrics_provider: Literal["Builtin", "Keda", "None"] = Field(
        default="Builtin",
        description="Who carries the lag to the autoscaler. Builtin: the operator's own "
        "external.metrics.k8s.io. Keda: a ScaledObject, for clusters where KEDA serves that API "
        "and ours can't be. None: no scaling on lag. Default: Builtin.",
    )
    behavior: Behavior = part(
        Behavior(),
        "behavior of the HorizontalPodAutoscaler (autoscaling/v2). Default: the operator's law "
        "decides and the autoscaler follows at once.",
    )


DEFAULT_PARTITIONS = 12
"""Partitions of an input topic whose object names no number."""


def _input_partitions(spec: Spec) -> int:
    return spec.topics.input.partitions or DEFAULT_PARTITIONS


_INPUT_PARTITIONS_CEL = (
    f"(has(self.topics.input.partitions) ? self.topics.input.partitions : {DEFAULT_PARTITIONS})"
)


_NOT_ON_THE_EXECUTOR = "self.serving.streaming != 'SeldonExecutor'"


def _executor_has_both_or_no_certificates(spec: Spec) -> bool:
    tls = spec.kafka.tls
    if spec.serving.streaming != "SeldonExecutor" or tls is None:
        return True
    return (tls.ca_secret_ref is None) == (tls.certificate_secret_ref is None)


FORMATS_OF_A_REGISTRY = ("SchemaRegistry", "Avro", "JsonSchema")


def _has_the_registry_it_needs(spec: Spec) -> bool:
    asked = (spec.message.format, spec.message.output_format)
    return spec.kafka.schema_registry is not None or not set(asked) & set(FORMATS_OF_A_REGISTRY)


def _requests_cpu(spec: Spec) -> bool:
    resources = spec.model.resources
    return "cpu" in resources.requests or "cpu" in resources.limits


class Spec(Strict):
    """What is asked for."""

    rules = (
        Rule(
            f"!has(self.autoscaling.maxReplicas) || self.autoscaling.maxReplicas <= "
            f"{_INPUT_PARTITIONS_CEL}",
            "autoscaling.maxReplicas must be at most topics.input.partitions: a replica more than "
            "partitions would have nothing to read",
            lambda spec: (
                spec.autoscaling.max_replicas is None
                or spec.autoscaling.max_replicas <= _input_partitions(spec)
            ),
        ),
        Rule(
            f"self.autoscaling.minReplicas <= {_INPUT_PARTITIONS_CEL}",
            "autoscaling.minReplicas must be at most topics.input.partitions: a replica more than "
            "partitions would have nothing to read",
            lambda spec: spec.autoscaling.min_replicas <= _input_partitions(spec),
        ),
        Rule(
            None,  # CEL does not see a map of values that may be strings or fractions
            "autoscaling.cpu needs model.resources.requests.cpu: utilization is a percentage of "
            "the request",
            lambda spec: spec.autoscaling.cpu is None or _requests_cpu(spec),
        ),
        Rule(
            f"{_NOT_ON_THE_EXECUTOR} || !has(self.kafka.sasl) || has(self.kafka.tls)",
            "serving.streaming SeldonExecutor with kafka.sasl needs kafka.tls: Seldon's executor "
            "knows SASL only over TLS; use Native otherwise",
            lambda spec: (
                spec.serving.streaming != "SeldonExecutor"
                or spec.kafka.sasl is None
                or spec.kafka.tls is not None
            ),
        ),
        Rule(
            f"{_NOT_ON_THE_EXECUTOR} || !has(self.kafka.tls) || "
            "has(self.kafka.tls.caSecretRef) == has(self.kafka.tls.certificateSecretRef)",
            "serving.streaming SeldonExecutor needs both of kafka.tls.caSecretRef and "
            "kafka.tls.certificateSecretRef, or neither: Seldon's executor ignores one without the "
            "other; use Native otherwise",
            _executor_has_both_or_no_certificates,
        ),
        Rule(
            "has(self.kafka.schemaRegistry) || (self.message.format != 'SchemaRegistry' && "
            "!(self.message.outputFormat in ['Avro', 'JsonSchema']))",
            "message.format SchemaRegistry and message.outputFormat Avro or JsonSchema need "
            "kafka.schemaRegistry: their schemas are there",
            _has_the_registry_it_needs,
        ),
        Rule(
            "!has(oldSelf.topics.input.partitions) || (has(self.topics.input.partitions) ? "
            f"self.topics.input.partitions : {DEFAULT_PARTITIONS}) >= "
            "oldSelf.topics.input.partitions",
            "topics.input.partitions can grow but not shrink: Kafka can't remove partitions",
        ),
        Rule(
            "!has(oldSelf.topics.output.partitions) || !has(self.topics.output.partitions) || "
            "self.topics.output.partitions >= oldSelf.topics.output.partitions",
            "topics.output.partitions can grow but not shrink: Kafka can't remove partitions",
        ),
        Rule(
            "!has(oldSelf.topics.deadLetter.partitions) || "
            "!has(self.topics.deadLetter.partitions) || "
            "self.topics.deadLetter.partitions >= oldSelf.topics.deadLetter.partitions",
            "topics.deadLetter.partitions can grow but not shrink: Kafka can't remove partitions",
        ),
    )

    replicas: int = Field(
        default=1,
        ge=0,
        le=10000,
        description="Replicas right now. The autoscaler owns it through /scale; leave it out. "
        "Default: 1 until the autoscaler speaks.",
    )
    kafka: Kafka = Field(description="How the operator and the model pods reach Kafka.")
    topics: Topics = part(Topics(), "The three topics of the stream.")
    message: Message = part(Message(), "How texts stand in the input and verdicts in the output.")
    model: Model = Field(description="The packaged model and its pods.")
    serving: Serving = part(Serving(), "How the model is run.")
    autoscaling: Autoscaling = part(Autoscaling(), "How many replicas run.")


def _topic_cel(role: str, suffix: str, root: str = "self") -> str:
    field = f"{root}.spec.topics.{role}.name"
    return f"(has({field}) ? {field} : self.metadata.name + '-{suffix}')"


_NAME_PATTERN = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
_INPUT = _topic_cel("input", "input")
_OUTPUT = _topic_cel("output", "output")
_DEAD = _topic_cel("deadLetter", "dead-letter")
_ALL_READ = "(has(oldSelf.status) && has(oldSelf.status.lag) && oldSelf.status.lag.messages == 0)"
_NEVER_RAN = (
    "(!has(oldSelf.status) || !has(oldSelf.status.topics) || "
    "oldSelf.status.topics.all(topic, topic.partitions == 0))"
)

ROOT_RULES = (
    Rule(
        f"size(self.metadata.name) <= {MAX_NAME_LENGTH} && "
        f"self.metadata.name.matches('{_NAME_PATTERN}')",
        f"metadata.name must be at most {MAX_NAME_LENGTH} of a-z, 0-9 and -, and start with a "
        "letter: Services and Seldon's Deployment are named after it",
        lambda tm: (
            len(tm.metadata.name) <= MAX_NAME_LENGTH
            and re.search(_NAME_PATTERN, tm.metadata.name) is not None
        ),
    ),
    Rule(
        f"{_INPUT} != {_OUTPUT} && {_INPUT} != {_DEAD} && {_OUTPUT} != {_DEAD}",
        "topics.input, topics.output and topics.deadLetter must be three different topics: a "
        "verdict that is read back as a text would go round for ever",
        lambda tm: len({tm.input_topic, tm.output_topic, tm.dead_letter_topic}) == 3,
    ),
    Rule(
        f"{_INPUT} == {_topic_cel('input', 'input', 'oldSelf')} || {_NEVER_RAN} || {_ALL_READ}",
        "topics.input.name can change only while status.lag.messages is 0: what waits in the old "
        "topic would never be scored",
    ),
    Rule(
        f"self.spec.kafka.bootstrapServers == oldSelf.spec.kafka.bootstrapServers || {_NEVER_RAN} "
        f"|| {_ALL_READ}",
        "kafka.bootstrapServers can change only while status.lag.messages is 0: what waits in the "
        "old cluster would never be scored",
    ),
)
"""Rules over the whole object: they need metadata.name or status."""


class Metadata(Strict):
    """The part of the object's metadata that the operator reads."""

    model_config = ConfigDict(extra="ignore")

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)


class TextModeration(Strict):
    """One moderation stream: topics, a model that scores them, and its autoscaler."""

    rules = ROOT_RULES

    metadata: Metadata
    spec: Spec

    @property
    def input_topic(self) -> str:
        return self.spec.topics.input.name or f"{self.metadata.name}-input"

    @property
    def output_topic(self) -> str:
        return self.spec.topics.output.name or f"{self.metadata.name}-output"

    @property
    def dead_letter_topic(self) -> str:
        return self.spec.topics.dead_letter.name or f"{self.metadata.name}-dead-letter"

    @property
    def input_partitions(self) -> int:
        return _input_partitions(self.spec)

    @property
    def max_replicas(self) -> int:
        return self.spec.autoscaling.max_replicas or self.input_partitions

    @property
    def autoscaled(self) -> bool:
        """Whether an autoscaler owns the number of replicas."""
        scaling = self.spec.autoscaling
        return scaling.metrics_provider != "None" or scaling.cpu is not None

    @property
    def replicas(self) -> int:
        """Replicas asked for right now: what `kubectl scale` or the autoscaler set, within the
        autoscaler's bounds already before it acts."""
        asked = self.spec.replicas
        if not self.autoscaled:
            return asked
        return min(max(asked, self.spec.autoscaling.min_replicas), self.max_replicas)

    @classmethod
    def parse(cls, body: dict[str, Any]) -> TextModeration:
        """Reads an object as the API server or a file holds it.

        Raises:
            NotAccepted: InvalidSpec, with one sentence per field that is wrong.
        """
        try:
            spec = _without_nulls(body.get("spec") or {})
            return cls.model_validate({"metadata": body["metadata"], "spec": spec})
        except ValidationError as error:
            sentences = "; ".join(
                ": ".join(
                    filter(
                        None,
                        (
                            ".".join(str(part) for part in detail["loc"]),
                            detail["msg"].removeprefix("Value error, "),
                        ),
                    )
                )
                for detail in error.errors(include_url=False)
            )
            raise NotAccepted("InvalidSpec", sentences, retry=False) from error


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A field that is null counts as left out, as everywhere in Kubernetes."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
