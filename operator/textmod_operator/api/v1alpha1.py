"""textmoderation.dev/v1alpha1: the TextModeration object.

Each part of the spec has a file beside this one; here they are put together, with the rules that
concern more than one part. These models are the single source of the CRD's schema (`crd.py` renders
it). Every field has a description with its unit and default, because `kubectl explain` is the
reference that users read.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from textmod_operator.api.autoscaling import Autoscaling
from textmod_operator.api.fields import UNIQUE_NAMES
from textmod_operator.api.kafka import Kafka
from textmod_operator.api.message import FORMATS_OF_A_REGISTRY, Message
from textmod_operator.api.model import Model
from textmod_operator.api.policies import MOST_POLICIES, Explanation, Policy
from textmod_operator.api.review import Review
from textmod_operator.api.rules import Rule, Strict, part
from textmod_operator.api.serving import Serving
from textmod_operator.api.topics import Topics
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


def _has_the_registry_it_needs(spec: Spec) -> bool:
    asked = (spec.message.format, spec.message.output_format)
    return spec.kafka.schema_registry is not None or not set(asked) & set(FORMATS_OF_A_REGISTRY)


def _partitions_only_grow(path: str) -> str:
    """CEL: the partitions at `path`, below `review`, which may come and go, never shrink."""
    now, before = f"self.{path}.partitions", f"oldSelf.{path}.partitions"
    both = f"has(oldSelf.review) && has(self.review) && has({before}) && has({now})"
    return f"!({both}) || {now} >= {before}"


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
            f"{_NOT_ON_THE_EXECUTOR} || !has(self.kafka.sasl) || has(self.kafka.sasl.secretRef)",
            "serving.streaming SeldonExecutor with kafka.sasl needs PLAIN or SCRAM: Seldon's "
            "executor knows a user name and a password only; use Native otherwise",
            lambda spec: (
                spec.serving.streaming != "SeldonExecutor"
                or spec.kafka.sasl is None
                or spec.kafka.sasl.secret_ref is not None
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
            f"{_NOT_ON_THE_EXECUTOR} || !has(self.policies) || size(self.policies) == 0",
            "policies need serving.streaming Native: Seldon's executor writes the answers of the "
            "model, which decides nothing there",
            lambda spec: spec.serving.streaming != "SeldonExecutor" or not spec.policies,
        ),
        Rule(
            None,  # the list's type says it to the API server
            "policies must name every policy once",
            lambda spec: len({policy.name for policy in spec.policies}) == len(spec.policies),
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
        Rule(
            f"{_NOT_ON_THE_EXECUTOR} || !has(self.review)",
            "review needs serving.streaming Native: Seldon's executor writes no review requests",
            lambda spec: spec.serving.streaming != "SeldonExecutor" or spec.review is None,
        ),
        Rule(
            _partitions_only_grow("review.topics.review"),
            "review.topics.review.partitions can grow but not shrink: Kafka can't remove "
            "partitions",
        ),
        Rule(
            _partitions_only_grow("review.topics.feedback"),
            "review.topics.feedback.partitions can grow but not shrink: Kafka can't remove "
            "partitions",
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
    policies: list[Policy] = Field(
        default_factory=list,
        max_length=MOST_POLICIES,
        description="What is done with a text by its scores. The strictest action of all policies "
        "counts: Remove, then Review with hold, then Review, then Allow. Native streaming only. "
        "Default: none, and verdicts hold scores alone.",
        json_schema_extra=UNIQUE_NAMES,
    )
    explanation: Explanation = part(
        Explanation(), "Which verdicts say why, and how. Only with policies."
    )
    review: Review | None = Field(
        default=None,
        description="Which texts people review, in which console, and how precision and recall "
        "are measured by their decisions; an empty object ({}) is the defaults. Native streaming "
        "only. Default: no review.",
    )


def _topic_cel(role: str, suffix: str, root: str = "self") -> str:
    field = f"{root}.spec.topics.{role}.name"
    return f"(has({field}) ? {field} : self.metadata.name + '-{suffix}')"


_NAME_PATTERN = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
_INPUT = _topic_cel("input", "input")
_OUTPUT = _topic_cel("output", "output")
_DEAD = _topic_cel("deadLetter", "dead-letter")
_REVIEW = _topic_cel("review", "review").replace(".topics.", ".review.topics.")
_FEEDBACK = _topic_cel("feedback", "feedback").replace(".topics.", ".review.topics.")
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
        f"!has(self.spec.review) || ({_REVIEW} != {_FEEDBACK} && "
        f"!([{_INPUT}, {_OUTPUT}, {_DEAD}].exists(name, name == {_REVIEW} || "
        f"name == {_FEEDBACK})))",
        "review.topics.review and review.topics.feedback must be two topics of their own, not "
        "each other and none of topics: a text to review would be read as something else",
        lambda tm: tm.spec.review is None or len(tm.topic_names) == 5,
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
    labels: dict[str, str] = Field(default_factory=dict)
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
    def review_topic(self) -> str:
        """Where review requests are written; means something only with `spec.review`."""
        named = self.spec.review.topics.review.name if self.spec.review else None
        return named or f"{self.metadata.name}-review"

    @property
    def feedback_topic(self) -> str:
        """Where decisions are written; means something only with `spec.review`."""
        named = self.spec.review.topics.feedback.name if self.spec.review else None
        return named or f"{self.metadata.name}-feedback"

    @property
    def topic_names(self) -> frozenset[str]:
        """The topics of this object, whatever their role."""
        names = {self.input_topic, self.output_topic, self.dead_letter_topic}
        if self.spec.review is not None:
            names |= {self.review_topic, self.feedback_topic}
        return frozenset(names)

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
    def parse(cls, body: dict[str, Any], *, strict: bool = False) -> TextModeration:
        """Read an object as the API server holds it.

        Args:
            body: the object.
            strict: refuse values of another type, such as "12" for a number, as the API server
                does: for objects that it has not seen yet.

        Raises:
            NotAccepted: InvalidSpec, with one sentence per field that is wrong.
        """
        try:
            spec = _without_nulls(body.get("spec") or {})
            read = {"metadata": body["metadata"], "spec": spec}
            if strict:  # by way of JSON: its lists are tuples here
                return cls.model_validate_json(json.dumps(read), strict=True)
            return cls.model_validate(read)
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
