"""What was observed, as frozen values: the language that the pure core and the edges share.

Nothing here does I/O. What could not be read has a type of its own (`LagUnknown`), so that nobody
can take it for zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ObjectKey:
    """The one way a TextModeration is named inside the operator."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class KafkaConnection:
    """How to reach one Kafka cluster; equal values share one client.

    PEM texts and the password come from Secrets; they are left out of `repr`, so that no log line
    or traceback can show them.
    """

    bootstrap_servers: str
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_pem: str | None = field(default=None, repr=False)
    certificate_pem: str | None = field(default=None, repr=False)
    key_pem: str | None = field(default=None, repr=False)

    @property
    def security_protocol(self) -> str:
        """Kafka's name for the combination: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
        if self.sasl_mechanism:
            return "SASL_SSL" if self.tls else "SASL_PLAINTEXT"
        return "SSL" if self.tls else "PLAINTEXT"

    def librdkafka(self) -> dict[str, str]:
        """The connection as librdkafka's configuration keys."""
        config = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password,
            "ssl.ca.pem": self.ca_pem,
            "ssl.certificate.pem": self.certificate_pem,
            "ssl.key.pem": self.key_pem,
        }
        return {key: value for key, value in config.items() if value is not None}


@dataclass(frozen=True)
class PartitionLag:
    """One partition of an input topic as its consumer group sees it. Offsets are Kafka's."""

    partition: int
    log_start: int
    end: int
    committed: int | None
    """None: the group has never committed here, so it starts at `log_start`."""

    @property
    def messages(self) -> int:
        """Unread messages. Retention that passed the committed offset took those from nobody's
        hands: they can't be read any more and are not lag."""
        return max(0, self.end - max(self.committed or 0, self.log_start))


@dataclass(frozen=True)
class LagReading:
    """The lag of one consumer group on one topic, at one moment."""

    at: float
    """Unix time in seconds at which the broker answered."""
    partitions: tuple[PartitionLag, ...]
    seconds_behind: float | None = None
    """Age in seconds of the oldest unread message; 0 when all is read, None when not known yet."""
    rebalancing: bool = False

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
