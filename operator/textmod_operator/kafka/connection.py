"""How clients reach one Kafka cluster: their configuration, their credentials, and why they fail.

Pure: no client is made and no file is read here. Errors become one sentence with the cause of each
bootstrap server, as far as the client reported one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from textmod_operator.errors import TopicsNotReady
from textmod_operator.kafka.tokens import librdkafka_callback
from textmod_operator.state import KafkaConnection

REQUEST_SECONDS: Final = 6.0
"""A request that takes longer counts as Kafka being unreachable."""
SETUP_SECONDS: Final = 5.0
"""Time to connect, TLS handshake and login included."""

# librdkafka's local codes are public under these names.
UNREACHABLE: Final = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._DESTROY_BROKER,  # noqa: SLF001 - the connection was replaced meanwhile
        KafkaError._BAD_MSG,  # noqa: SLF001
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_CONTROLLER,
    }
)
UNAUTHENTICATED: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError._SSL,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)
UNAUTHORIZED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)


# --- credentials ----------------------------------------------------------------------------------

_BLOCK: Final = re.compile(
    r"-----BEGIN (?P<label>[A-Z0-9 ]+)-----[A-Za-z0-9+/=\s:,.-]*?-----END (?P=label)-----",
    re.ASCII,
)


@dataclass(frozen=True)
class BadCredential:
    """Why a PEM text of a Secret can't be used. `part` is "ca", "certificate" or "key"."""

    part: str
    why: str


@lru_cache(maxsize=1024)
def pem_blocks(text: str) -> str:
    """Return the PEM blocks of a text without the comments around them, which Python's ssl module
    refuses when they are not ASCII. Empty when there is none."""
    return "".join(f"{found.group(0)}\n" for found in _BLOCK.finditer(text.replace("\r", "")))


def with_plain_pem(connection: KafkaConnection) -> KafkaConnection:
    """Return the connection with nothing but PEM blocks in its PEM texts."""
    oauth = connection.oauth
    return replace(
        connection,
        oauth=oauth and replace(oauth, ca_pem=oauth.ca_pem and pem_blocks(oauth.ca_pem)),
        ca_pem=connection.ca_pem and pem_blocks(connection.ca_pem),
        certificate_pem=connection.certificate_pem and pem_blocks(connection.certificate_pem),
        key_pem=connection.key_pem and pem_blocks(connection.key_pem),
    )


@lru_cache(maxsize=1024)
def bad_credential(
    ca_pem: str | None, certificate_pem: str | None, key_pem: str | None
) -> BadCredential | None:
    """Return the first of a connection's PEM texts that can't be used; None when all can be.

    The sentence never quotes the text.
    """
    if ca_pem is not None and _certificate(ca_pem) is None:
        return BadCredential("ca", "it holds no PEM certificate that can be read")
    if certificate_pem is None or key_pem is None:
        return None
    return _bad_pair(certificate_pem, key_pem)


def _bad_pair(certificate_pem: str, key_pem: str) -> BadCredential | None:
    certificate, key = _certificate(certificate_pem), _public_key_of(key_pem)
    if certificate is None:
        return BadCredential("certificate", "it holds no PEM certificate that can be read")
    if key is None:
        return BadCredential("key", "it holds no unencrypted PEM private key that can be read")
    certified = _certified_key(certificate)
    if certified is None:
        return BadCredential("certificate", "its public key is of a kind that can't be read")
    if key != certified:
        return BadCredential("key", "the private key does not match the certificate")
    return None


def _certificate(text: str) -> x509.Certificate | None:
    """The first certificate of a text, if all of them can be read."""
    try:
        found = x509.load_pem_x509_certificates(pem_blocks(text).encode())
    except ValueError:
        return None
    return found[0] if found else None


def _public_key_of(text: str) -> bytes | None:
    try:
        key = serialization.load_pem_private_key(pem_blocks(text).encode(), None)
    except Exception:  # noqa: BLE001 - encrypted keys are a TypeError, unsupported ones their own
        return None
    return _encoded(key.public_key())


def _certified_key(certificate: x509.Certificate) -> bytes | None:
    try:
        return _encoded(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return None


def _encoded(key: Any) -> bytes:  # noqa: ANN401 - any of the library's public keys
    encoded: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


# --- configuration --------------------------------------------------------------------------------


def client_config(connection: KafkaConnection, client_id: str) -> dict[str, Any]:
    """Return the configuration that every librdkafka client of the operator starts from."""
    return {
        **connection.librdkafka(),
        **({"oauth_cb": librdkafka_callback} if connection.aws_region else {}),
        "client.id": client_id,
        "log_level": 0,  # errors arrive through error_cb, with their code
        "socket.timeout.ms": int(REQUEST_SECONDS * 1000),
        "socket.connection.setup.timeout.ms": int(SETUP_SECONDS * 1000),
    }


# --- causes ---------------------------------------------------------------------------------------

_REPORTED: Final = re.compile(
    r"^(?:[a-z_0-9]+://)?(?P<server>[^/\s]+)/(?:bootstrap|\d+): (?P<text>.*)$", re.DOTALL
)
_STATE: Final = re.compile(r" \(after \d+ms in state [A-Z0-9_]+(?:, [^)]*)?\)")


_NO_TOKEN: Final = "Failed to acquire SASL OAUTHBEARER token: "  # noqa: S105 - librdkafka's words
_PROVIDER_ERROR: Final = re.compile(r'"error"\s*:\s*"([A-Za-z0-9_.-]{1,64})"', re.ASCII)
_PROVIDER_UNREACHABLE: Final = re.compile(
    r"^(Failed to connect|Could not (resolve|connect)|SSL|Connection timed|Operation timed|"
    r"Timeout|Failed sending|Recv failure|Empty reply)",
    re.IGNORECASE,
)


class Causes:
    """What a librdkafka client reported about each server since it last got an answer."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._servers = tuple(connection.bootstrap_servers.split(","))
        self._noted: dict[str, KafkaError] = {}
        self._no_token: KafkaError | None = None

    def note(self, error: KafkaError) -> None:
        """Note an error; the client's `error_cb`."""
        found = _REPORTED.match(error.str())
        if found is not None:
            self._noted[found["server"]] = error
        elif error.str().startswith(_NO_TOKEN):
            self._no_token = error

    def clear(self) -> None:
        """Forget all errors: a server answered."""
        self._noted.clear()
        self._no_token = None

    @property
    def refused_login(self) -> KafkaError | None:
        """The error of a server that refused our credentials, or whose certificate we refused; or
        of the provider that gave no token to log in with."""
        if self._no_token is not None:
            return self._no_token
        noted = list(self._noted.values())  # another thread may note one meanwhile
        refused = (e for e in noted if e.code() in UNAUTHENTICATED)
        return next(refused, None)

    def sentence(self) -> str:
        """Return the cause for each bootstrap server, then for brokers that they led to."""
        servers = dict.fromkeys((*self._servers, *self._noted))
        return "; ".join(f"{server}: {self._cause(server)}" for server in servers)

    def _cause(self, server: str) -> str:
        error = self._noted.get(server)
        return "no answer in time" if error is None else cause(error)


def cause(error: KafkaError) -> str:
    """Return in a few words why a connection failed."""
    found = _REPORTED.match(error.str())
    text = _STATE.sub("", found["text"] if found else error.str()).strip().rstrip(".")
    code = error.code()
    if code == KafkaError._RESOLVE:  # noqa: SLF001
        return "the host name can't be resolved"
    if "Connection refused" in text:
        return "connection refused"
    if "timed out" in text.lower() or code == KafkaError._TIMED_OUT:  # noqa: SLF001
        return "no answer in time"
    if code == KafkaError._SSL:  # noqa: SLF001
        return f"TLS failed: {text}"
    if code == KafkaError._BAD_MSG:  # noqa: SLF001
        return "what answers there is not Kafka, or expects TLS"
    return text


def _no_token_words(text: str) -> str:
    """Why the token endpoint gave no token. Of its answer only the error code is repeated: the
    address is a user's choice, and what answers there may hold secrets."""
    if found := _PROVIDER_ERROR.search(text):
        return f"the token endpoint answered {found[1]}"
    if _PROVIDER_UNREACHABLE.search(text) and len(text) < 300:
        return f"the token endpoint can't be reached: {text.rstrip('.')}"
    return "the token endpoint's answer holds no token"


def words(error: BaseException) -> str:
    """Return a client's own words for an error, without a full stop."""
    inner = error.args[0] if isinstance(error, KafkaException) and error.args else None
    if isinstance(inner, KafkaError):
        return str(inner.str()).rstrip(".")
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error).rstrip(".") or type(error).__name__


# --- errors as conditions -------------------------------------------------------------------------


def problem(
    connection: KafkaConnection, error: KafkaError, doing: str, causes: Causes
) -> TopicsNotReady:
    """Return the condition that an error of a Kafka request is.

    Args:
        connection: where the request went.
        error: what the client answered.
        doing: the request, such as "creating topic x".
        causes: what the client reported about the servers.
    """
    code = error.code()
    if code in UNREACHABLE and (refused := causes.refused_login) is not None:
        # A refused login shows only as a time-out here; the client itself was told why.
        error, code = refused, refused.code()
    if code in UNAUTHENTICATED:
        return _refused_login(connection, error)
    if code in UNAUTHORIZED:
        return TopicsNotReady(
            "AuthorizationFailed",
            f"{doing}: {error.str()}; allow it to user {connection.login}",
        )
    if code == KafkaError.INVALID_REPLICATION_FACTOR:
        return TopicsNotReady(
            "ReplicationFactorTooHigh",
            f"{doing}: {error.str()}; lower replicationFactor, or add brokers",
        )
    if code in (KafkaError.INVALID_CONFIG, KafkaError.POLICY_VIOLATION):
        return TopicsNotReady("ConfigDrift", f"{doing}: {error.str()}; mend topics.*.config")
    if code in UNREACHABLE:
        return unreachable(doing, causes.sentence())
    return TopicsNotReady("KafkaUnreachable", f"{doing}: {error.str()}")


def _refused_login(connection: KafkaConnection, error: KafkaError) -> TopicsNotReady:
    text = error.str()
    if text.startswith(_NO_TOKEN):
        return no_token(connection, _no_token_words(text.removeprefix(_NO_TOKEN)))
    return TopicsNotReady(
        "AuthenticationFailed",
        f"Kafka at {connection.bootstrap_servers} refused the login: {text}; check "
        "spec.kafka.sasl, spec.kafka.tls and their Secrets",
    )


def no_token(connection: KafkaConnection, why: str) -> TopicsNotReady:
    """Return the condition of a login without a token."""
    return TopicsNotReady(
        "AuthenticationFailed",
        f"no token to log in to Kafka at {connection.bootstrap_servers} with: {why}; check "
        "spec.kafka.sasl and its Secrets",
    )


def unreachable(doing: str, why: str) -> TopicsNotReady:
    """Return the condition of a Kafka cluster that does not answer."""
    return TopicsNotReady(
        "KafkaUnreachable",
        f"{doing}: {why}; check spec.kafka.bootstrapServers, and that the brokers run and can be "
        "reached from the operator",
    )
