"""What was observed, as frozen values: the language that the pure core and the edges share.

Nothing here does I/O. What could not be read has a type of its own (`LagUnknown`), so that nobody
can take it for zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from textmod_operator.naming import MAIN_READER
from textmod_operator.settings import ConsoleSettings


@dataclass(frozen=True)
class ObjectKey:
    """The one way a TextModeration is named inside the operator."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class ReaderKey:
    """One reader of a TextModeration's input; its lag is read apart from any other's."""

    object: ObjectKey
    reader: str = MAIN_READER

    def __str__(self) -> str:
        return str(self.object) if self.reader == MAIN_READER else f"{self.object} ({self.reader})"


@dataclass(frozen=True)
class OAuthClient:
    """Client credentials of an OpenID Connect provider; the secret is left out of `repr`."""

    token_endpoint_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    ca_pem: str | None = field(default=None, repr=False)
    """The CA of the provider's certificate; None: those that the system trusts."""


@dataclass(frozen=True)
class KafkaConnection:
    """How to reach one Kafka cluster; equal values share one client.

    PEM texts and the password come from Secrets; `repr` leaves them out, and so does any log line.
    """

    bootstrap_servers: str
    sasl_mechanism: str | None = None
    """As in the spec; AWS_MSK_IAM is OAUTHBEARER to the brokers."""
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_pem: str | None = field(default=None, repr=False)
    certificate_pem: str | None = field(default=None, repr=False)
    key_pem: str | None = field(default=None, repr=False)
    oauth: OAuthClient | None = None
    aws_region: str | None = None

    @property
    def security_protocol(self) -> str:
        """Kafka's name for the combination: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
        if self.sasl_mechanism:
            return "SASL_SSL" if self.tls else "SASL_PLAINTEXT"
        return "SSL" if self.tls else "PLAINTEXT"

    @property
    def login(self) -> str:
        """Who logs in, in words for a condition; no secret."""
        if self.oauth is not None:
            return f"of OAuth client {self.oauth.client_id}"
        if self.aws_region is not None:
            return "of the operator's AWS role"
        return self.sasl_username or "of the client certificate"

    def librdkafka(self) -> dict[str, str]:
        """The connection as librdkafka's configuration keys. `sasl.oauthbearer.config` is what an
        `oauth_cb` gets, where the client needs one."""
        tokens = self.sasl_mechanism in {"OAUTHBEARER", "AWS_MSK_IAM"}
        config = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": "OAUTHBEARER" if tokens else self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password,
            "ssl.ca.pem": self.ca_pem,
            "ssl.certificate.pem": self.certificate_pem,
            "ssl.key.pem": self.key_pem,
            "sasl.oauthbearer.config": self.aws_region,
            **(self._oidc(self.oauth) if self.oauth else {}),
        }
        return {key: value for key, value in config.items() if value is not None}

    @staticmethod
    def _oidc(client: OAuthClient) -> dict[str, str | None]:
        return {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": client.token_endpoint_url,
            "sasl.oauthbearer.client.id": client.client_id,
            "sasl.oauthbearer.client.secret": client.client_secret,
            "sasl.oauthbearer.scope": client.scope,
            "https.ca.pem": client.ca_pem,
        }


@dataclass(frozen=True)
class PartitionLag:
    """One partition of an input topic as its consumer group sees it. Offsets are Kafka's."""

    partition: int
    log_start: int
    end: int
    committed: int | None
    """None: the group has never committed here, so it starts at `log_start`."""
    residue: int = 0
    """Offsets between the group's position and `end` that were seen to hold no record: transaction
    markers, aborted transactions, compaction. Nobody will ever read them."""

    @property
    def position(self) -> int:
        """The offset that the group reads next. Retention that passed the committed offset took
        those records from nobody's hands: they can't be read any more and are not lag."""
        return max(self.committed or 0, self.log_start)

    @property
    def messages(self) -> int:
        """Unread messages."""
        return max(0, self.end - self.position - self.residue)


@dataclass(frozen=True)
class LagReading:
    """The lag of one consumer group on one topic, at one moment."""

    at: float
    """Unix time in seconds at which the broker answered."""
    partitions: tuple[PartitionLag, ...]
    seconds_behind: float | None = None
    """Age in seconds of the oldest unread message; 0 when all is read, None when not known yet."""
    rebalancing: bool = False
    told_rate: float | None = None
    """Messages/s of one busy consumer, as the group's members tell it with their commits."""

    @property
    def messages(self) -> int:
        return sum(partition.messages for partition in self.partitions)

    @property
    def per_partition_max(self) -> int:
        return max((partition.messages for partition in self.partitions), default=0)


@dataclass(frozen=True)
class LagUnknown:
    """The lag could not be read. It is not zero, and it never scales anything down."""

    at: float
    why: str
    """One sentence for `status.scaling.reason` and the condition's message."""


Manifest = dict[str, Any]
"""A Kubernetes object as plain JSON. Builders return it; nobody changes it afterwards."""


@dataclass(frozen=True)
class Ref:
    """Which Kubernetes object: enough to find it."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> Ref:
        metadata = manifest["metadata"]
        return cls(
            manifest["apiVersion"],
            manifest["kind"],
            metadata.get("namespace", ""),
            metadata["name"],
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


Role = Literal["input", "output", "deadLetter", "review", "feedback"]


@dataclass(frozen=True)
class Topic:
    """A topic as asked for."""

    role: Role
    name: str
    partitions: int
    exact: bool
    """False: nobody named the number, so a topic that already has more is as good."""
    replication_factor: int | None
    """None: the brokers' default when it is created, any when it is there."""
    config: Mapping[str, str]
    creation_config: Mapping[str, str] = field(default_factory=dict)
    """Settings that it gets when it is created; later changes by others stay."""
    management: Literal["Managed", "Existing", "Strimzi"] = "Managed"

    @property
    def create(self) -> bool:
        """False: somebody else manages the topic, and it is only checked."""
        return self.management == "Managed"


@dataclass(frozen=True)
class TopicSeen:
    """A topic as the brokers have it."""

    role: Role
    name: str
    partitions: int
    replication_factor: int
    created: bool
    """Created for this object: by this pass, or on record with the same topic id."""
    topic_id: str = ""
    """Kafka's id of the topic (KIP-516); empty where the brokers have none."""
    warnings: tuple[str, ...] = ()
    """What will surprise its user, as sentences."""


@dataclass(frozen=True)
class Capabilities:
    """What this cluster offers beyond the least that is supported."""

    hpa_tolerance: bool = False
    """HPA `behavior.*.tolerance` is on (1.35 and later)."""
    assigned_ids: bool = False
    """The cluster assigns user and groups to each pod and refuses others (OpenShift)."""
    keda_url: str | None = None
    """Where KEDA can ask this operator; None: it was not told."""
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    """The operator's settings for all review consoles."""


@dataclass(frozen=True)
class LeaderSeen:
    """The process that holds the Lease, as this one saw it."""

    identity: str
    renewal_age: float
    """Seconds since it was last seen to renew."""


@dataclass(frozen=True)
class FrontProxy:
    """Who may ask the metrics API: holders of a certificate of this CA, under one of these names
    (empty: any)."""

    ca_pem: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Reader:
    """Who reads the input: a consumer group, and the workload whose pods are its members. An object
    may have several: each reads everything."""

    name: str
    group: str
    workload: Ref
    revision: str
    """Of the model pods: those of another one are on their way out."""
    session_seconds: int | None = None
    """How long a member that has died may keep its partitions; None: the brokers' own time."""


@dataclass(frozen=True)
class Desired:
    """All that one TextModeration asks for."""

    topics: Mapping[Role, Topic]
    objects: tuple[Manifest, ...]
    """Of all readers, and what they share."""
    readers: tuple[Reader, ...]
    """The main one first."""
    console: tuple[Manifest, ...] = ()
    """What the review console is made of, its workload last; empty without one."""
    console_url: str | None = None
    input_topic_id: str = ""
    """Of the input topic that the object first saw; empty: not known."""

    @property
    def main(self) -> Reader:
        """The reader whose verdicts count: conditions, replicas and status speak of it."""
        return self.readers[0]

    @property
    def workload(self) -> Ref:
        """The main reader's workload."""
        return self.main.workload

    @property
    def revision(self) -> str:
        """Of the main reader's pods."""
        return self.main.revision


@dataclass(frozen=True)
class PodSeen:
    """One model pod, as far as a condition needs it."""

    name: str
    image: str
    ready: bool
    revision: str = ""
    """The desired pod that it was made of; empty for a pod that does not say."""
    waiting_reason: str | None = None
    """The container's own reason, such as ImagePullBackOff or CrashLoopBackOff."""
    restarts: int = 0
    last_message: str | None = None
    """What the container said when it ended last, from its termination log."""
    terminating: bool = False
    """It is being deleted, and may still run."""
    unscheduled: str | None = None
    """The scheduler's own words, when no node takes the pod."""
    refused: str | None = None
    """The kubelet's own words, when it did not admit the pod."""
    address: str | None = None
    """Its IP, once it has one."""
    policies: str | None = None
    """The version of the policies in its annotation, and the attempt if it is not the first; empty
    before the first version, None for a pod that reads none."""
    says: str | None = None
    """What its readiness endpoint answered when it was asked why it does not read or serve."""

    @property
    def policies_version(self) -> str:
        """The version of the policies in its annotation."""
        return (self.policies or "").partition(" ")[0]


@dataclass(frozen=True)
class WorkloadSeen:
    """The SeldonDeployment or Deployment and its pods, as the API server has them."""

    ref: Ref
    replicas: int
    """Pods that exist and are not on their way out."""
    ready_replicas: int
    settled: bool
    """The controller has caught up with the spec and rolled every replica to it."""
    failure: str | None = None
    """The controller's own words, when it says that it failed."""
    pods: tuple[PodSeen, ...] = ()
    unreported: bool = False
    """Seldon's controller has written no status yet: it may not run, or not for this namespace."""


@dataclass(frozen=True)
class AutoscalerSeen:
    """The HPA's or ScaledObject's own conditions: type → (status, reason, message)."""

    ref: Ref
    conditions: Mapping[str, tuple[str, str, str]]


@dataclass(frozen=True)
class ScalingSeen:
    """What the scaling law said last about one object."""

    reading: LagReading | LagUnknown
    desired: int
    reason: str
    condition: Literal["LagUnknown", "AtMaximum", "HotPartition"] | None = None
    seconds_behind: float | None = None
    in_per_second: float | None = None
    out_per_second: float | None = None
    per_replica_per_second: float | None = None
    standing: tuple[int, ...] = ()
    """Partitions in which messages wait and nothing has been committed for longer than the promise
    has room for, although a replica serves."""
    standing_seconds: float = 0.0
    """How long the one of all partitions that has stood longest has made no progress."""
    expired: int = 0
    """Messages that retention deleted and the group has not got past yet: nobody will read them."""
    observed_by: str | None = None
    """The process that decided, as in its Lease; None: nobody asks."""


@dataclass(frozen=True)
class Observed:
    """All that one pass saw. None and empty mean: not looked at or not there, never zero."""

    topics: tuple[TopicSeen, ...] = ()
    workload: WorkloadSeen | None = None
    autoscaler: AutoscalerSeen | None = None
    scaling: ScalingSeen | None = None
    session_seconds: int | None = None
    """The session timeout that is set on the consumer group; None: the brokers' own."""
    console: WorkloadSeen | None = None
