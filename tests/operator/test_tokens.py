"""Logins with tokens: kept for most of their life; why there is none becomes the condition."""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.message import Message
from http.client import BadStatusLine
from pathlib import Path
from urllib.response import addinfourl

import pytest
from confluent_kafka import KafkaError

from textmod_operator.kafka.connection import Causes, client_config, problem
from textmod_operator.kafka.tokens import (
    Token,
    TokenError,
    TokenSource,
    ask_provider,
    librdkafka_callback,
)
from textmod_operator.serving.certificates import AUTHORITY, CERTIFICATE, KEY, renewed
from textmod_operator.state import KafkaConnection, OAuthClient

Endpoint = Callable[[Iterable[bytes], float], OAuthClient]
"""Answers the next request with these parts, with a pause in seconds after each."""

URL = "https://login.example.com/token"
OAUTH = KafkaConnection(
    "kafka:9092", "OAUTHBEARER", tls=True, oauth=OAuthClient(URL, "anna", "s3cret", "kafka", "CA")
)
AWS = KafkaConnection("kafka:9098", "AWS_MSK_IAM", tls=True, aws_region="eu-central-1")


class Provider:
    """Gives numbered tokens, or none."""

    def __init__(self, seconds: float) -> None:
        self.asked = 0
        self.refuses = False
        self._seconds = seconds

    def __call__(self) -> Token:
        self.asked += 1
        if self.refuses:
            raise TokenError("no")
        return Token(f"token-{self.asked}", self._seconds)


def test_a_token_is_kept_for_most_of_its_life() -> None:
    now, provider = [0.0], Provider(100)
    source = TokenSource(provider, lambda: now[0])
    given = []
    for now[0] in (0.0, 79.0, 80.0, 120.0, 161.0):
        given.append(source.token())
    assert given == ["token-1", "token-1", "token-2", "token-2", "token-3"]


def test_a_refusal_is_not_kept_and_an_old_token_is_not_used_instead() -> None:
    now, provider = [0.0], Provider(100)
    source = TokenSource(provider, lambda: now[0])
    source.token()
    now[0], provider.refuses = 90.0, True
    with pytest.raises(TokenError):
        source.token()
    provider.refuses = False
    assert source.token() == "token-3"


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://login.example.com:x/token", None),  # the URL's pattern takes it
        (URL, BadStatusLine("\x15\x03\x01")),  # http to a port that speaks TLS
        (URL, "[" * 100_000),
        (URL, "{}"),
    ],
)
def test_an_endpoint_that_is_none_gives_no_token(
    monkeypatch: pytest.MonkeyPatch, url: str, answer: Exception | str | None
) -> None:
    def answered(*_: object, **__: object) -> io.BytesIO:
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO((answer or "").encode())

    if answer is not None:
        monkeypatch.setattr(urllib.request.OpenerDirector, "open", answered)
    with pytest.raises(TokenError, match="gave no token") as raised:
        ask_provider(OAuthClient(url, "anna", "s3cret"), 5)
    assert "s3cret" not in str(raised.value)


@pytest.fixture(params=["http", "https"])
def endpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Endpoint]:
    """A token endpoint whose answer a test sends itself."""
    authority, context = None, None
    if request.param == "https":
        data = renewed({}, "localhost", datetime.now(UTC))
        authority = data[AUTHORITY].decode()
        (tmp_path / "both.pem").write_bytes(data[KEY] + data[CERTIFICATE])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "both.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"{request.param}://localhost:{server.getsockname()[1]}/"

        def answer(parts: Iterable[bytes], pause: float) -> OAuthClient:
            def send() -> None:
                with contextlib.suppress(OSError):
                    connection, _ = server.accept()
                    with context.wrap_socket(connection, True) if context else connection as one:
                        for part in parts:
                            one.sendall(part)
                            time.sleep(pause)

            threading.Thread(target=send, daemon=True).start()
            return OAuthClient(url, "anna", "s3cret", ca_pem=authority)

        yield answer


def test_a_token_is_read_from_an_answer_in_parts(endpoint: Endpoint) -> None:
    parts = [b"HTTP/1.1 200 OK\r\nContent-", b"Length: 23\r\n\r\n", b'{"access_token', b'": "abc"}']
    assert ask_provider(endpoint(parts, 0.05), 5).text == "abc"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    ids=str,
)
def test_an_endpoint_that_answers_drop_by_drop_is_given_up(endpoint: Endpoint, head: bytes) -> None:
    """Its address is the object's author's, and the threads that wait are everybody's."""
    client, began = endpoint([head, *([b"H"] * 60)], 0.05), time.monotonic()
    says = "refused: HTTP 400" if b"400" in head else "in time"
    with pytest.raises(TokenError, match=says):
        ask_provider(client, 0.5)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (302, b"", "refused: HTTP 302"),  # the credentials go nowhere else
        (400, b'{"error": "invalid_scope"}', "refused: HTTP 400 invalid_scope"),
        (400, b'{"error": "%s"}' % (b"a" * 65), "refused: HTTP 400"),
        (400, b'{"error": "no, secret"}', "refused: HTTP 400"),
    ],
)
def test_a_refusal_has_the_status_and_the_standards_code(
    monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, says: str
) -> None:
    asked = []

    def answered(_: object, request: urllib.request.Request) -> addinfourl:
        asked.append(request.full_url)
        headers = Message()
        headers["Location"] = "http://elsewhere.example.com/"
        answer = addinfourl(io.BytesIO(body), headers, request.full_url, status)
        answer.msg = "said"  # type: ignore[attr-defined]  # as urllib's own handler sets it
        return answer

    monkeypatch.setattr(urllib.request.HTTPHandler, "http_open", answered)
    url = "http://login.example.com/token"
    with pytest.raises(TokenError, match=f"{says}$"):
        ask_provider(OAuthClient(url, "anna", "s3cret"), 5)
    assert asked == [url]


def test_librdkafka_asks_the_provider_itself() -> None:
    config = client_config(OAUTH, "test")
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "OAUTHBEARER"
    assert config["sasl.oauthbearer.method"] == "oidc"
    assert config["sasl.oauthbearer.token.endpoint.url"] == URL
    assert config["sasl.oauthbearer.client.id"] == "anna"
    assert config["sasl.oauthbearer.client.secret"] == "s3cret"
    assert config["sasl.oauthbearer.scope"] == "kafka"
    assert config["https.ca.pem"] == "CA"
    assert "oauth_cb" not in config


def test_an_aws_login_is_oauthbearer_to_the_brokers_with_a_signed_token() -> None:
    config = client_config(AWS, "test")
    assert config["sasl.mechanism"] == "OAUTHBEARER"
    assert config["sasl.oauthbearer.config"] == "eu-central-1"
    assert config["oauth_cb"] is librdkafka_callback


def test_no_secret_is_shown() -> None:
    assert "s3cret" not in repr(OAUTH)


@pytest.mark.parametrize(
    ("librdkafka", "says"),
    [
        ('{"error": "invalid_client", "error_description": "x"}', "answered invalid_client;"),
        ("Failed to connect to 127.0.0.1:1: Could not connect to server", "can't be reached: Fail"),
        ("Could not resolve host: login.example.com", "can't be reached: Could not resolve host"),
        ('{"AccessKeyId": "AKIA", "SecretAccessKey": "x"}', "answer holds no token;"),
        ("<html>intranet</html>", "answer holds no token;"),
        ('{"error": "see <b>the intranet</b>"}', "answer holds no token;"),
    ],
)
def test_why_there_is_no_token_is_told_and_not_what_else_the_address_answers(
    librdkafka: str, says: str
) -> None:
    causes = Causes(OAUTH)
    text = f"Failed to acquire SASL OAUTHBEARER token: {librdkafka}"
    causes.note(KafkaError(KafkaError._AUTHENTICATION, text))
    timed_out = KafkaError(KafkaError._TRANSPORT, "Failed to get metadata")
    found = problem(OAUTH, timed_out, "listing the topics", causes)
    assert found.reason == "AuthenticationFailed"
    assert says in str(found)
    assert "intranet" not in str(found)
    assert "AKIA" not in str(found)
    causes.clear()
    assert problem(OAUTH, timed_out, "listing", causes).reason == "KafkaUnreachable"


def test_who_has_to_be_allowed_is_named() -> None:
    refused = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "no")
    assert "OAuth client anna" in str(problem(OAUTH, refused, "creating x", Causes(OAUTH)))
    assert "operator's AWS role" in str(problem(AWS, refused, "creating x", Causes(AWS)))
