"""What one TextModeration asks for, as plain values: no I/O, no clock, the same every time.

One file per kind that it builds. `desired` puts them together.
"""

from __future__ import annotations

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.autoscaler import autoscaler
from textmod_operator.desired.deployment import deployment, service
from textmod_operator.desired.disruption import pod_disruption_budget
from textmod_operator.desired.seldon import seldon_deployment
from textmod_operator.desired.topics import topics
from textmod_operator.state import Capabilities, Desired, KafkaConnection, Manifest, Ref

__all__ = ["desired"]


def desired(
    tm: TextModeration,
    connection: KafkaConnection,
    capabilities: Capabilities,
    secrets_digest: str | None = None,
) -> Desired:
    """Everything that should exist for `tm`.

    Args:
        connection: how the brokers are reached (no secret of it goes into an object).
        capabilities: what this API server can do.
        secrets_digest: changes with the content of the Secrets that `tm` names; None for none.
    """
    objects: list[Manifest]
    if tm.spec.serving.platform == "Seldon":
        objects = [seldon_deployment(tm, connection, secrets_digest)]
    else:
        objects = [deployment(tm, connection, secrets_digest), service(tm)]
    if tm.max_replicas > 1:
        objects.append(pod_disruption_budget(tm))
    if (hpa := autoscaler(tm, capabilities)) is not None:
        objects.append(hpa)
    return Desired(topics=topics(tm), objects=tuple(objects), workload=Ref.of(objects[0]))
