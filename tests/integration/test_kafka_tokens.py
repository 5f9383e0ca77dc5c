"""Logins with tokens, on a real broker with Kafka's own validator: the operator's two clients and
the model server's get in, and say why they don't. AWS's chain of credentials asks a token service
on loopback.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer

from textmod_dev.certificates import CertificateAuthority
from textmod_dev.identity_provider import IdentityProvider
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.kafka_security import Security
from textmod_model import settings
from textmod_model.errors import ConfigurationError
from textmod_model.stream import aws, kafka_config
from textmod_model.stream.kafka import open_producer_with
from textmod_operator.errors import TopicsNotReady
from textmod_operator.kafka.admin import KafkaAdmin
from textmod_operator.kafka.offsets import GroupOffsets
from textmod_operator.kafka.tokens import TokenError, ask_aws, ask_provider
from textmod_operator.state import KafkaConnection, OAuthClient, Topic

pytestmark = pytest.mark.integration

CLIENTS = {"anna": "anna secret: 100 % & more"}
SECRET = CLIENTS["anna"]


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider(CLIENTS) as running:
        yield running


@pytest.fixture(scope="module")
def kafka(
    provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaBroker]:
    asked = Security("SASL_PLAINTEXT", "OAUTHBEARER", CLIENTS, provider=provider.url)
    with KafkaBroker(tmp_path_factory.mktemp("kafka"), security=asked) as running:
        yield running


def connection(kafka: KafkaBroker, provider: IdentityProvider, secret: str) -> KafkaConnection:
    client = OAuthClient(provider.token_url, "anna", secret)
    return KafkaConnection(kafka.bootstrap_servers, "OAUTHBEARER", oauth=client)


def test_the_operator_gets_in(kafka: KafkaBroker, provider: IdentityProvider) -> None:
    at = connection(kafka, provider, SECRET)
    (seen,) = KafkaAdmin(at).ensure([Topic("input", "in", 2, True, 1, {})])
    assert seen.partitions == 2
    offsets = GroupOffsets(at, request_seconds=10)
    try:
        deadline = time.monotonic() + 30  # a broker that has just started looks for a coordinator
        while isinstance(found := offsets.fetch({"group": [("in", 0)]})["group"], str):
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
        assert found == {}
    finally:
        offsets.close()


def test_a_wrong_secret_is_told_as_what_it_is(
    kafka: KafkaBroker, provider: IdentityProvider
) -> None:
    at = connection(kafka, provider, "wrong")
    with pytest.raises(TopicsNotReady) as problem:
        KafkaAdmin(at).partitions()
    assert problem.value.reason == "AuthenticationFailed"
    assert "invalid_client" in str(problem.value)
    (why,) = GroupOffsets(at, request_seconds=5).fetch({"group": [("in", 0)]}).values()
    assert "HTTP 401 invalid_client" in why
    assert "wrong" not in str(problem.value) + str(why)


def test_the_model_server_gets_in(kafka: KafkaBroker, provider: IdentityProvider) -> None:
    options = kafka_config.client(
        settings.load(
            {
                "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                "TEXTMOD_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                "TEXTMOD_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
                "TEXTMOD_KAFKA_OAUTH_TOKEN_ENDPOINT_URL": provider.token_url,
                "TEXTMOD_KAFKA_OAUTH_CLIENT_ID": "anna",
                "TEXTMOD_KAFKA_OAUTH_CLIENT_SECRET": SECRET,
            }
        )
    )
    assert Producer(options).list_topics(timeout=20).brokers


def test_a_provider_with_a_ca_of_its_own(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, "ca")
    pair = authority.issue("provider", "provider", hosts=["127.0.0.1"])
    with IdentityProvider(CLIENTS, certificate=(pair.certificate, pair.key)) as provider:
        ca = (tmp_path / "ca.crt").read_text()
        trusting = OAuthClient(provider.token_url, "anna", SECRET, ca_pem=ca)
        assert ask_provider(trusting, 5).seconds == 300
        with pytest.raises(TokenError, match="certificate verify failed"):
            ask_provider(OAuthClient(provider.token_url, "anna", SECRET), 5)


class TokenService(BaseHTTPRequestHandler):
    """AWS's security token service, as far as a role for a ServiceAccount needs it."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert "Action=AssumeRoleWithWebIdentity" in asked
        assert "WebIdentityToken=a-projected-token" in asked
        answer = (
            b'<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            b"<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId>"
            b"<SecretAccessKey>s</SecretAccessKey><SessionToken>session</SessionToken>"
            b"<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>"
            b"<Arn>arn:aws:sts::1:assumed-role/r/x</Arn><AssumedRoleId>A:x</AssumedRoleId>"
            b"</AssumedRoleUser></AssumeRoleWithWebIdentityResult>"
            b"</AssumeRoleWithWebIdentityResponse>"
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The environment that EKS gives to a pod whose ServiceAccount has a role."""
    server = HTTPServer(("127.0.0.1", 0), TokenService)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    token = tmp_path / "token"
    token.write_text("a-projected-token")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_address[1]}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("role")
def test_a_login_to_msk_is_signed_with_the_role_of_the_service_account() -> None:
    given = ask_aws("eu-central-1")
    assert 800 < given.seconds <= 900
    for text in (given.text, aws.token("eu-central-1").text):
        signed = base64.urlsafe_b64decode(text + "==").decode()
        assert signed.startswith("https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster")
        assert "ASIAEXAMPLE" in signed


def test_without_credentials_that_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(aws, "token", aws.Tokens(aws.sign).token)  # another process, without any
    with pytest.raises(TokenError, match="no credentials"):
        ask_aws("eu-central-1")
    with pytest.raises(TopicsNotReady) as problem:
        KafkaAdmin(
            KafkaConnection("127.0.0.1:9", "AWS_MSK_IAM", tls=True, aws_region="eu-central-1")
        )
    assert problem.value.reason == "AuthenticationFailed"
    aws_login = {"sasl.mechanism": "OAUTHBEARER", kafka_config.AWS_REGION: "eu-central-1"}
    with pytest.raises(ConfigurationError, match="gave this pod no credentials"):
        open_producer_with({"bootstrap.servers": "127.0.0.1:9", **aws_login})


def test_librdkafkas_wheel_has_no_kerberos() -> None:
    """Why the API has no GSSAPI. When this fails, it can have it."""
    kerberos = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "GSSAPI"}
    with pytest.raises(KafkaException, match="No provider for SASL mechanism GSSAPI"):
        Producer({"bootstrap.servers": "127.0.0.1:9", **kerberos})
