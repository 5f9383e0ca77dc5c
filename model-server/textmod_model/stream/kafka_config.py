"""The Kafka clients' configurations, from the settings. Pure; the why of each value is here."""

import os
import socket
from pathlib import Path

from pydantic import SecretStr

from textmod_model.settings import Settings

Configuration = dict[str, str | int | float | bool]

SECRETS = frozenset({"sasl.password", "sasl.oauthbearer.client.secret"})
AWS_REGION = "sasl.oauthbearer.config"
"""librdkafka hands this to the callback that gets tokens: the region, for Amazon MSK."""


def client(settings: Settings) -> Configuration:
    """How to reach the cluster: address, encryption, authentication."""
    options = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "client.id": settings.pod_name or "textmod-model",
        "security.protocol": settings.kafka_security_protocol,
        **_login(settings),
        "ssl.ca.location": settings.kafka_ssl_ca_file,
        "ssl.certificate.location": settings.kafka_ssl_certificate_file,
        "ssl.key.location": settings.kafka_ssl_key_file,
    }
    return {name: str(value) for name, value in options.items() if value is not None} | {
        # Topics grow and go while we run; the default of five minutes outlasts any promise.
        "topic.metadata.refresh.interval.ms": 10_000,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
        # A half-open connection is noticed when a request has no answer for so long; the default
        # of 60 s is longer than most promises.
        "socket.timeout.ms": 10_000,
        "socket.connection.setup.timeout.ms": 10_000,  # 30 s by default
    }


def _login(settings: Settings) -> dict[str, str | Path | None]:
    """Who we are. AWS_MSK_IAM is OAUTHBEARER with a token that `aws` signs; other tokens librdkafka
    gets itself."""
    mechanism = settings.kafka_sasl_mechanism
    if mechanism == "AWS_MSK_IAM":
        return {"sasl.mechanism": "OAUTHBEARER", AWS_REGION: settings.kafka_aws_region}
    if mechanism == "OAUTHBEARER":
        return {
            "sasl.mechanism": mechanism,
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": settings.kafka_oauth_token_endpoint_url,
            "sasl.oauthbearer.client.id": settings.kafka_oauth_client_id,
            "sasl.oauthbearer.client.secret": _secret(settings.kafka_oauth_client_secret),
            "sasl.oauthbearer.scope": settings.kafka_oauth_scope,
            "https.ca.location": settings.kafka_oauth_ca_file,
        }
    return {
        "sasl.mechanism": mechanism,
        "sasl.username": settings.kafka_sasl_username,
        "sasl.password": _secret(settings.kafka_sasl_password),
    }


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


POLL_SECONDS = 300.0
"""How long the consumer may not be called before it is out of its group: Kafka's own default."""

MOST_POLL_SECONDS = 3600.0
"""The most that is granted for scoring one batch."""


def consumer(
    settings: Settings, group_protocol: str, *, batch_seconds: float = 0.0
) -> Configuration:
    """The consumer's configuration; `group_protocol` is "consumer" (KIP-848) or "classic".

    `batch_seconds` is how long scoring what it returns at a time may take.
    """
    # Out of the group, a member gets the same messages again. One that hangs is ended by its
    # liveness probe, so that a margin costs nothing.
    poll_seconds = min(MOST_POLL_SECONDS, max(POLL_SECONDS, 2 * batch_seconds))
    options: Configuration = {
        "group.id": settings.consumer_group,
        "group.protocol": group_protocol,
        # Every partition is assigned with an explicit offset (`membership`). librdkafka's own reset
        # would read a whole partition again where an offset is only not known yet.
        "auto.offset.reset": "error",
        "enable.partition.eof": True,  # tells control records from messages that wait
        # An offset is stored once its verdict or dead letter is acknowledged, never on reading.
        "enable.auto.offset.store": False,
        "enable.auto.commit": settings.delivery == "AtLeastOnce",
        "auto.commit.interval.ms": 500,
        "isolation.level": "read_committed",
        # Back-pressure: what may wait between the network and the scorer.
        "queued.max.messages.kbytes": 16_384,
        "fetch.max.bytes": 8_388_608,
        # The default waits a second once that queue was full, and the scorer runs dry.
        "fetch.queue.backoff.ms": 10,
        "statistics.interval.ms": 2_000,
        "max.poll.interval.ms": int(poll_seconds * 1000),
    }
    if group_protocol == "classic":
        options |= {
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 15_000,
            "heartbeat.interval.ms": 2_000,
        }
        if settings.pod_name:
            # A container that crashed comes back under the pod's name and finds its partitions.
            # Not so with KIP-848, where the name stays taken until the dead member's session ends.
            options["group.instance.id"] = settings.pod_name
    return client(settings) | options


def is_cooperative(options: Configuration) -> bool:
    """Tell whether rebalances change an assignment partition by partition, not as a whole."""
    strategy = str(options.get("partition.assignment.strategy", ""))
    return options["group.protocol"] == "consumer" or strategy.startswith("cooperative")


PRODUCER_BATCH_BYTES = 900_000
"""A batch must fit the topic: Kafka's own default limit is 1,048,588 bytes."""


def _sure(settings: Settings) -> Configuration:
    """How to reach the cluster, for a producer whose delivery reports are true."""
    return client(settings) | {
        "acks": "all",
        "enable.idempotence": True,  # no duplicates and no reordering by the client's own retries
        # With more on its way, a request that a broker refuses while it becomes the leader counts
        # as written once the next one is: decisions/2026-11-28-one-request-at-a-time.md.
        "max.in.flight.requests.per.connection": 1,
    }


def producer(settings: Settings, batch_bytes: int = PRODUCER_BATCH_BYTES) -> Configuration:
    """Return the producer's configuration, for either delivery.

    `batch_bytes` is the most that a batch of several records may have.
    """
    options = _sure(settings) | {
        "partitioner": "murmur2_random",  # Java's, so that a key finds the partition it always had
        # Scoring goes on meanwhile; an idle worker flushes, and a flush doesn't linger.
        "linger.ms": 5,
        "batch.size": batch_bytes,
        # The topic decides what is too large; what it refuses becomes a dead letter.
        "message.max.bytes": 68_000_000,  # 64 MiB and headers
        "queue.buffering.max.kbytes": 131_072,
        "queue.buffering.max.messages": 1_000_000,
        # How long a topic may be unknown before that is an error; topics are not ours to wait for.
        "topic.metadata.propagation.max.ms": 5_000,
        "delivery.report.only.error": True,
    }
    if settings.delivery == "ExactlyOnce":
        options |= {
            "transactional.id": transactional_id(settings),
            # The broker aborts what a killed pod left open after this time and up to 10 s more (its
            # own interval); until then nobody can read on from those offsets.
            "transaction.timeout.ms": 10_000,
        }
    else:
        options["message.timeout.ms"] = 0  # an outage is waited out, in order
        # Behind a record that a broker refuses against what is known of its topic nothing may be
        # written: the order of its key would be lost. The client is opened again instead.
        options["enable.gapless.guarantee"] = True
    return options


def single_records(settings: Settings, seconds: float) -> Configuration:
    """Return the configuration of a producer of few records, whose callers wait for each.

    `seconds` is how long a record may take.
    """
    milliseconds = int(seconds * 1000)
    return _sure(settings) | {
        "partitioner": "murmur2_random",
        "linger.ms": 0,
        "message.timeout.ms": milliseconds,
        "topic.metadata.propagation.max.ms": milliseconds,
        "queue.buffering.max.messages": 1_000,
    }


def transactional_id(settings: Settings) -> str:
    """One id per pod, so that a restarted container fences what is left of its predecessor.

    A zombie under another name is fenced by the group's generation, which goes along with the
    offsets (KIP-447).
    """
    name = settings.pod_name or f"{socket.gethostname()}-{os.getpid()}"
    return f"{settings.consumer_group}.{name}"


def masked(configuration: Configuration) -> Configuration:
    """The same, fit to be printed."""
    return {
        name: "**********" if name in SECRETS else value for name, value in configuration.items()
    }
