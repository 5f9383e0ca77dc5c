"""The serving certificate of the metrics API, and how the API server comes to trust it.

Either somebody else (cert-manager) writes tls.crt and tls.key into a folder, or the operator makes
them itself and keeps them in a Secret that all its replicas share. Its own are renewed long before
they end, each time from the start: a new authority signs one certificate, and its key is thrown
away. Two rules keep the API answering meanwhile:

1. The APIService trusts a new authority before any replica serves what that signed.
2. It goes on to trust the old ones until they end, whichever replica still serves theirs.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from textmod_operator import naming
from textmod_operator.errors import ClusterError
from textmod_operator.kube.cluster import Cluster

LIFETIME: Final = datetime.timedelta(days=90)
RENEW_BEFORE: Final = datetime.timedelta(days=30)
"""A certificate that ends sooner is replaced."""
CLOCK_SKEW: Final = datetime.timedelta(hours=1)
"""By so much the clocks of the API servers may be behind."""
AUTHORITY, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"
"""The keys of the Secret (kubernetes.io/tls) and the names of the files in a folder."""

Data = Mapping[str, bytes]


@dataclass(frozen=True)
class KeyPair:
    """PEM."""

    certificate: bytes
    key: bytes

    @property
    def expiry(self) -> datetime.datetime:
        """When the certificate ends."""
        return x509.load_pem_x509_certificate(self.certificate).not_valid_after_utc


class CertificateSource(Protocol):
    """Where the serving certificate comes from."""

    def look(self, now: datetime.datetime) -> KeyPair | None:
        """The pair to serve from now on; None when that is the one of the last look."""
        ...


class FolderCertificate:
    """tls.crt and tls.key in a folder that somebody else keeps up to date."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._serving: KeyPair | None = None

    def look(self, now: datetime.datetime) -> KeyPair | None:  # noqa: ARG002 - the protocol's
        """See `CertificateSource`.

        Raises:
            OSError: a file can't be read.
        """
        files = (self._folder / CERTIFICATE, self._folder / KEY)
        pair = KeyPair(*(file.read_bytes() for file in files))
        if pair == self._serving:
            return None
        self._serving = pair
        return pair


class OwnCertificate:
    """A certificate that the replicas of the operator make, share and renew.

    Args:
        cluster: holds the Secret and the APIService.
        namespace: of the Service and of the Secret `naming.CERTIFICATE_SECRET`, which has to exist.
        service: Service that the API server reaches the metrics API by.
    """

    def __init__(self, cluster: Cluster, namespace: str, service: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._service = service
        self._serving: KeyPair | None = None

    def look(self, now: datetime.datetime) -> KeyPair | None:
        """See `CertificateSource`. Two replicas may look at the same time: one's pair wins.

        Raises:
            ClusterError: the Secret is not there, or the API server refused.
        """
        host = f"{self._service}.{self._namespace}.svc"
        secret = naming.CERTIFICATE_SECRET
        try:
            data = self._cluster.update_secret(
                self._namespace, secret, lambda data: renewed(data, host, now)
            )
        except ClusterError as error:
            if error.status != 404:
                raise
            raise ClusterError(
                404,
                f"Secret {self._namespace}/{secret} is not there: make an empty one of that name "
                "(`helm upgrade` does), or serve another certificate with --certificate-dir",
            ) from error
        trusted = self._cluster.trust(
            naming.METRICS_API_SERVICE, self._namespace, self._service, data[AUTHORITY]
        )
        pair = KeyPair(data[CERTIFICATE], data[KEY])
        # API servers hear of a new authority a moment after it is written: serve what it signed
        # from the next look on. A replica that serves nothing yet has nothing to wait for.
        if pair == self._serving or (self._serving is not None and not trusted):
            return None
        self._serving = pair
        return pair


def renewed(data: Data, host: str, now: datetime.datetime) -> Data:
    """The Secret's data as it should be: `data` itself while its certificate is good for `host`
    and for a while; else a new pair, with the authorities of the old ones that have not ended."""
    if _is_good(data, host, now):
        return data
    authority, pair = _issued(host, now)
    bundle = authority + b"".join(_pem(old) for old in _authorities(data, now))
    return {AUTHORITY: bundle, CERTIFICATE: pair.certificate, KEY: pair.key}


def _is_good(data: Data, host: str, now: datetime.datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(data[CERTIFICATE])
        key = serialization.load_pem_private_key(data[KEY], password=None)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        authorities = _authorities(data, now)
    except (KeyError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    return (
        key.public_key() == certificate.public_key()
        and host in names.get_values_for_type(x509.DNSName)
        and certificate.not_valid_after_utc - now > RENEW_BEFORE
        and any(authority.subject == certificate.issuer for authority in authorities)
    )


def _authorities(data: Data, now: datetime.datetime) -> list[x509.Certificate]:
    try:
        known = x509.load_pem_x509_certificates(data.get(AUTHORITY, b""))
    except ValueError:
        return []
    return [certificate for certificate in known if certificate.not_valid_after_utc > now]


def _issued(host: str, now: datetime.datetime) -> tuple[bytes, KeyPair]:
    """A new authority (PEM) and the one pair that it signs; its own key is kept nowhere."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    serial = x509.random_serial_number()
    # A name of its own: verifiers choose an authority of a bundle by its name.
    issuer = _named(f"{naming.FIELD_MANAGER} {serial:x}"[:64])
    authority = (
        _builder(issuer, issuer, authority_key.public_key(), now)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(_identifier(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _builder(_named(naming.FIELD_MANAGER), issuer, key.public_key(), now)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                _identifier(authority_key.public_key())
            ),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return _pem(authority), KeyPair(_pem(certificate), private)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _identifier(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
