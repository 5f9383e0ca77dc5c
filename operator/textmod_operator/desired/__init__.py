"""What one TextModeration asks for, as plain values: no I/O, no clock, the same every time.

One file per kind that it builds. `desired` puts them together.
"""

from __future__ import annotations

from dataclasses import replace

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.autoscaler import autoscaler
from textmod_operator.desired.console import ConsoleSecrets, console_objects, console_url
from textmod_operator.desired.deployment import deployment, service
from textmod_operator.desired.disruption import pod_disruption_budget
from textmod_operator.desired.pod import revision
from textmod_operator.desired.scaled_object import scaled_object
from textmod_operator.desired.seldon import seldon_deployment
from textmod_operator.desired.topics import session_seconds, topics
from textmod_operator.state import Capabilities, Desired, KafkaConnection, Manifest, Reader, Ref

__all__ = ["desired", "stopped"]


def desired(
    tm: TextModeration,
    connection: KafkaConnection,
    capabilities: Capabilities,
    secrets_digest: str | None = None,
    console_secrets: ConsoleSecrets = ConsoleSecrets(),  # noqa: B008 - frozen
    *,
    input_topic_id: str = "",
) -> Desired:
    """Everything that should exist for `tm`.

    Args:
        connection: how the brokers are reached (no secret of it goes into an object).
        capabilities: what the cluster offers.
        secrets_digest: changes with the content of the Secrets that `tm` names; None for none.
        console_secrets: what is known of those that the review console alone reads.
        input_topic_id: of the input topic that `tm` first saw; empty: not known.
    """
    pods = revision(tm, connection, secrets_digest, input_topic_id)
    objects: list[Manifest]
    if tm.spec.serving.platform == "Seldon":
        objects = [seldon_deployment(tm, connection, pods, input_topic_id)]
    else:
        objects = [deployment(tm, connection, pods, input_topic_id), service(tm)]
    if tm.max_replicas > 1:
        objects.append(pod_disruption_budget(tm))
    if (hpa := autoscaler(tm, capabilities)) is not None:
        objects.append(hpa)
    if tm.spec.autoscaling.metrics_provider == "Keda" and capabilities.keda_url:
        objects.append(scaled_object(tm, capabilities.keda_url))
    reader = Reader(
        name=naming.MAIN_READER,
        group=naming.consumer_group(tm),
        workload=Ref.of(objects[0]),
        revision=pods,
        session_seconds=session_seconds(tm),
    )
    console = console_objects(tm, connection, capabilities, console_secrets)
    url = console_url(tm)
    return Desired(topics(tm), tuple(objects), (reader,), console, url, input_topic_id)


def stopped(want: Desired) -> Desired:
    """The same with no replica running."""
    workloads = {reader.workload for reader in want.readers}
    objects = (
        _without_replicas(manifest) if Ref.of(manifest) in workloads else manifest
        for manifest in want.objects
    )
    return replace(want, objects=tuple(objects))


def _without_replicas(workload: Manifest) -> Manifest:
    spec = workload["spec"]
    if workload["kind"] == "SeldonDeployment":
        (predictor,) = spec["predictors"]
        return {**workload, "spec": {**spec, "predictors": [{**predictor, "replicas": 0}]}}
    return {**workload, "spec": {**spec, "replicas": 0}}
