"""The Kafka clients' configurations, from the settings. Pure; the why of each value is here.

`client` is the model server's, copied since neither package imports the other; the contract test
(`tests/test_contract.py`) compares the two.
"""

from pathlib import Path

from pydantic import SecretStr

from textmod_console.settings import Settings

Configuration = dict[str, str | int | float | bool]


def client(settings: Settings) -> Configuration:
    """How to reach the cluster: address, encryption, authentication."""
    options = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "client.id": settings.pod_name or "textmod-console",
        "security.protocol": settings.kafka_security_protocol,
        **_login(settings),
        "ssl.ca.location": settings.kafka_ssl_ca_file,
        "ssl.certificate.location": settings.kafka_ssl_certificate_file,
        "ssl.key.location": settings.kafka_ssl_key_file,
    }
    return {name: str(value) for name, value in options.items() if value is not None} | {
        "topic.metadata.refresh.interval.ms": 10_000,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
        # A half-open connection is noticed when a request has no answer for so long.
        "socket.timeout.ms": 10_000,
        "socket.connection.setup.timeout.ms": 10_000,
    }


def _login(settings: Settings) -> dict[str, str | Path | None]:
    """The login. AWS_MSK_IAM is OAUTHBEARER with a token that `aws` signs."""
    mechanism = settings.kafka_sasl_mechanism
    if mechanism == "AWS_MSK_IAM":
        return {
            "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.config": settings.kafka_aws_region,
        }
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


def consumer(settings: Settings) -> Configuration:
    """The reader's configuration. Partitions are assigned explicitly and offsets are in the
    database: the client requires a group's name, but nothing is committed to the group."""
    return client(settings) | {
        "group.id": settings.consumer_group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",  # what retention removed is passed over
        "enable.partition.eof": True,  # reports the end of each partition
        "isolation.level": "read_committed",
        "queued.max.messages.kbytes": 8_192,
        "fetch.max.bytes": 8_388_608,
    }


def _sure(settings: Settings) -> Configuration:
    """How to reach the cluster, for a producer whose delivery reports are true."""
    return client(settings) | {
        "acks": "all",
        "enable.idempotence": True,
        # With more on its way, a request that a broker refuses while it becomes the leader counts
        # as written once the next one is: decisions/2026-11-28-one-request-at-a-time.md.
        "max.in.flight.requests.per.connection": 1,
    }


def plain_producer(settings: Settings) -> Configuration:
    """The configuration for a few records that may be written twice, such as tombstones."""
    return _sure(settings) | {"message.timeout.ms": 20_000}


def producer(settings: Settings) -> Configuration:
    """The publisher's configuration: in transactions, so that there is one writer at a time."""
    return _sure(settings) | {
        "partitioner": "murmur2_random",  # Java's, so that a key finds the partition it always had
        "linger.ms": 5,
        # One id for all replicas: a new producer fences its predecessor.
        "transactional.id": f"{settings.consumer_group}.feedback",
        "transaction.timeout.ms": 30_000,
        "message.timeout.ms": 20_000,
    }
