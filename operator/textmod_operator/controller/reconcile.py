"""One pass over one TextModeration: gather, judge, apply. Idempotent; nothing is kept in between.

What must be remembered lives in Kubernetes (the object, its status, what it owns) and in Kafka.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions import rejected_status, status
from textmod_operator.controller import ownership
from textmod_operator.controller.inventory import key_of
from textmod_operator.desired import desired, stopped
from textmod_operator.desired.scaled_object import SCALED_OBJECT
from textmod_operator.errors import AutoscalingNotReady, NotAccepted, Problem, TopicsNotReady
from textmod_operator.kafka import handover
from textmod_operator.kafka.clusters import KafkaClusters
from textmod_operator.kafka.connection import BadCredential, bad_credential, with_plain_pem
from textmod_operator.kafka.handover import Handover
from textmod_operator.kube.cluster import Cluster
from textmod_operator.state import (
    AutoscalerSeen,
    Capabilities,
    Desired,
    KafkaConnection,
    LagReading,
    Manifest,
    ObjectKey,
    Observed,
    Ref,
    ScalingSeen,
    TopicSeen,
    WorkloadSeen,
)

Rival = Callable[[TextModeration], tuple[str, str] | None]
"""The older TextModeration (namespace/name) that claims a topic of this one, and the topic; or
None."""
StatusWriter = Callable[[ObjectKey, Manifest], None]
"""Merges into the status of an object at once, before the pass ends."""


@dataclass(frozen=True)
class Edges:
    """The doors to the world that a pass goes through."""

    cluster: Cluster
    kafka: KafkaClusters
    capabilities: Callable[[], Capabilities]
    rival: Rival
    write_status: StatusWriter


@dataclass(frozen=True)
class Outcome:
    """What a pass found.

    `retry` asks for another pass with back-off.
    """

    status: Manifest
    tm: TextModeration | None = None
    connection: KafkaConnection | None = None
    retry: bool = False
    uses_secrets: bool = False


def reconcile(body: Manifest, edges: Edges, scaling: ScalingSeen | None, now: datetime) -> Outcome:
    """Makes the world be as the object says, and tells what is.

    Args:
        body: the object as the watch read it.
        scaling: what the lag and the scaling law said last; None: not read yet.
        now: with a time zone; for the conditions' dates only.

    Raises:
        ClusterError: the API server refused something that has no reason of its own.
    """
    try:
        tm = TextModeration.parse(body)
        connection, secrets_digest = connect_to_kafka(tm, edges.cluster)
    except NotAccepted as problem:
        return Outcome(rejected_status(body, problem, now), retry=problem.retry)

    _hold_or_release(body, tm, edges.cluster)
    if (move := handover.pending(tm, body)) is not None:
        tm = move.before
    want = desired(tm, connection, edges.capabilities(), secrets_digest)
    problems: list[Problem] = []
    topics: tuple[TopicSeen, ...] = ()
    live: dict[Ref, Manifest] = {}

    with _noted(problems):
        _refuse_rivals(tm, edges.rival)
        topics = edges.kafka.to(connection).ensure(
            want.topics,
            ownership.owned(body),
            ownership.recorder(body, want.topics, edges.write_status),
        )
    if move is not None and topics:
        with _noted(problems):
            handover.carry_offsets(move, connection, topics)  # refused before anything is stopped
            want = stopped(want)
    # Without topics a new workload would only crash; one that exists is kept as it should be. What
    # hands over is not made any more.
    if (topics and move is None) or _exists(want, tm, edges.cluster):
        live = _apply(want, tm, edges.cluster, problems)
        _prune(want, live, tm, edges.cluster)
        _step_over_zero(tm, scaling, edges.cluster)
    seen = Observed(topics, _workload(tm, want, live, edges.cluster), _autoscaler(live), scaling)
    with _noted(problems):
        _check_metrics_provider(tm, seen.autoscaler, edges)
    if move is not None and topics and not _hindered(problems):
        with _noted(problems):
            _hand_over(move, connection, seen, edges)
    result = status(tm, body, want=want, seen=seen, problems=problems, now=now)
    return Outcome(
        result,
        tm,
        connection,
        retry=any(problem.retry for problem in problems) or _may_turn_out_foreign(tm, seen),
        uses_secrets=secrets_digest is not None,
    )


# --- gather ---------------------------------------------------------------------------------------


def connect_to_kafka(tm: TextModeration, cluster: Cluster) -> tuple[KafkaConnection, str | None]:
    """The connection that the spec and its Secrets describe, and a digest of those Secrets.

    Raises:
        NotAccepted: SecretNotFound or SecretKeyMissing.
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
                    "name another in spec.kafka",
                )
            read[secret] = data
        if key not in read[secret]:
            raise NotAccepted(
                "SecretKeyMissing",
                f"Secret {secret} has no key {key}: add it, or name another key in spec.kafka",
            )
        raw = read[secret][key]
        digest.update(raw + b"\0")
        return raw.decode(errors="replace")

    sasl, tls = kafka.sasl, kafka.tls
    ca = tls.ca_secret_ref if tls else None
    pair = tls.certificate_secret_ref if tls else None
    connection = with_plain_pem(
        KafkaConnection(
            bootstrap_servers=kafka.bootstrap_servers,
            sasl_mechanism=sasl.mechanism if sasl else None,
            sasl_username=value(sasl.secret_ref.name, sasl.secret_ref.username_key)
            if sasl
            else None,
            sasl_password=value(sasl.secret_ref.name, sasl.secret_ref.password_key)
            if sasl
            else None,
            tls=tls is not None,
            ca_pem=value(ca.name, ca.key) if ca else None,
            certificate_pem=value(pair.name, pair.cert_key) if pair else None,
            key_pem=value(pair.name, pair.key_key) if pair else None,
        )
    )
    bad = bad_credential(connection.ca_pem, connection.certificate_pem, connection.key_pem)
    if bad is not None:
        raise NotAccepted("SecretInvalid", _bad_secret(bad, tm))
    if registry := kafka.schema_registry:  # the pods read it; a missing key is told here
        if login := registry.secret_ref:
            value(login.name, login.username_key)
            value(login.name, login.password_key)
        if registry_ca := registry.ca_secret_ref:
            value(registry_ca.name, registry_ca.key)
    return connection, digest.hexdigest()[:16] if read else None


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


def _workload(
    tm: TextModeration, want: Desired, live: dict[Ref, Manifest], cluster: Cluster
) -> WorkloadSeen | None:
    body = live.get(want.workload)
    if body is None:
        return None
    pods = cluster.pods(ObjectKey(tm.metadata.namespace, tm.metadata.name))
    read = _seldon_seen if want.workload.kind == "SeldonDeployment" else _deployment_seen
    replicas, settled, failure = read(body)
    ready = sum(pod.ready for pod in pods)
    return WorkloadSeen(want.workload, replicas, ready, settled, failure, pods)


def _deployment_seen(body: Manifest) -> tuple[int, bool, str | None]:
    """(replicas, settled, failure) of a Deployment."""
    told = body.get("status") or {}
    replicas, asked = told.get("replicas", 0), body["spec"].get("replicas", 1)
    caught_up = told.get("observedGeneration") == body["metadata"].get("generation")
    updated = told.get("updatedReplicas", 0)
    conditions = {item["type"]: item for item in told.get("conditions") or ()}
    failed = conditions.get("ReplicaFailure", {})
    failure = failed.get("message") if failed.get("status") == "True" else None
    return replicas, caught_up and updated == replicas and (asked == 0 or updated > 0), failure


def _seldon_seen(body: Manifest) -> tuple[int, bool, str | None]:
    """(replicas, settled, failure) of a SeldonDeployment. Its status has no observedGeneration, and
    its state is Creating while any replica is away: the pods' revisions tell what is rolled out."""
    told = body.get("status") or {}
    deployments = (told.get("deploymentStatus") or {}).values()
    replicas = sum(item.get("replicas", 0) for item in deployments)
    available = sum(item.get("availableReplicas", 0) for item in deployments)
    failure = (
        told.get("description") or "no reason given" if told.get("state") == "Failed" else None
    )
    asked = body["spec"]["predictors"][0].get("replicas", 1)
    return replicas, available > 0 or asked == 0, failure


def _autoscaler(live: dict[Ref, Manifest]) -> AutoscalerSeen | None:
    for ref, body in live.items():
        if ref.kind in ("HorizontalPodAutoscaler", SCALED_OBJECT):
            conditions = (body.get("status") or {}).get("conditions") or ()
            return AutoscalerSeen(
                ref,
                {
                    item["type"]: (
                        item["status"],
                        item.get("reason", ""),
                        item.get("message", ""),
                    )
                    for item in conditions
                },
            )
    return None


# --- apply ----------------------------------------------------------------------------------------


@contextmanager
def _noted(problems: list[Problem]) -> Iterator[None]:
    """A problem of one part is told in its condition, and the other parts go on."""
    try:
        yield
    except Problem as problem:
        problems.append(problem)


def _hold_or_release(body: Manifest, tm: TextModeration, cluster: Cluster) -> None:
    """Keep the finalizer on objects with deletionPolicy Delete, and only on those: a finalizer
    outlives the operator, and would block the deletion of a namespace."""
    wanted = tm.spec.topics.deletion_policy == "Delete"
    if wanted != (naming.FINALIZER in (body["metadata"].get("finalizers") or ())):
        cluster.set_finalizer(key_of(body), present=wanted)


def _refuse_rivals(tm: TextModeration, rival: Rival) -> None:
    if (found := rival(tm)) is not None:
        older, topic = found
        raise TopicsNotReady(
            "OwnedByAnother",
            f"TextModeration {older} is older and uses topic {topic} too: two models on one "
            "stream would each see half; use other topics, or delete one of the two",
        )


def _exists(want: Desired, tm: TextModeration, cluster: Cluster) -> bool:
    return want.workload in cluster.owned(tm.metadata.uid, tm.metadata.namespace)


def _apply(
    want: Desired, tm: TextModeration, cluster: Cluster, problems: list[Problem]
) -> dict[Ref, Manifest]:
    """Applies every object; one that can't be is a problem of its own part."""
    live = {}
    for manifest in want.objects:
        with _noted(problems):
            live[Ref.of(manifest)] = cluster.apply(manifest, tm)
    return live


def _prune(want: Desired, live: dict[Ref, Manifest], tm: TextModeration, cluster: Cluster) -> None:
    """Deletes what was made for this object once and is no longer wanted.

    A workload of the other platform serves until its successor does.
    """
    wanted = {Ref.of(manifest) for manifest in want.objects}
    if wanted - live.keys():
        return
    kept = () if _serves(live[want.workload]) else _SERVING_KINDS
    for ref in cluster.owned(tm.metadata.uid, tm.metadata.namespace):
        if ref not in wanted and ref.kind not in kept:
            cluster.delete(ref)


_SERVING_KINDS: Final = ("SeldonDeployment", "Deployment", "Service")


def _serves(workload: Manifest) -> bool:
    """Whether a replica of this workload is available, or none is wanted."""
    told, spec = workload.get("status") or {}, workload["spec"]
    if workload["kind"] == "SeldonDeployment":
        deployments = (told.get("deploymentStatus") or {}).values()
        available = sum(item.get("availableReplicas", 0) for item in deployments)
        asked = spec["predictors"][0].get("replicas", 1)
    else:
        available, asked = told.get("availableReplicas", 0), spec.get("replicas", 1)
    return bool(available > 0 or asked == 0)


def is_blind(hpa: AutoscalerSeen | None) -> bool:
    """Whether the HPA gets no metric."""
    if hpa is None:
        return False
    active, reason, _ = hpa.conditions.get("ScalingActive", ("Unknown", "", ""))
    return active == "False" and reason != "ScalingDisabled"


def _may_turn_out_foreign(tm: TextModeration, seen: Observed) -> bool:
    """Whether a later pass may know more of why no metric arrives: who serves them is not looked at
    in every pass."""
    return tm.spec.autoscaling.metrics_provider == "Builtin" and is_blind(seen.autoscaler)


def _check_metrics_provider(tm: TextModeration, hpa: AutoscalerSeen | None, edges: Edges) -> None:
    """Why no metric can arrive, where the HPA only sees that none does."""
    provider = tm.spec.autoscaling.metrics_provider
    if provider == "Builtin" and is_blind(hpa) and (offered := edges.cluster.foreign_metrics()):
        raise AutoscalingNotReady(
            "MetricsUnavailable",
            "external.metrics.k8s.io of this cluster is served by somebody else (it offers "
            f"{', '.join(offered)}): if that is KEDA, set autoscaling.metricsProvider to Keda",
        )
    if provider == "Keda" and edges.capabilities().keda_url is None:
        raise AutoscalingNotReady(
            "MetricsUnavailable",
            "the operator was not told where KEDA can ask it: start it with --keda-url, or set "
            "autoscaling.metricsProvider to Builtin",
        )


def _hindered(problems: list[Problem]) -> bool:
    return any(problem.condition != AutoscalingNotReady.condition for problem in problems)


def _hand_over(move: Handover, connection: KafkaConnection, seen: Observed, edges: Edges) -> None:
    """The last step of a handover, once nobody reads as the old group any more."""
    if handover.still_runs(seen.workload):
        raise handover.under_way(move, "its replicas end first")
    if handover.is_read(move, connection):
        raise handover.under_way(move, "the old group still has members")
    handover.carry_offsets(move, connection, seen.topics)
    tm = move.before
    key = ObjectKey(tm.metadata.namespace, tm.metadata.name)
    edges.write_status(key, {"consumerGroup": move.target})
    raise handover.under_way(move, "the offsets are there, and the new replicas start")


def _step_over_zero(tm: TextModeration, scaling: ScalingSeen | None, cluster: Cluster) -> None:
    """Takes the last replica away when the input is idle, and brings the first one back when
    something waits: the HPA does neither."""
    if (size := size_over_zero(tm, scaling)) is not None:
        cluster.scale(ObjectKey(tm.metadata.namespace, tm.metadata.name), size)


def size_over_zero(tm: TextModeration, scaling: ScalingSeen | None) -> int | None:
    """The step to or from zero that is due, or None.

    A decision for more than zero may be older than the step to zero that somebody made by hand:
    only a message that waits brings the first replica back.
    """
    if scaling is None or tm.spec.autoscaling.min_replicas > 0:
        return None
    if scaling.desired == 0 and tm.replicas > 0:
        return 0
    waits = isinstance(scaling.reading, LagReading) and scaling.reading.messages > 0
    return 1 if waits and scaling.desired > 0 and tm.replicas == 0 else None
