"""`spec.review`: the texts that people look at, where they do so, and what is measured by it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from textmod_operator.api.fields import (
    UNIQUE_NAMES,
    ImageName,
    ObjectName,
    SecretKey,
    SecretRef,
)
from textmod_operator.api.model import Resources
from textmod_operator.api.quantity import Quantity
from textmod_operator.api.rules import Rule, Strict, part
from textmod_operator.api.topics import DataTopic, TopicName


class ReviewTopic(DataTopic):
    """The topic of review requests: the one place where the texts to review are kept."""

    name: TopicName | None = Field(
        default=None,
        description="Name of the topic. Default: the name of this object, with -review.",
    )
    partitions: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Number of partitions; may grow and never shrinks. Default: the input's "
        "number.",
    )
    config: dict[str, str] = Field(
        default_factory=dict,
        description="Topic settings that are kept at these values, as strings; settings not named "
        "here are left alone. retention.ms is how long the texts can be read: the operator "
        "creates the topic with 2592000000 (30 days). Default: none.",
        json_schema_extra={"maxProperties": 64},
    )


class FeedbackTopic(DataTopic):
    """The topic of decisions and appeals: the record from which the console is rebuilt."""

    rules = (
        Rule(
            "!has(self.config) || !('cleanup.policy' in self.config) || "
            "!self.config['cleanup.policy'].contains('compact')",
            "review.topics.feedback.config must not set cleanup.policy to compact: a compacted "
            "topic keeps one decision for each text and loses the decisions before it",
            lambda topic: "compact" not in topic.config.get("cleanup.policy", ""),
        ),
    )

    name: TopicName | None = Field(
        default=None,
        description="Name of the topic. Default: the name of this object, with -feedback.",
    )
    partitions: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Number of partitions; may grow and never shrinks. Default: 1.",
    )
    config: dict[str, str] = Field(
        default_factory=dict,
        description="Topic settings that are kept at these values, as strings; settings not named "
        "here are left alone. The operator creates the topic with retention.ms -1: decisions are "
        "kept for ever. Default: none.",
        json_schema_extra={"maxProperties": 64},
    )


class ReviewTopics(Strict):
    """The two topics of review; topics.management and topics.deletionPolicy apply to them too."""

    review: ReviewTopic = part(
        ReviewTopic(), "Texts to review are written here by the model pods, with the reasons."
    )
    feedback: FeedbackTopic = part(
        FeedbackTopic(), "Decisions and appeals are written here by the console, without texts."
    )


class Storage(Strict):
    """The volume of a console without a database of its own."""

    size: Quantity = Field(
        default="1Gi",
        description="Size of the volume, as in a PersistentVolumeClaim. Default: 1Gi.",
    )
    storage_class_name: ObjectName | None = Field(
        default=None,
        description="StorageClass of the volume. Default: the cluster's own default.",
    )


class Ingress(Strict):
    """How the console is reached from outside the cluster."""

    host: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]+((-+|[.])[a-z0-9]+)*$",
        description="Host name, such as review.example.com. Required, so without a default.",
    )
    class_name: ObjectName | None = Field(
        default=None,
        description="IngressClass. Default: the cluster's own default.",
    )
    tls_secret_name: ObjectName | None = Field(
        default=None,
        description="Secret with the certificate of the host (kubernetes.io/tls), in the object's "
        "own namespace. Default: none; TLS is then terminated elsewhere, if at all.",
    )
    annotations: dict[str, str] = Field(
        default_factory=dict,
        description="Annotations of the Ingress. Default: none.",
        json_schema_extra={"maxProperties": 64},
    )


class DatabaseSecretRef(SecretRef):
    key: SecretKey = Field(
        default="url",
        description="Key of the database's URL, such as "
        "postgresql://user:password@host:5432/review. Default: url.",
    )


class Database(Strict):
    """A database that the operator does not run."""

    secret_ref: DatabaseSecretRef = Field(
        description="The Secret that holds the URL of a PostgreSQL database. Required, so without "
        "a default."
    )


class ProxySecretRef(SecretRef):
    key: SecretKey = Field(
        default="secret",
        description="Key of the secret that the proxy sends with each request. Default: secret.",
    )


class Proxy(Strict):
    """A proxy that signs reviewers in and names them in headers."""

    secret_ref: ProxySecretRef = Field(
        description="The Secret shared with the proxy: headers are trusted only together with it. "
        "Required, so without a default."
    )
    user_header: str = Field(
        default="X-Forwarded-User",
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9-]+$",
        description="Header with the reviewer's name. Default: X-Forwarded-User.",
    )
    groups_header: str = Field(
        default="X-Forwarded-Groups",
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9-]+$",
        description="Header with the reviewer's groups, separated by commas. Default: "
        "X-Forwarded-Groups.",
    )


class Token(Strict):
    """Bearer tokens of the Kubernetes API, such as kubectl create token gives."""


class Authentication(Strict):
    """How reviewers sign in. The cluster's RBAC decides what they may do."""

    rules = (
        Rule(
            "!has(self.token) || !has(self.proxy)",
            "review.console.authentication must have one of token and proxy, not both: each "
            "request has one identity",
            lambda authentication: authentication.token is None or authentication.proxy is None,
        ),
    )

    token: Token | None = Field(
        default=None,
        description="Sign in with a token of the Kubernetes API (TokenReview). Default: used when "
        "proxy is left out.",
    )
    proxy: Proxy | None = Field(
        default=None,
        description="Sign in at a trusted proxy such as oauth2-proxy. Default: none.",
    )


DecisionName = Literal["Approve", "Remove", "Escalate", "Skip", "Unsure"]


class WebhookSecretRef(SecretRef):
    key: SecretKey = Field(
        default="secret",
        description="Key of the signing secret: whsec_ and the base64 of 24 to 64 random bytes; "
        "several, separated by white space, while one replaces another. Default: secret.",
    )


class Webhook(Strict):
    """A URL that the console sends decisions to, signed as Standard Webhooks says."""

    name: str = Field(
        min_length=1,
        max_length=40,
        pattern=r"^[a-z0-9]+(-+[a-z0-9]+)*$",
        description="Name of the webhook, in metrics and the audit: a-z, 0-9 and -, at most 40 "
        "characters, unique in the object. Required, so without a default.",
    )
    url: str = Field(
        max_length=2048,
        pattern=r"^https?://[^\s@/?#]+([/?#][^\s]*)?$",
        description="Where decisions are sent by POST: http or https, without a user or password. "
        "Redirects are not followed. Required, so without a default.",
    )
    secret_ref: WebhookSecretRef = Field(
        description="The Secret that requests are signed with. Required, so without a default."
    )
    decisions: list[DecisionName] = Field(
        default=["Approve", "Remove", "Escalate"],
        min_length=1,
        max_length=5,
        description="The decisions that are sent: Approve, Remove, Escalate, Skip, Unsure. "
        "Default: Approve, Remove and Escalate.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class Console(Strict):
    """The web console in which people review texts."""

    rules = (
        Rule(
            "self.replicas <= 1 || has(self.database)",
            "review.console.replicas above 1 needs review.console.database: without one the "
            "console keeps its state in a file that only one process can use",
            lambda console: console.replicas <= 1 or console.database is not None,
        ),
    )

    enabled: bool = Field(
        default=True,
        description="true: the operator runs a console for this object. false: the topics are "
        "there, and something else reads them. Default: true.",
    )
    image: ImageName | None = Field(
        default=None,
        description="The console's image. Default: the one that the operator is installed with "
        "(--console-image).",
    )
    replicas: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Number of console pods; more than 1 only with database. Default: 1.",
    )
    resources: Resources = part(
        Resources(requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "384Mi"}),
        "Requests and limits of the console's container, as in a Pod. Default: requests of 100m "
        "CPU and 128Mi memory, a limit of 384Mi memory.",
    )
    storage: Storage = part(
        Storage(), "The volume of the console's SQLite file; not used with database."
    )
    ingress: Ingress | None = Field(
        default=None,
        description="An Ingress to the console. Default: none; kubectl port-forward reaches it.",
    )
    database: Database | None = Field(
        default=None,
        description="A PostgreSQL database for the queue and its claims; needed for several "
        "replicas. Default: none, and SQLite on a volume of its own.",
    )
    authentication: Authentication = part(
        Authentication(), "How reviewers sign in. Default: with a token of the Kubernetes API."
    )
    webhooks: list[Webhook] = Field(
        default_factory=list,
        max_length=8,
        description="URLs that are sent people's decisions, without the texts. Default: none.",
        json_schema_extra=UNIQUE_NAMES,
    )


class Review(Strict):
    """Which texts people look at, and what is measured by their decisions."""

    sample: float = Field(
        default=0.005,
        ge=0,
        le=1,
        description="Share of all texts, from 0 to 1, that is reviewed at random and without "
        "showing the score; precision and recall are measured by it. Default: 0.005.",
    )
    label_delay_hours: int = Field(
        default=72,
        ge=0,
        le=8760,
        description="How long a window of verdicts waits for its decisions before it is measured, "
        "in hours; 0 measures at once, for demonstrations. Default: 72.",
    )
    minimum_labels: int = Field(
        default=50,
        ge=2,
        le=1_000_000,
        description="Fewest labels from which precision and recall are given; with fewer they are "
        "Unknown. Default: 50.",
    )
    topics: ReviewTopics = part(ReviewTopics(), "The topics of review requests and of decisions.")
    console: Console = part(Console(), "The web console in which people review texts.")
