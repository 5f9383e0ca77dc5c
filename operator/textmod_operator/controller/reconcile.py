"""One pass over one TextModeration: gather, judge, apply. Idempotent; nothing is kept in between.

What must be remembered lives in Kubernetes (the object, its status, what it owns) and in Kafka.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from textmod_operator import metrics
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions import refused_status, status
from textmod_operator.conditions.states import PASSING
from textmod_operator.controller import kafka_topics, ownership
from textmod_operator.controller.apply import (
    apply_all,
    hold_or_release,
    noted,
    prune,
    refuse_terminating,
    step_over_zero,
    try_out,
    workload_exists,
)
from textmod_operator.controller.claims import Claims
from textmod_operator.controller.console_figures import ConsoleFigures
from textmod_operator.controller.gather import autoscaler_seen, connect_to_kafka, workload_seen
from textmod_operator.controller.model_pods import ModelPods
from textmod_operator.controller.pod_health import AskPod, why_not_ready, with_answers
from textmod_operator.controller.policies import Policies, hand_out, settle, with_config_maps
from textmod_operator.controller.quality import Heard, heard
from textmod_operator.controller.restart import restart, restart_due
from textmod_operator.controller.review import console_secrets, run_console
from textmod_operator.desired import desired, stopped
from textmod_operator.desired.console import ConsoleSecrets
from textmod_operator.errors import (
    AutoscalingNotReady,
    Problem,
    ReviewNotReady,
    TopicsNotReady,
)
from textmod_operator.kafka import handover
from textmod_operator.kafka.clusters import KafkaClusters
from textmod_operator.kafka.handover import Handover
from textmod_operator.kube.cluster import Cluster
from textmod_operator.state import (
    AutoscalerSeen,
    Capabilities,
    Desired,
    KafkaConnection,
    Manifest,
    ObjectKey,
    Observed,
    Ref,
    ScalingSeen,
    TopicSeen,
    WorkloadSeen,
)

UNSERVED_SECONDS: Final = 15.0
"""A SeldonDeployment on its way is looked at again after this time: the Deployment behind it, which
may tell why it has no pods, is not watched."""
StatusWriter = Callable[[ObjectKey, Manifest, str], Manifest | None]
"""Merges into the status of the object with a uid at once, before the pass ends; the object
afterwards, None when it is gone."""


@dataclass(frozen=True)
class Edges:
    """The doors to the world that a pass goes through."""

    cluster: Cluster
    kafka: KafkaClusters
    capabilities: Callable[[], Capabilities]
    claims: Claims
    write_status: StatusWriter
    ask_pod: AskPod = why_not_ready
    model_pods: ModelPods = field(default_factory=ModelPods)
    consoles: ConsoleFigures = field(default_factory=ConsoleFigures)


@dataclass(frozen=True)
class Outcome:
    """What a pass found.

    `retry` asks for another pass with back-off. Without a `connection` the object's lag is not
    followed.
    """

    status: Manifest
    tm: TextModeration | None = None
    connection: KafkaConnection | None = None
    retry: bool = False
    uses_secrets: bool = False
    finished: bool = True
    """False: the pass failed midway, and says nothing about whether to follow the lag."""
    again: float | None = None
    """Seconds after which something is looked at that no watch reports; None: nothing is."""


def reconcile(body: Manifest, edges: Edges, scaling: ScalingSeen | None, now: datetime) -> Outcome:
    """Bring the world to what the object says, and report what is.

    Args:
        body: the object as the watch read it.
        scaling: what the lag and the scaling law said last; None: not read yet.
        now: with a time zone; for the conditions' dates only.

    Raises:
        ClusterError: the API server could not be reached, or failed at something else than an
            apply.
    """
    tm: TextModeration | None = None
    problems: list[Problem] = []
    console = ConsoleSecrets()
    try:
        tm = TextModeration.parse(body)
        connection, secrets_digest = connect_to_kafka(tm, edges.cluster)
        with noted(problems):
            console = console_secrets(tm, edges.cluster)
        make = partial(
            desired,
            connection=connection,
            capabilities=edges.capabilities(),
            secrets_digest=secrets_digest,
            console_secrets=console,
        )
        want = make(tm, input_topic_id=ownership.first_input(body, tm.input_topic))
        refuse_rivals(tm, edges.claims)
        try_out(want, body, tm, edges.cluster)
    except Problem as problem:
        return Outcome(refused_status(body, problem, now), tm, retry=problem.retry)

    hold_or_release(body, tm, edges.cluster)
    if (move := handover.pending(tm, body)) is not None:
        edges.cluster.require_workloads(tm.metadata.namespace)  # one that is not seen reads on
        tm = move.before
        want = make(tm, input_topic_id=ownership.first_input(body, tm.input_topic))
    quality = heard(tm, edges.cluster, edges.consoles)
    policies = settle(
        tm,
        want,
        cluster=edges.cluster,
        pods=edges.model_pods,
        scaling=scaling,
        now=now,
        feedback=quality.feedback,
    )
    review: WorkloadSeen | None = None
    topics: tuple[TopicSeen, ...] = ()
    live: dict[Ref, Manifest] = {}

    session = ownership.session_seconds(body)
    with noted(problems):
        topics = ensure_topics(want, body, tm, connection, edges)
        session = ensure_session(want, session, connection, edges)
    want = with_config_maps(tm, body, with_first_input(tm, body, want, topics, make), policies)
    if move is not None and topics:
        with noted(problems):
            handover.carry_offsets(move, connection, topics)  # refused before anything is stopped
            want = stopped(want)
    # Without topics a new workload would only crash; one that exists is kept as it should be,
    # unless that would move it to topics that are not there. What hands over is not created.
    there = topics and move is None
    if there or (workload_exists(want, tm, edges.cluster) and (topics or reads_the_same(tm, body))):
        live = apply_all(want, tm, edges.cluster, problems)
        review = run_console(tm, want, edges.cluster, problems)
        prune(want, live, tm, edges.cluster)
        step_over_zero(tm, scaling, edges.cluster)
        policies = hand_out(tm, policies, live, edges.cluster, edges.model_pods)
    workload = workload_seen(
        tm, want, live, edges.cluster, lambda pods: with_answers(pods, scaling, edges.ask_pod)
    )
    if restart_due(tm, workload, scaling, now):
        restart(tm, edges.cluster, now)
    seen = Observed(topics, workload, autoscaler_seen(live), scaling, session, review)
    with noted(problems):
        check_metrics_provider(tm, seen.autoscaler, edges)
    if move is not None and topics and not _hindered(problems):
        with noted(problems):
            _hand_over(move, connection, seen, edges)
    result = status(
        tm,
        body,
        want=want,
        seen=seen,
        problems=problems,
        now=now,
        policies=policies.seen if policies is not None else None,
        quality=quality.seen,
    )
    return Outcome(
        result,
        tm,
        connection,
        retry=any(problem.retry for problem in problems) or _may_turn_out_foreign(tm, seen),
        uses_secrets=secrets_digest is not None or bool(console.digest),
        again=_again(tm, result, policies, quality, edges),
    )


def _again(
    tm: TextModeration, result: Manifest, policies: Policies | None, quality: Heard, edges: Edges
) -> float | None:
    """Seconds until something that no watch reports is looked at again; None: nothing is."""
    waits = [] if quality.again is None else [quality.again]
    if policies is not None and policies.waits:
        key = ObjectKey(tm.metadata.namespace, tm.metadata.name)
        waits.append(edges.model_pods.wait(key))
    if tm.spec.serving.platform == "Seldon" and _on_its_way(result):
        waits.append(UNSERVED_SECONDS)
    return min(waits, default=None)


def _on_its_way(status: Manifest) -> bool:
    workload = (item for item in status["conditions"] if item["type"] == "WorkloadReady")
    return any(item["status"] == "False" and item["reason"] in PASSING for item in workload)


@metrics.STEPS.labels("topics").time()
def ensure_topics(
    want: Desired, body: Manifest, tm: TextModeration, connection: KafkaConnection, edges: Edges
) -> tuple[TopicSeen, ...]:
    """Make the topics as asked.

    Raises:
        KafkaPending, TopicsNotReady: see `KafkaCluster.ensure`, and `kafka_topics.ensure`.
    """
    edges.cluster.check_leading()
    kafka = edges.kafka.to(connection)
    if tm.spec.topics.management == "Strimzi":
        return kafka_topics.ensure(tm, want.topics.values(), body, kafka, edges.cluster)
    record = ownership.recorder(body, want.topics.values(), edges.write_status)

    def about_to_create(names: list[str]) -> None:
        refuse_terminating(tm, edges.cluster)
        record(names)

    return kafka.ensure(want.topics.values(), ownership.owned(body), about_to_create)


def ensure_session(
    want: Desired, before: int | None, connection: KafkaConnection, edges: Edges
) -> int | None:
    """Set how long a dead pod keeps its partitions; returns what is set now.

    Raises:
        KafkaPending, TopicsNotReady: see `KafkaCluster.ensure`.
    """
    reader = want.main
    return edges.kafka.to(connection).ensure_group(reader.group, reader.session_seconds, before)


def with_first_input(
    tm: TextModeration,
    body: Manifest,
    want: Desired,
    topics: tuple[TopicSeen, ...],
    make: Callable[..., Desired],
) -> Desired:
    """The same, or made again by `make` now that it is known which topic the stream begins with."""
    first = ownership.first_input(body, tm.input_topic, topics)
    return want if first == want.input_topic_id else make(tm, input_topic_id=first)


# --- judge ----------------------------------------------------------------------------------------


def refuse_rivals(tm: TextModeration, claims: Claims) -> None:
    """Refuse an object whose output or dead-letter topic an older one writes.

    Raises:
        TopicsNotReady: OwnedByAnother.
    """
    if (found := claims.rival(tm)) is not None:
        older, topic = found
        raise TopicsNotReady(
            "OwnedByAnother",
            f"TextModeration {older} is older and writes topic {topic} too, and a reader could not "
            "tell the two apart: use another topic, or delete one of the two objects",
        )


def reads_the_same(tm: TextModeration, body: Manifest) -> bool:
    """Whether the spec names the topics that the status says are in use."""
    known = {topic["name"] for topic in (body.get("status") or {}).get("topics") or ()}
    review_is_new = tm.spec.review is not None and bool(known) and tm.review_topic not in known
    return known <= tm.topic_names and not review_is_new


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


def check_metrics_provider(tm: TextModeration, hpa: AutoscalerSeen | None, edges: Edges) -> None:
    """Say why no metric can arrive, where the HPA only sees that none does.

    Raises:
        AutoscalingNotReady: MetricsUnavailable.
    """
    provider = tm.spec.autoscaling.metrics_provider
    if provider == "Builtin" and is_blind(hpa) and (offered := edges.cluster.foreign_metrics()):
        raise AutoscalingNotReady(
            "MetricsUnavailable",
            "external.metrics.k8s.io of this cluster is served by another adapter (it offers "
            f"{', '.join(offered)}): if that is KEDA, set autoscaling.metricsProvider to Keda",
        )
    if provider == "Keda" and edges.capabilities().keda_url is None:
        raise AutoscalingNotReady(
            "MetricsUnavailable",
            "--keda-url is not set, so KEDA cannot reach the operator: start the operator with it, "
            "or set autoscaling.metricsProvider to Builtin",
        )


def _hindered(problems: list[Problem]) -> bool:
    harmless = (AutoscalingNotReady.condition, ReviewNotReady.condition)
    return any(problem.condition not in harmless for problem in problems)


def _hand_over(move: Handover, connection: KafkaConnection, seen: Observed, edges: Edges) -> None:
    """The last step of a handover, once nobody reads as the old group any more."""
    if handover.still_runs(seen.workload):
        raise handover.under_way(move, "its replicas end first")
    if handover.is_read(move, connection):
        raise handover.under_way(move, "the old group still has members")
    edges.cluster.check_leading()
    handover.carry_offsets(move, connection, seen.topics)
    tm = move.before
    key = ObjectKey(tm.metadata.namespace, tm.metadata.name)
    edges.kafka.to(connection).ensure_group(move.source, None, seen.session_seconds)
    moved = {"consumerGroup": move.target, "consumerGroupSessionSeconds": None}
    edges.write_status(key, moved, tm.metadata.uid)
    raise handover.under_way(move, "the offsets are there, and the new replicas start")
