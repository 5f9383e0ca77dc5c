"""The review console of one object in one pass: its Secrets, its permissions, its objects."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from textmod_operator import metrics, naming
from textmod_operator.api.review import Webhook
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.controller.apply import noted
from textmod_operator.controller.gather import console_seen
from textmod_operator.controller.refusals import problem_of
from textmod_operator.desired.console import ConsoleSecrets, wanted
from textmod_operator.errors import ClusterError, Problem, ReviewNotReady
from textmod_operator.kube.cluster import Cluster
from textmod_operator.state import Desired, Manifest, ObjectKey, Ref, WorkloadSeen

KEY_BYTES: Final = 32
SHORTEST_KEY: Final = 24
"""Bytes of a webhook's signing key; the console refuses a shorter one."""
SHORTEST_SECRET: Final = 16
"""Characters of a proxy's secret; the console refuses a shorter one."""
_SCHEMES: Final = ("postgresql", "postgres", "postgresql+psycopg")


@metrics.STEPS.labels("console_secrets").time()
def console_secrets(tm: TextModeration, cluster: Cluster) -> ConsoleSecrets:
    """Read the Secrets that the console alone reads, and check them.

    Raises:
        ReviewNotReady: DatabaseNotFound; SecretNotFound, SecretKeyMissing or SecretInvalid for the
            Secrets of a proxy and of webhooks; ApplyFailed where one can't be read.
        ClusterError: the API server could not be reached.
    """
    console = wanted(tm)
    if console is None:
        return ConsoleSecrets()
    if console.database is None and console.authentication.proxy is None and not console.webhooks:
        return ConsoleSecrets()
    digest, port = hashlib.sha256(), None
    if console.database is not None:
        database = console.database.secret_ref
        url = _database_url(tm, database.name, database.key, cluster)
        digest.update(url.encode() + b"\0")
        port = _port(url)
    if console.authentication.proxy is not None:
        proxy = console.authentication.proxy.secret_ref
        digest.update(_proxy_secret(tm, proxy.name, proxy.key, cluster) + b"\0")
    for hook in console.webhooks:  # not in the digest: the console reads the file for each request
        _check_webhook(tm, hook, cluster)
    return ConsoleSecrets(digest.hexdigest()[:16], port)


def _check_webhook(tm: TextModeration, hook: Webhook, cluster: Cluster) -> None:
    ref = hook.secret_ref
    what = f"the secret of webhook {hook.name}, Secret {ref.name}"
    if not _holds_keys(_value(tm, what, ref.name, ref.key, cluster)):
        message = (
            f"{what}, holds no signing key in key {ref.key}: put whsec_ and the base64 of 24 to 64 "
            "random bytes there"
        )
        raise ReviewNotReady("SecretInvalid", message)


def _holds_keys(value: bytes) -> bool:
    parts = value.split()
    try:
        keys = [base64.b64decode(part.removeprefix(b"whsec_"), validate=True) for part in parts]
    except binascii.Error:
        return False
    return bool(keys) and all(len(key) >= SHORTEST_KEY for key in keys)


def _database_url(tm: TextModeration, name: str, key: str, cluster: Cluster) -> str:
    what = f"the console's database: Secret {name} in namespace {tm.metadata.namespace}"
    data = _read(tm, name, cluster)
    if data is None:
        raise ReviewNotReady("DatabaseNotFound", f"{what} does not exist: create it")
    url = data.get(key, b"").decode(errors="replace").strip()
    if not url:
        raise ReviewNotReady("DatabaseNotFound", f"{what} has no key {key}: add it")
    if url.partition("://")[0].lower() not in _SCHEMES:
        message = f"{what} holds no PostgreSQL URL in key {key}: it has to begin with postgresql://"
        raise ReviewNotReady("DatabaseNotFound", message)
    return url


def _port(url: str) -> int | None:
    """Return the port that a database's URL names, also behind a password with signs that the
    console takes as they are and Python's parser does not, such as [ and /."""
    for part in (url, f"//{url.partition('@')[2]}"):
        try:
            return urlsplit(part).port
        except ValueError:
            continue  # its words may hold the password
    return None


def _proxy_secret(tm: TextModeration, name: str, key: str, cluster: Cluster) -> bytes:
    what = f"the Secret that the console shares with its proxy, {name}"
    value = _value(tm, what, name, key, cluster)
    if len(value.strip()) < SHORTEST_SECRET:
        message = (
            f"{what}, has less than {SHORTEST_SECRET} characters in key {key}: put a long random "
            "one there"
        )
        raise ReviewNotReady("SecretInvalid", message)
    return value


def _value(tm: TextModeration, what: str, name: str, key: str, cluster: Cluster) -> bytes:
    """Read one key of a Secret; `what` begins the sentence that says it is not there."""
    data = _read(tm, name, cluster)
    if data is None:
        message = f"{what}, is not in namespace {tm.metadata.namespace}: create it"
        raise ReviewNotReady("SecretNotFound", message)
    if key not in data:
        raise ReviewNotReady("SecretKeyMissing", f"{what}, has no key {key}: add it")
    return data[key]


def _read(tm: TextModeration, name: str, cluster: Cluster) -> Mapping[str, bytes] | None:
    with _as_problem_of_review("Secret", name):
        return cluster.secret(tm.metadata.namespace, name)


@metrics.STEPS.labels("console").time()
def run_console(
    tm: TextModeration, want: Desired, cluster: Cluster, problems: list[Problem]
) -> WorkloadSeen | None:
    """Reconcile the console; return its workload as it is, None without one.

    Args:
        problems: those of the pass; with one of the console's Secrets nothing is changed, and one
            of its objects is added.

    Raises:
        ClusterError: the API server could not be reached.
    """
    if any(isinstance(problem, ReviewNotReady) for problem in problems):
        return None
    with noted(problems):
        return _run(tm, want, cluster)
    return None


def _run(tm: TextModeration, want: Desired, cluster: Cluster) -> WorkloadSeen | None:
    if not want.console:
        _withdraw(tm, cluster)
        return None
    account, *others = want.console
    _apply(account, tm, cluster)
    _grant(tm, cluster)  # a grant to an account that is not there yet is dropped with the next one
    pods = cluster.console_pods(ObjectKey(tm.metadata.namespace, tm.metadata.name))
    if not pods or not all(pod.ready for pod in pods):  # those that serve have the key
        _make_session_key(tm, cluster)
    live: Manifest = {}
    for manifest in others:
        live = _apply(manifest, tm, cluster)
    return console_seen(tm, Ref.of(want.console[-1]), live, cluster)


def _apply(manifest: Manifest, tm: TextModeration, cluster: Cluster) -> Manifest:
    ref = Ref.of(manifest)
    with _as_problem_of_review(ref.kind, ref.name):
        return cluster.apply(manifest, tm)


@contextmanager
def _as_problem_of_review(kind: str, name: str) -> Iterator[None]:
    """Report a request that the API server refuses in ReviewReady alone: the stream is served all
    the same."""
    try:
        yield
    except (ClusterError, Problem) as error:
        problem = problem_of(kind, name, error) if isinstance(error, ClusterError) else error
        reason = "ApplyFailed" if problem.reason == "InvalidSpec" else problem.reason
        raise ReviewNotReady(reason, problem.message, retry=problem.retry) from error


def _make_session_key(tm: TextModeration, cluster: Cluster) -> None:
    """Make the key of the console's sessions, once: another one would sign everybody out."""
    name = naming.console_session_secret(tm)
    if (_read(tm, name, cluster) or {}).get(naming.CONSOLE_SESSION_KEY):
        return
    key = secrets.token_urlsafe(KEY_BYTES).encode()
    with _as_problem_of_review("Secret", name):
        cluster.create_secret(tm, name, {naming.CONSOLE_SESSION_KEY: key})


def _grant(tm: TextModeration, cluster: Cluster) -> None:
    name = naming.CONSOLE_CLUSTER_ROLE
    with _as_problem_of_review("ClusterRoleBinding", name):
        try:
            cluster.grant_console(tm.metadata.namespace, naming.console(tm))
        except ClusterError as error:
            if error.status not in (403, 404):
                raise
            raise ReviewNotReady(
                "NotAuthorized",
                "the operator cannot let the console check who signs in: ClusterRoleBinding "
                f"{name} is not there or not the operator's to change (HTTP {error.status}); "
                "install the chart with rbac.create, or make it as the chart does",
            ) from error


def _withdraw(tm: TextModeration, cluster: Cluster) -> None:
    """Revoke the console's permission, if its ServiceAccount is still there."""
    account = Ref("v1", "ServiceAccount", tm.metadata.namespace, naming.console(tm))
    if account in cluster.owned(tm.metadata.uid, tm.metadata.namespace):
        try:
            cluster.revoke_console(account.namespace, account.name)
        except ClusterError as error:
            if error.status != 403:
                raise  # before the account is pruned, by which the next pass knows of the grant
