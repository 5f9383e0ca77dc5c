"""Reads what a pass needs to know of the cluster: Secrets, the workload, the autoscaler."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from textmod_operator import metrics, naming
from textmod_operator.api.kafka import OAuth
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.scaled_object import SCALED_OBJECT
from textmod_operator.errors import NotAccepted
from textmod_operator.kafka.connection import BadCredential, bad_credential, with_plain_pem
from textmod_operator.kube.cluster import Cluster
from textmod_operator.state import (
    AutoscalerSeen,
    Desired,
    KafkaConnection,
    Manifest,
    OAuthClient,
    ObjectKey,
    PodSeen,
    Ref,
    WorkloadSeen,
)


@metrics.STEPS.labels("secrets").time()
def connect_to_kafka(tm: TextModeration, cluster: Cluster) -> tuple[KafkaConnection, str | None]:
    """The connection that the spec and its Secrets describe, and a digest of all Secrets.

    Secrets that the pods alone read are checked here too.

    Raises:
        NotAccepted: SecretNotFound, SecretKeyMissing or SecretInvalid.
    """
    kafka = tm.spec.kafka
    read: dict[str, dict[str, bytes]] = {}
    digest = hashlib.sha256()

    def value(secret: str, key: str) -> str:
        if secret not in read:
            data = cluster.secret(tm.metadata.namespace, secret)
            if data is None:
                raise NotAccepted(
                    "SecretNotFound",
                    f"Secret {secret} is not in namespace {tm.metadata.namespace}: create it, or "
                    "name another in the spec",
                )
            read[secret] = data
        if key not in read[secret]:
            raise NotAccepted(
                "SecretKeyMissing",
                f"Secret {secret} has no key {key}: add it, or name another key in the spec",
            )
        raw = read[secret][key]
        digest.update(raw + b"\0")
        return raw.decode(errors="replace")

    sasl, tls = kafka.sasl, kafka.tls
    password = sasl.secret_ref if sasl else None
    oauth = sasl.oauth if sasl else None
    ca = tls.ca_secret_ref if tls else None
    pair = tls.certificate_secret_ref if tls else None
    connection = with_plain_pem(
        KafkaConnection(
            bootstrap_servers=kafka.bootstrap_servers,
            sasl_mechanism=sasl.mechanism if sasl else None,
            sasl_username=value(password.name, password.username_key) if password else None,
            sasl_password=value(password.name, password.password_key) if password else None,
            oauth=_oauth_client(oauth, value) if oauth else None,
            aws_region=sasl.aws.region if sasl and sasl.aws else None,
            tls=tls is not None,
            ca_pem=value(ca.name, ca.key) if ca else None,
            certificate_pem=value(pair.name, pair.cert_key) if pair else None,
            key_pem=value(pair.name, pair.key_key) if pair else None,
        )
    )
    bad = bad_credential(connection.ca_pem, connection.certificate_pem, connection.key_pem)
    if bad is not None:
        raise NotAccepted("SecretInvalid", _bad_secret(bad, tm))
    if (client := connection.oauth) and bad_credential(client.ca_pem, None, None) is not None:
        raise NotAccepted("SecretInvalid", _bad_provider_ca(tm))
    _check_secrets_of_pods(tm, value)
    return connection, digest.hexdigest()[:16] if read else None


def _check_secrets_of_pods(tm: TextModeration, value: Callable[[str, str], str]) -> None:
    """Report what is missing in Secrets that the pods alone read. `value` reads a Secret's key."""
    if registry := tm.spec.kafka.schema_registry:
        if login := registry.secret_ref:
            value(login.name, login.username_key)
            value(login.name, login.password_key)
        if registry_ca := registry.ca_secret_ref:
            value(registry_ca.name, registry_ca.key)
    for protocol in (tm.spec.serving.perspective, tm.spec.serving.openai):
        if protocol is None or (ref := protocol.key_secret_ref) is None:
            continue
        if not value(ref.name, ref.key).strip():
            raise NotAccepted(
                "SecretInvalid",
                f"key {ref.key} of Secret {ref.name} is empty, so no caller could be admitted: put "
                "an API key there, or name another key in spec.serving",
            )


def _oauth_client(oauth: OAuth, value: Callable[[str, str], str]) -> OAuthClient:
    secret, ca = oauth.secret_ref, oauth.ca_secret_ref
    return OAuthClient(
        oauth.token_endpoint_url,
        value(secret.name, secret.client_id_key),
        value(secret.name, secret.client_secret_key),
        oauth.scope,
        value(ca.name, ca.key) if ca else None,
    )


def _bad_provider_ca(tm: TextModeration) -> str:
    sasl = tm.spec.kafka.sasl
    ca = sasl.oauth.ca_secret_ref if sasl and sasl.oauth else None
    key, name = (ca.key, ca.name) if ca else ("", "")
    return (
        f"key {key} of Secret {name} can't be used for TLS to the token endpoint: it holds no PEM "
        "certificate that can be read; put the right one there, or name another in "
        "spec.kafka.sasl.oauth"
    )


def _bad_secret(bad: BadCredential, tm: TextModeration) -> str:
    tls = tm.spec.kafka.tls
    ca, pair = (tls.ca_secret_ref, tls.certificate_secret_ref) if tls else (None, None)
    name, key = "", ""
    if bad.part == "ca" and ca is not None:
        name, key = ca.name, ca.key
    elif pair is not None:
        name, key = pair.name, pair.cert_key if bad.part == "certificate" else pair.key_key
    return (
        f"key {key} of Secret {name} can't be used for TLS to Kafka: {bad.why}; put the right one "
        "there, or name another in spec.kafka.tls"
    )


@metrics.STEPS.labels("observe").time()
def workload_seen(
    tm: TextModeration,
    want: Desired,
    live: dict[Ref, Manifest],
    cluster: Cluster,
    answers: Callable[[tuple[PodSeen, ...]], tuple[PodSeen, ...]],
) -> WorkloadSeen | None:
    """The workload and its pods; None when it was not applied.

    Args:
        answers: adds what pods say themselves.
    """
    body = live.get(want.workload)
    if body is None:
        return None
    pods = answers(cluster.pods(ObjectKey(tm.metadata.namespace, tm.metadata.name)))
    seldon = want.workload.kind == "SeldonDeployment"
    replicas, settled, failure = (_seldon_seen if seldon else _deployment_seen)(body)
    if seldon and not pods and tm.replicas > 0:
        failure = _replica_failure(tm, body, cluster) or failure
    ready = sum(pod.ready for pod in pods)
    unreported = seldon and not (body.get("status") or {}).get("state")
    return WorkloadSeen(want.workload, replicas, ready, settled, failure, pods, unreported)


def console_seen(tm: TextModeration, ref: Ref, live: Manifest, cluster: Cluster) -> WorkloadSeen:
    """The console's workload as its last apply answered, and its pods."""
    pods = cluster.console_pods(ObjectKey(tm.metadata.namespace, tm.metadata.name))
    replicas, settled, failure = _deployment_seen(live)
    ready = sum(pod.ready for pod in pods)
    return WorkloadSeen(ref, replicas, ready, settled, failure, pods)


def _deployment_seen(body: Manifest) -> tuple[int, bool, str | None]:
    """(replicas, settled, failure) of a Deployment or a StatefulSet."""
    status = body.get("status") or {}
    replicas, asked = status.get("replicas", 0), body["spec"].get("replicas", 1)
    caught_up = status.get("observedGeneration") == body["metadata"].get("generation")
    updated = status.get("updatedReplicas", 0)
    settled = caught_up and updated == replicas and (asked == 0 or updated > 0)
    return replicas, settled, _failure(body)


def _failure(deployment: Manifest) -> str | None:
    """Why a Deployment cannot create pods, in its ReplicaSet's words."""
    conditions = (deployment.get("status") or {}).get("conditions") or ()
    failed: Manifest = next((c for c in conditions if c["type"] == "ReplicaFailure"), {})
    return failed.get("message") if failed.get("status") == "True" else None


def _replica_failure(tm: TextModeration, seldon: Manifest, cluster: Cluster) -> str | None:
    """The same of the Deployments behind a SeldonDeployment, which does not pass it on. Its status
    does not name a Deployment that never had a pod."""
    known = (seldon.get("status") or {}).get("deploymentStatus") or {}
    for name in {naming.seldon_workload(tm): None} | known:
        ref = Ref("apps/v1", "Deployment", tm.metadata.namespace, name)
        if (body := cluster.get(ref)) is not None and (failure := _failure(body)) is not None:
            return failure
    return None


def _seldon_seen(body: Manifest) -> tuple[int, bool, str | None]:
    """(replicas, settled, failure) of a SeldonDeployment. Its status has no observedGeneration, and
    its state is Creating while any replica is away: the pods' revisions say what is rolled out."""
    status = body.get("status") or {}
    deployments = (status.get("deploymentStatus") or {}).values()
    replicas = sum(item.get("replicas", 0) for item in deployments)
    available = sum(item.get("availableReplicas", 0) for item in deployments)
    failed = status.get("state") == "Failed"
    failure = status.get("description") or "no reason given" if failed else None
    asked = body["spec"]["predictors"][0].get("replicas", 1)
    return replicas, available > 0 or asked == 0, failure


def autoscaler_seen(live: dict[Ref, Manifest]) -> AutoscalerSeen | None:
    """The HPA's or ScaledObject's conditions; None when there is neither."""
    for ref, body in live.items():
        if ref.kind in ("HorizontalPodAutoscaler", SCALED_OBJECT):
            conditions = (body.get("status") or {}).get("conditions") or ()
            return AutoscalerSeen(
                ref,
                {
                    item["type"]: (item["status"], item.get("reason", ""), item.get("message", ""))
                    for item in conditions
                },
            )
    return None


def serves(workload: Manifest) -> bool:
    """Whether a replica of this workload is available, or none is wanted."""
    status, spec = workload.get("status") or {}, workload["spec"]
    if workload["kind"] == "SeldonDeployment":
        deployments = (status.get("deploymentStatus") or {}).values()
        available = sum(item.get("availableReplicas", 0) for item in deployments)
        asked = spec["predictors"][0].get("replicas", 1)
    else:
        available, asked = status.get("availableReplicas", 0), spec.get("replicas", 1)
    return bool(available > 0 or asked == 0)
