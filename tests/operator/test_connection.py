"""Credentials that can't be used, and the causes that clients report."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from kafka_admin_fake import refused_by, unresolved

from textmod_operator.errors import TopicsNotReady
from textmod_operator.kafka.connection import Causes, bad_credential, pem_blocks, with_plain_pem
from textmod_operator.kafka.requests import AdminRequests
from textmod_operator.state import KafkaConnection

KEY = ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    return text.decode()


def certificate_pem() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kafka")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


CERTIFICATE = certificate_pem()
GARBAGE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("ca", "certificate", "key", "part"),
    [
        (None, None, None, None),
        (CERTIFICATE, CERTIFICATE, key_pem(KEY), None),
        (CERTIFICATE * 2, None, None, None),
        (f"# Zertifizierungsstelle für Köln ☂\r\n{CERTIFICATE}", None, None, None),
        ("", None, None, "ca"),
        ("no certificate", None, None, "ca"),
        (GARBAGE, None, None, "ca"),
        (CERTIFICATE + GARBAGE, None, None, "ca"),
        (key_pem(KEY), None, None, "ca"),
        (CERTIFICATE[:200], None, None, "ca"),
        ("\udcff\x00", None, None, "ca"),
        (None, GARBAGE, key_pem(KEY), "certificate"),
        (None, CERTIFICATE, "", "key"),
        (None, CERTIFICATE, CERTIFICATE, "key"),
        (None, CERTIFICATE, key_pem(KEY, b"secret"), "key"),
        (None, CERTIFICATE, key_pem(ec.generate_private_key(ec.SECP256R1())), "key"),
    ],
)
def test_what_cannot_be_used_is_named_and_not_quoted(
    ca: str | None, certificate: str | None, key: str | None, part: str | None
) -> None:
    bad = bad_credential(ca, certificate, key)
    assert (bad.part if bad else None) == part
    assert bad is None or "BEGIN" not in bad.why


@given(st.text(), st.sampled_from([CERTIFICATE, GARBAGE, ""]), st.integers(0, 700))
def test_no_text_raises(text: str, block: str, cut: int) -> None:
    mixed = block[:cut] + text + block[cut:]
    bad_credential(mixed, None, None)
    bad_credential(None, mixed, key_pem(KEY))
    bad_credential(None, CERTIFICATE, mixed)


def test_comments_do_no_harm_to_the_clients() -> None:
    commented = KafkaConnection("kafka:9093", tls=True, ca_pem=f"# für alle\r\n{CERTIFICATE}\n# ☂")
    plain = with_plain_pem(commented)
    assert plain.ca_pem == CERTIFICATE
    ssl.create_default_context(cadata=pem_blocks(commented.ca_pem or ""))


def test_every_server_has_its_cause() -> None:
    causes = Causes(KafkaConnection("a:1,b:2,c:3,d:4"))
    causes.note(refused_by("a:1"))
    causes.note(unresolved("b:2"))
    causes.note(
        KafkaError(
            KafkaError._SSL,
            "ssl://c:3/bootstrap: SSL handshake failed: certificate verify failed: unable to get "
            "local issuer certificate (after 3ms in state SSL_HANDSHAKE)",
        )
    )
    causes.note(KafkaError(KafkaError._ALL_BROKERS_DOWN, "4/4 brokers are down"))
    assert causes.sentence() == (
        "a:1: connection refused; b:2: the host name can't be resolved; c:3: TLS failed: SSL "
        "handshake failed: certificate verify failed: unable to get local issuer certificate; "
        "d:4: no answer in time"
    )
    assert causes.refused_login is not None
    causes.clear()
    assert causes.sentence().count("no answer in time") == 4


def test_brokers_that_the_servers_led_to_are_named_too() -> None:
    causes = Causes(KafkaConnection("a:1"))
    text = "kafka-2:9092/2: Connection setup timed out in state CONNECT (after 5002ms in state X)"
    causes.note(KafkaError(KafkaError._TRANSPORT, text))
    assert causes.sentence() == "a:1: no answer in time; kafka-2:9092: no answer in time"


@pytest.mark.parametrize("kept", ["traceback", "reference"])
def test_a_closed_client_leaves_no_thread_whoever_holds_on_to_it(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real one, on an address where nobody listens. The frames of the failed request refer to
    it, and a profiler, a debugger or a logger may keep those for ever."""
    monkeypatch.setattr("textmod_operator.kafka.requests.REQUEST_SECONDS", 0.05)
    before = threads_of_clients()
    requests = AdminRequests(KafkaConnection("127.0.0.1:1"))
    held: object = requests.client
    if kept == "traceback":
        with pytest.raises(TopicsNotReady) as failed:
            requests.list_topics()
        held = failed
    started = threads_of_clients() - before
    assert started
    requests.close()
    assert not started & threads_of_clients()
    del held


def threads_of_clients() -> set[str]:
    """The threads of this process that librdkafka started."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if (task / "comm").read_text().startswith("rdk:"):
                found.add(task.name)
    return found
