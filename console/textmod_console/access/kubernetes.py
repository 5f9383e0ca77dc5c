"""The door to the API server: `TokenReview` and `SubjectAccessReview`.

The service account needs the right to create these two and no other (the chart's ClusterRole
`textmoderation-console`).
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from textmod_console.access.person import Permission, Person
from textmod_console.errors import ConfigurationError, ConsoleError

_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT = httpx.Timeout(5.0, connect=2.0)
PAUSE_SECONDS = 2.0
"""After a request without an answer the next ones fail at once: a page asks for several rights, and
would wait for each, in a thread that others need."""


class ApiServerError(ConsoleError):
    """The API server did not answer, or its answer can't be used."""


class ApiServer:
    """TokenReview and SubjectAccessReview over one pool of connections; safe for threads."""

    def __init__(
        self,
        client: httpx.Client,
        token: Token,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._token = token
        self._monotonic = monotonic
        self._away: tuple[float, str] | None = None
        """Until when no request is sent, and why."""

    def token_review(self, token: str) -> Person | None:
        """Return the owner of `token`, None if it is not valid. Raises ApiServerError."""
        answer = self._create(
            "/apis/authentication.k8s.io/v1/tokenreviews",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": token},
            },
        )
        user = answer.get("user")
        if answer.get("authenticated") is not True or not isinstance(user, dict):
            return None
        name = user.get("username")
        if not isinstance(name, str) or not name:
            return None
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        return Person(name, tuple(user.get("groups") or ()), extra)

    def may(self, person: Person, permission: Permission, namespace: str, name: str) -> bool:
        """Whether RBAC allows it for this TextModeration. Raises ApiServerError."""
        answer = self._create(
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": person.name,
                    "groups": list(person.groups),
                    "extra": {key: list(values) for key, values in person.extra.items()},
                    "resourceAttributes": {
                        "group": "textmoderation.dev",
                        "resource": "textmoderations",
                        "subresource": permission.subresource,
                        "verb": permission.verb,
                        "namespace": namespace,
                        "name": name,
                    },
                },
            },
        )
        return answer.get("allowed") is True and answer.get("denied") is not True

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _create(self, path: str, review: Mapping[str, Any]) -> Mapping[str, Any]:
        away = self._away
        if away is not None and self._monotonic() < away[0]:
            raise ApiServerError(away[1])
        try:
            response = self._client.post(path, json=review, headers=self._token.header())
        except (httpx.HTTPError, OSError) as error:
            # The type alone: an error's text could repeat the request, which holds a token.
            message = f"the API server did not answer ({type(error).__name__})"
            self._away = self._monotonic() + PAUSE_SECONDS, message
            raise ApiServerError(message) from None
        self._away = None
        if response.status_code not in {200, 201}:
            message = (
                f"the API server answered {response.status_code} to {review['kind']}: "
                "bind the console's service account to the ClusterRole textmoderation-console"
                if response.status_code == 403
                else f"the API server answered {response.status_code} to {review['kind']}"
            )
            raise ApiServerError(message)
        try:
            status = response.json()["status"]
        except (ValueError, KeyError, TypeError):
            status = None
        if not isinstance(status, dict):
            message = f"the API server's answer to {review['kind']} has no status"
            raise ApiServerError(message)
        return status


class Token:
    """The console's own credential: a file is read again at each use, because it rotates."""

    def __init__(self, file: Path | None = None, value: str | None = None) -> None:
        self._file = file
        self._value = value

    def header(self) -> dict[str, str]:
        """Return the Authorization header, none without a token."""
        value = self._file.read_text().strip() if self._file is not None else self._value
        return {"Authorization": f"Bearer {value}"} if value else {}


def connect(kubeconfig: Path | None) -> ApiServer:
    """Open the door with a kubeconfig, else with the pod's service account.

    Raises:
        ConfigurationError: neither is there, or the kubeconfig can't be used.
    """
    if kubeconfig is not None:
        try:
            return _of_kubeconfig(kubeconfig)
        except (OSError, yaml.YAMLError, KeyError, StopIteration, TypeError, ValueError) as error:
            message = (
                f"TEXTMOD_CONSOLE_KUBECONFIG={kubeconfig} can't be used "
                f"({type(error).__name__}): name a kubeconfig with a server and a token or a "
                "client certificate."
            )
            raise ConfigurationError(message) from None
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if not host or not (_POD / "token").exists():
        message = (
            "The console has no API server to check tokens and rights at: run it in a pod with a "
            "service account, or set TEXTMOD_CONSOLE_KUBECONFIG."
        )
        raise ConfigurationError(message)
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    address = f"[{host}]" if ":" in host else host
    trust = ssl.create_default_context(cafile=str(_POD / "ca.crt"))
    return ApiServer(_client(f"https://{address}:{port}", trust), Token(file=_POD / "token"))


def _client(server: str, trust: ssl.SSLContext) -> httpx.Client:
    return httpx.Client(base_url=server, verify=trust, timeout=_TIMEOUT, trust_env=False)


def _of_kubeconfig(path: Path) -> ApiServer:
    config = yaml.safe_load(path.read_text())
    current = config.get("current-context")
    context = _named(config["contexts"], current)["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"]
    trust = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"),
        cadata=_decoded(cluster.get("certificate-authority-data")),
    )
    _load_client_certificate(trust, user)
    file = user.get("tokenFile")
    token = Token(file=Path(file) if file else None, value=user.get("token"))
    return ApiServer(_client(cluster["server"], trust), token)


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _decoded(data: str | None) -> str | None:
    return None if data is None else base64.b64decode(data).decode()


def _load_client_certificate(trust: ssl.SSLContext, user: Mapping[str, Any]) -> None:
    if "client-certificate" in user:
        trust.load_cert_chain(user["client-certificate"], user["client-key"])
    elif "client-certificate-data" in user:
        # The ssl module reads files only; these two are gone before the next line.
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
            key.touch(mode=0o600)
            certificate.write_text(_decoded(user["client-certificate-data"]) or "")
            key.write_text(_decoded(user["client-key-data"]) or "")
            trust.load_cert_chain(certificate, key)
