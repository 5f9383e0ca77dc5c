"""Brokers that ask who is there: the operator, its lag reader and the model pods get in with what
the Secrets hold, say so when they don't, and follow a Secret that is rotated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from live import Kubectl, WaitFor, condition

from textmod_dev.identity_provider import IdentityProvider
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.kafka_security import Security
from textmod_dev.model_image import IMAGE

pytestmark = pytest.mark.integration

USER, PASSWORD = "anna", "anna-secret"
USERS = {USER: PASSWORD, "bert": "bert-secret"}
SASL = {"secretRef": {"name": "kafka"}}
CA = {"caSecretRef": {"name": "kafka"}}
PAIR = {"certificateSecretRef": {"name": "kafka"}}

WAYS = {
    "PLAIN": (Security("SASL_PLAINTEXT", "PLAIN", USERS), {"sasl": {"mechanism": "PLAIN", **SASL}}),
    "SCRAM-SHA-256": (
        Security("SASL_PLAINTEXT", "SCRAM-SHA-256", USERS),
        {"sasl": {"mechanism": "SCRAM-SHA-256", **SASL}},
    ),
    "SCRAM-SHA-512 over TLS": (
        Security("SASL_SSL", "SCRAM-SHA-512", USERS),
        {"sasl": {"mechanism": "SCRAM-SHA-512", **SASL}, "tls": CA},
    ),
    "TLS with a CA": (Security("SSL"), {"tls": CA}),
    "mutual TLS": (Security("SSL", users=USERS, mutual=True), {"tls": {**CA, **PAIR}}),
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Callable[[Security], KafkaBroker]]:
    """Starts one broker of the test's own."""
    running: list[KafkaBroker] = []

    def start(security: Security) -> KafkaBroker:
        made = KafkaBroker(tmp_path / "kafka", security=security)
        running.append(made.__enter__())
        return made

    yield start
    for made in running:
        made.__exit__(None, None, None)


@pytest.fixture
def secret(kubectl: Kubectl, tmp_path: Path) -> Callable[..., None]:
    """Writes Secret kafka: user, password, and the certificates that the broker's folder has."""

    def write(password: str = PASSWORD) -> None:
        folder = tmp_path / "kafka" / "certificates"
        files = {
            "ca.crt": folder / "ca.crt",
            "tls.crt": folder / f"{USER}.crt",
            "tls.key": folder / f"{USER}.key",
        }
        content = {name: path.read_text() for name, path in files.items() if path.exists()}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "kafka"},
            "stringData": {"username": USER, "password": password, **content},
        }
        kubectl("apply", "-f", "-", stdin=json.dumps(body))

    return write


@pytest.fixture
def apply(operator: object, kubectl: Kubectl) -> Callable[[KafkaBroker, dict[str, Any]], None]:
    """Applies a TextModeration on the broker."""

    def make(kafka: KafkaBroker, how: dict[str, Any]) -> None:
        body = {
            "apiVersion": "textmoderation.dev/v1alpha1",
            "kind": "TextModeration",
            "metadata": {"name": "science"},
            "spec": {
                "kafka": {"bootstrapServers": kafka.bootstrap_servers, **how},
                "model": {"image": IMAGE},
                "topics": {"input": {"partitions": 2}},
                "serving": {"platform": "Deployment"},
            },
        }
        kubectl("apply", "-f", "-", stdin=json.dumps(body))

    return make


def answered(config: dict[str, str]) -> bool:
    """Whether a text that is written comes out as a verdict."""
    producer = Producer(config)
    producer.produce("science-input", b'{"body": "you are a fool"}')
    assert producer.flush(10) == 0
    consumer = Consumer({**config, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe(["science-output"])
    deadline = time.monotonic() + 90  # a broker that was restarted loads its coordinators first
    answer = None
    while answer is None and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            answer = message
    consumer.close()
    return answer is not None


def test_everybody_gets_in_with_tokens_of_an_identity_provider(
    broker: Callable[[Security], KafkaBroker],
    secret: Callable[..., None],
    apply: Callable[[KafkaBroker, dict[str, Any]], None],
    kubectl: Kubectl,
) -> None:
    with IdentityProvider(USERS) as provider:
        security = Security("SASL_PLAINTEXT", "OAUTHBEARER", USERS, provider=provider.url)
        kafka = broker(security)
        secret()
        keys = {"clientIdKey": "username", "clientSecretKey": "password"}
        oauth = {
            "tokenEndpointUrl": provider.token_url,
            "secretRef": {"name": "kafka", **keys},
        }
        apply(kafka, {"sasl": {"mechanism": "OAUTHBEARER", "oauth": oauth}})
        kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=90s")
        assert answered(kafka.client_config(USER))
        shown = kubectl("get", "deployment,tm", "science", "-o", "yaml")
        assert PASSWORD not in shown


@pytest.mark.parametrize("way", WAYS)
def test_everybody_gets_in_with_what_the_secrets_hold(
    way: str,
    broker: Callable[[Security], KafkaBroker],
    secret: Callable[..., None],
    apply: Callable[[KafkaBroker, dict[str, Any]], None],
    kubectl: Kubectl,
) -> None:
    security, how = WAYS[way]
    kafka = broker(security)
    secret()
    apply(kafka, how)
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=90s")
    assert answered(kafka.client_config(USER))
    shown = kubectl("get", "deployment,tm", "science", "-o", "yaml")
    assert PASSWORD not in shown, "a password belongs into its Secret alone"


def test_a_login_that_fails_is_told_and_a_secret_that_is_mended_or_rotated_is_followed(
    broker: Callable[[Security], KafkaBroker],
    secret: Callable[..., None],
    apply: Callable[[KafkaBroker, dict[str, Any]], None],
    kubectl: Kubectl,
    wait_for: WaitFor,
) -> None:
    security, how = WAYS["SCRAM-SHA-512 over TLS"]
    kafka = broker(security)
    secret("wrong")
    apply(kafka, how)
    wait_for(
        lambda: condition(kubectl, "TopicsReady").get("reason") == "AuthenticationFailed",
        60,
        "AuthenticationFailed",
    )
    secret()
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=120s")
    pods = pod_names(kubectl)

    # The brokers know the new password, and cut all who came with the old one.
    admin = AdminClient({"bootstrap.servers": kafka.internal_bootstrap_servers})
    rotated = UserScramCredentialUpsertion(
        USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), b"rotated"
    )
    admin.alter_user_scram_credentials([rotated])[USER].result(10)
    secret("rotated")
    kafka.stop_broker()
    kafka.start_broker()
    kafka.wait()
    wait_for(lambda: pods.isdisjoint(pod_names(kubectl)), 120, "the pods are rolled")
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=120s")
    assert answered({**kafka.client_config(USER), "sasl.password": "rotated"})


def pod_names(kubectl: Kubectl) -> set[str]:
    selector = "textmoderation.dev/name=science"
    return set(kubectl("get", "pods", "-l", selector, "-o", "name").split())


def test_what_an_acl_refuses_is_told_and_heals_once_it_is_allowed(
    broker: Callable[[Security], KafkaBroker],
    secret: Callable[..., None],
    apply: Callable[[KafkaBroker, dict[str, Any]], None],
    kubectl: Kubectl,
    wait_for: WaitFor,
) -> None:
    asked = Security("SASL_PLAINTEXT", "PLAIN", USERS, acls=True)
    kafka = broker(asked)
    secret()
    apply(kafka, {"sasl": {"mechanism": "PLAIN", **SASL}})
    wait_for(
        lambda: condition(kubectl, "TopicsReady").get("reason") == "AuthorizationFailed",
        60,
        "AuthorizationFailed",
    )
    assert USER in condition(kubectl, "TopicsReady")["message"]

    admin = AdminClient({"bootstrap.servers": kafka.internal_bootstrap_servers})
    allow(admin, (ResourceType.TOPIC, "science-"), *TOPIC_OPERATIONS)
    wait_for(
        lambda: "textmod." in condition(kubectl, "AutoscalingReady").get("message", ""),
        90,
        "the lag of a group that may not be read is unknown, and that is told",
    )
    allow(admin, (ResourceType.GROUP, "textmod."), AclOperation.READ)
    kubectl("wait", "--for=condition=Ready", "tm/science", "--timeout=120s")


TOPIC_OPERATIONS = (
    AclOperation.CREATE,
    AclOperation.DESCRIBE,
    AclOperation.DESCRIBE_CONFIGS,
    AclOperation.READ,
    AclOperation.WRITE,
)
"""What README says that a stream's user needs on its topics."""


def allow(admin: AdminClient, what: tuple[ResourceType, str], *operations: AclOperation) -> None:
    """Lets the user do these things with all that begins with a prefix."""
    kind, prefix = what
    bindings = [
        AclBinding(
            kind,
            prefix,
            ResourcePatternType.PREFIXED,
            f"User:{USER}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]
    for future in admin.create_acls(bindings).values():
        future.result(10)
