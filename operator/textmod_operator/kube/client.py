"""Connections to the API server: requests, time-outs and errors. The one user of `kubernetes`."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from kubernetes.client import ApiClient, ApiException, Configuration
from kubernetes.client.rest import RESTResponse
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
from urllib3.exceptions import HTTPError

from textmod_operator import metrics
from textmod_operator.errors import ClusterError
from textmod_operator.kube.resources import path_of
from textmod_operator.state import Manifest, Ref

REQUEST_SECONDS: Final = 15.0
"""A request that has not been answered for so long has failed."""

SOCKET_OPTIONS: Final = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (
            ("TCP_KEEPIDLE", 10),
            ("TCP_KEEPINTVL", 5),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", 15_000),
        )
        if hasattr(socket, name)  # Linux has all of them
    ),
]
"""A connection whose other side is gone is closed after 25 s of silence, and what was sent is given
up after 15 s without an acknowledgement."""

MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"

_NOT_IN_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")

_NO_PATH: Final = re.compile(r"[^-a-zA-Z0-9._~:/]|//|/\.{1,2}(?=/|\Z)|/\Z")
"""In what is no path of segments as they are: urllib3 resolves dots, and names come from specs."""

Query = list[tuple[str, str]]


class Api(Protocol):
    """What the operator needs of an API server. `Client` is the real one."""

    def request(
        self,
        method: str,
        path: str,
        kind: str,
        *,
        body: Manifest | None = None,
        query: Query | None = None,
        content_type: str = "application/json",
        absent_is_none: bool = False,
        timeout: float = REQUEST_SECONDS,
    ) -> Manifest | None:
        """Send one request; the body of its answer.

        Args:
            kind: counted in the metrics.
            absent_is_none: return None for 404.
            timeout: seconds for each step of the connection and for each wait for bytes.

        Raises:
            ClusterError: the answer is no 2xx; status 0 when there is none.
        """
        ...

    def watch(
        self, path: str, query: Query, *, seconds: float, silence: float
    ) -> Iterator[Manifest]:
        """The events of one watch request, until the server ends it.

        Args:
            seconds: the server ends the watch after this time.
            silence: the connection counts as dead after so many seconds without a byte.

        Raises:
            ClusterError: the watch was refused, or the connection broke.
        """
        ...


def patch(
    api: Api,
    ref: Ref,
    body: Manifest,
    content_type: str = MERGE_PATCH,
    *,
    query: Query | None = None,
    subresource: str = "",
) -> Manifest:
    """Patch one object; the object afterwards.

    Raises:
        ClusterError: the API server refused.
    """
    path = path_of(ref) + subresource
    answer = api.request("PATCH", path, ref.kind, body=body, query=query, content_type=content_type)
    return answer or {}


class Client:
    """An `Api` over HTTPS. Thread-safe.

    Args:
        client: says where the API server is, and who we are.
    """

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def request(
        self,
        method: str,
        path: str,
        kind: str,
        *,
        body: Manifest | None = None,
        query: Query | None = None,
        content_type: str = "application/json",
        absent_is_none: bool = False,
        timeout: float = REQUEST_SECONDS,
    ) -> Manifest | None:
        """See `Api`."""
        code = 0
        try:
            response = self._send(method, path, query, body, content_type, timeout=timeout)
            text: bytes = response.read()
            code = response.status
        except (OSError, HTTPError) as error:
            raise ClusterError(0, str(error)) from error
        finally:
            metrics.API_REQUESTS.labels(method, kind, code).inc()
        if code == 404 and absent_is_none:
            return None
        if not 200 <= code < 300:
            raise ClusterError(code, _message(text))
        try:
            answer: Manifest = json.loads(text)
        except ValueError as error:  # a page of a proxy between here and there
            raise ClusterError(0, f"the answer is not JSON: {_message(text)}") from error
        return answer

    def watch(
        self, path: str, query: Query, *, seconds: float, silence: float
    ) -> Iterator[Manifest]:
        """See `Api`."""
        query = [*query, ("watch", "true"), ("timeoutSeconds", str(int(seconds)))]
        code, rest = 0, b""
        try:
            try:
                response = self._send("GET", path, query, timeout=(REQUEST_SECONDS, silence))
                code = response.status
            finally:
                metrics.API_REQUESTS.labels("WATCH", path.rpartition("/")[2], code).inc()
            if not 200 <= code < 300:
                raise ClusterError(code, _message(response.read()))
            try:
                for chunk in response.response.stream():
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from (json.loads(line) for line in lines if line)
            finally:
                response.response.close()
        except (OSError, HTTPError, ValueError) as error:
            raise ClusterError(0, str(error)) from error

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
        *,
        timeout: float | tuple[float, float] = REQUEST_SECONDS,
    ) -> RESTResponse:
        if _NO_PATH.search(path):
            raise ClusterError(400, f"{path} is not the path of an object")
        sent: Manifest | str | None = body
        if body is not None and content_type == APPLY_PATCH:
            sent = as_yaml(body)
        call = self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=query or [],
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=sent,
            auth_settings=["BearerToken"],
        )
        try:
            return self._client.call_api(*call, _request_timeout=timeout)
        except ApiException as error:
            raise ClusterError(error.status or 0, error.reason or str(error)) from error


def connect(kubeconfig: str | None, context: str | None = None) -> Client:
    """A client from a kubeconfig file or, without one, from the pod's service account.

    Raises:
        OSError: there is no usable kubeconfig or service account; the message says what to do.
    """
    configuration = Configuration()
    try:
        if kubeconfig:
            load_kube_config(kubeconfig, context, configuration)
        else:
            load_incluster_config(configuration)
    except ConfigException as error:
        said = str(error).rstrip(".")
        where = f"kubeconfig {kubeconfig}" if kubeconfig else "no kubeconfig, and not in a pod"
        raise OSError(f"{where}: {said}; name a kubeconfig with --kubeconfig") from error
    configuration.retries = False
    configuration.socket_options = SOCKET_OPTIONS
    return Client(ApiClient(configuration))


def kubeconfig_of_kubectl() -> str | None:
    """The kubeconfig that kubectl takes: $KUBECONFIG, else ~/.kube/config; None without either."""
    if named := os.environ.get("KUBECONFIG"):
        return named
    usual = Path.home() / ".kube" / "config"
    return str(usual) if usual.is_file() else None


def as_yaml(body: Manifest) -> str:
    """Return a manifest as text that is JSON and YAML at once.

    JSON writes a character beyond the first 65,536, such as an emoji, as two surrogates, which YAML
    refuses: such a character stands for itself. Those that YAML does not take, or takes for the end
    of a line, are escaped.
    """
    text = json.dumps(body, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return text[:300].decode(errors="replace")
