"""An OpenID Connect provider on loopback: it hands out tokens for client credentials.

It offers what a Kafka broker with SASL/OAUTHBEARER and its clients need of Keycloak, Okta or Entra
ID: a token endpoint, and the public key that the tokens are signed with.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "kafka"
KEY_ID = "textmod-dev"
TOKEN_SECONDS = 300


class IdentityProvider:
    """Issues signed tokens whose subject is the client's id, for the scope it asks for.

    Attributes:
        url: where it answers; known from the start.
        requests: how many tokens were asked for.

    Args:
        clients: id -> secret.
        certificate: (certificate, private key) files to serve HTTPS with; None for HTTP.
        lifetime: of a token, in seconds.
    """

    def __init__(
        self,
        clients: Mapping[str, str],
        *,
        certificate: tuple[Path, Path] | None = None,
        lifetime: int = TOKEN_SECONDS,
    ) -> None:
        self.clients = dict(clients)
        self.requests = 0
        self._lifetime = lifetime
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def token_url(self) -> str:
        """Where clients ask for tokens."""
        return f"{self.url}/token"

    @property
    def issuer(self) -> str:
        """The tokens' `iss`."""
        return self.url

    def keys(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        numbers = self._key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": KEY_ID,
            "n": _base64(numbers.n.to_bytes(256, "big")),
            "e": _base64(numbers.e.to_bytes(3, "big")),
        }
        return {"keys": [key]}

    def token(self, client: str, scope: str = "") -> str:
        """A signed token for this client."""
        now = int(time.time())
        header = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        claims = {
            "iss": self.issuer,
            "sub": client,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + self._lifetime,
            "jti": str(uuid.uuid4()),
            **({"scope": scope} if scope else {}),
        }
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"

    def answer(self, authorization: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """(HTTP status, JSON) of a request for a token."""
        self.requests += 1
        client, secret = _basic(authorization)
        if form.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        if not client or self.clients.get(client) != secret:
            return 401, {"error": "invalid_client", "error_description": "wrong id or secret"}
        token = self.token(client, form.get("scope", ""))
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self._lifetime}

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(provider: IdentityProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, provider.keys())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._send(*provider.answer(self.headers.get("Authorization", ""), form))

        def _send(self, status: int, answer: dict[str, Any]) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Log nothing: a test reads what it needs from the provider."""

    return Handler


def _basic(authorization: str) -> tuple[str, str]:
    """Client id and secret of HTTP basic authentication, as they are: neither librdkafka nor
    Kafka's own client encodes them first, as RFC 6749 (2.3.1) wants."""
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    client, _, secret = base64.b64decode(encoded).decode().partition(":")
    return client, secret


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
