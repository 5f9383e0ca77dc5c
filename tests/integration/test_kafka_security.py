"""Brokers that ask for TLS, a password or a certificate, and that allow only what an ACL says."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from textmod_dev.identity_provider import IdentityProvider
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.kafka_security import Security

pytestmark = pytest.mark.integration

USERS = {"anna": "anna-secret", "bert": "bert-secret"}


def topics(config):
    """The topics a client sees; raises when it is not let in."""
    return set(AdminClient({**config, "log_level": 0}).list_topics(timeout=8).topics)


def refused(config):
    with pytest.raises(KafkaException):
        topics({**config, "socket.timeout.ms": "3000"})


def test_a_password_over_plaintext(tmp_path):
    asked = Security("SASL_PLAINTEXT", "PLAIN", USERS)
    with KafkaBroker(tmp_path, security=asked) as kafka:
        anna = kafka.client_config("anna")
        assert topics(anna) == set()
        refused({**anna, "sasl.password": "wrong"})
        refused({"bootstrap.servers": kafka.bootstrap_servers})


def test_scram_over_tls_with_acls(tmp_path):
    asked = Security("SASL_SSL", "SCRAM-SHA-512", USERS, acls=True, super_users=("anna",))
    with KafkaBroker(tmp_path, security=asked) as kafka:
        anna, bert = kafka.client_config("anna"), kafka.client_config("bert")
        admin = AdminClient(anna)
        admin.create_topics([NewTopic("hidden", 1, 1), NewTopic("shown", 1, 1)])["shown"].result(10)
        assert topics(anna) == {"hidden", "shown"}
        assert topics(bert) == set()
        unprivileged = AdminClient(bert)
        with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
            unprivileged.create_topics([NewTopic("mine", 1, 1)])["mine"].result(10)
        allowed = AclBinding(
            ResourceType.TOPIC,
            "shown",
            ResourcePatternType.LITERAL,
            "User:bert",
            "*",
            AclOperation.DESCRIBE,
            AclPermissionType.ALLOW,
        )
        admin.create_acls([allowed])[allowed].result(10)
        assert topics(bert) == {"shown"}
        refused({**anna, "sasl.password": "wrong"})
        untrusting = {key: value for key, value in anna.items() if key != "ssl.ca.location"}
        refused(untrusting)


def test_certificates_on_both_sides(tmp_path):
    asked = Security("SSL", users={"anna": ""}, mutual=True)
    with KafkaBroker(tmp_path, security=asked) as kafka:
        anna = kafka.client_config("anna")
        assert topics(anna) == set()
        nobody = {k: v for k, v in anna.items() if not k.startswith(("ssl.cert", "ssl.key"))}
        refused(nobody)


def test_a_token_of_an_identity_provider(tmp_path):
    with IdentityProvider(USERS) as provider:
        asked = Security("SASL_PLAINTEXT", "OAUTHBEARER", USERS, provider=provider.url)
        with KafkaBroker(tmp_path, security=asked) as kafka:
            anna = kafka.client_config("anna")
            assert topics(anna) == set()
            refused({**anna, "sasl.oauthbearer.client.secret": "wrong"})
