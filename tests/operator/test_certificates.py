from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.x509 import verification

from textmod_operator.kube.cluster import Cluster
from textmod_operator.serving.certificates import (
    LIFETIME,
    RENEW_BEFORE,
    FolderCertificate,
    KeyPair,
    OwnCertificate,
    renewed,
)
from textmod_operator.serving.metrics_api import TrustedProxy, _load

HOST = "metrics.textmod.svc"
NOW = datetime.datetime.now(datetime.UTC)
SOON = NOW + LIFETIME - RENEW_BEFORE + datetime.timedelta(days=1)
"""The first certificate is due by then, and has not ended."""
Data = Mapping[str, bytes]


def pair_of(data: Data) -> KeyPair:
    return KeyPair(data["tls.crt"], data["tls.key"])


def handshake(pair: KeyPair, authorities: bytes, host: str) -> None:
    """A real TLS handshake over a socket pair; raises what the client raises."""
    ours, theirs = socket.socketpair()
    server = TrustedProxy(None).context
    _load(server, pair)
    client = ssl.create_default_context(cadata=authorities.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT

    def serve() -> None:
        try:
            with server.wrap_socket(ours, server_side=True) as wrapped:
                wrapped.recv(1)
        except OSError:
            pass  # the client's own error is the one that is looked at

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(theirs, server_hostname=host) as wrapped:
            wrapped.sendall(b"x")
    finally:
        theirs.close()
        thread.join()


def verify(pair: KeyPair, authorities: bytes, at: datetime.datetime) -> None:
    """What a client would find at another time."""
    store = verification.Store(x509.load_pem_x509_certificates(authorities))
    verifier = verification.PolicyBuilder().store(store).time(at)
    leaf = x509.load_pem_x509_certificate(pair.certificate)
    verifier.build_server_verifier(x509.DNSName(HOST)).verify(leaf, [])


def test_a_made_certificate_is_verified_by_its_authority_and_for_its_host_alone() -> None:
    data = renewed({}, HOST, NOW)
    handshake(pair_of(data), data["ca.crt"], HOST)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname"):
        handshake(pair_of(data), data["ca.crt"], "other.textmod.svc")
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        handshake(pair_of(data), renewed({}, HOST, NOW)["ca.crt"], HOST)


def test_a_good_certificate_is_kept() -> None:
    data = renewed({}, HOST, NOW)
    assert renewed(data, HOST, NOW + LIFETIME - RENEW_BEFORE * 1.1) is data


def test_the_bundle_of_a_renewal_verifies_the_old_certificate_and_the_new() -> None:
    old = renewed({}, HOST, NOW)
    new = renewed(old, HOST, SOON)
    assert new["tls.crt"] != old["tls.crt"]
    for data in (old, new):
        verify(pair_of(data), new["ca.crt"], SOON)
    with pytest.raises(verification.VerificationError):
        verify(pair_of(new), old["ca.crt"], SOON)


def test_authorities_that_have_ended_leave_the_bundle() -> None:
    data: Data = {}
    for step in range(6):
        data = renewed(data, HOST, NOW + step * (LIFETIME - RENEW_BEFORE * 0.9))
    assert len(x509.load_pem_x509_certificates(data["ca.crt"])) == 2


@pytest.mark.parametrize(
    "damage",
    [
        {"tls.crt": b"no certificate"},
        {"tls.key": b"no key"},
        {"ca.crt": b""},
        {"ca.crt": b"no authority"},
        {"tls.key": renewed({}, HOST, NOW)["tls.key"]},
        {"ca.crt": renewed({}, HOST, NOW)["ca.crt"]},
    ],
    ids=["certificate", "key", "no authority", "bad authority", "other key", "other authority"],
)
def test_what_somebody_broke_is_made_anew(damage: dict[str, bytes]) -> None:
    good = renewed({}, HOST, NOW)
    mended = renewed({**good, **damage}, HOST, NOW)
    handshake(pair_of(mended), mended["ca.crt"], HOST)
    assert mended["tls.crt"] != good["tls.crt"]


def test_another_host_takes_another_certificate() -> None:
    data = renewed(renewed({}, "old.textmod.svc", NOW), HOST, NOW)
    handshake(pair_of(data), data["ca.crt"], HOST)


class Shared:
    """The Secret and the APIService that several replicas share, and who was trusted when."""

    def __init__(self) -> None:
        self.data: Data = {}
        self.trusted = b""

    def update_secret(self, _: str, __: str, change: Callable[[Data], Data]) -> Data:
        self.data = change(self.data)
        return self.data

    def trust(self, *identity: str, ca_pem: bytes | None = None) -> bool:
        *_, bundle = identity if ca_pem is None else (*identity, ca_pem)
        before, self.trusted = self.trusted, cast("Any", bundle)
        return before == self.trusted


def test_no_replica_ever_serves_what_is_not_trusted_yet() -> None:
    """Two replicas, looking in turn over three renewals."""
    shared = Shared()
    replicas = [OwnCertificate(cast("Cluster", shared), "textmod", "metrics") for _ in range(2)]
    serving: dict[int, KeyPair] = {}
    changes = 0
    for step in range(200):
        known = shared.trusted  # what API servers have heard of at the time of this look
        now = NOW + step * datetime.timedelta(days=1)
        pair = replicas[step % 2].look(now)
        if pair is not None:
            changes += 1
            if step % 2 in serving:
                verify(pair, known, now)
            serving[step % 2] = pair
        for current in serving.values():
            verify(current, shared.trusted, now)
    assert changes == 2 * 4
    assert serving[0] == serving[1]


def test_a_folder_is_served_again_when_its_files_change(tmp_path: Path) -> None:
    def write(data: Data) -> None:
        (tmp_path / "tls.crt").write_bytes(data["tls.crt"])
        (tmp_path / "tls.key").write_bytes(data["tls.key"])

    source = FolderCertificate(tmp_path)
    with pytest.raises(FileNotFoundError):
        source.look(NOW)
    first, second = renewed({}, HOST, NOW), renewed({}, HOST, NOW)
    write(first)
    assert source.look(NOW) == pair_of(first)
    assert source.look(NOW) is None
    write(second)
    assert source.look(NOW) == pair_of(second)
