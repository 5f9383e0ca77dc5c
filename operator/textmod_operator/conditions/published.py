"""What a process that does not lead knows of an object: what the leader wrote into its status."""

from __future__ import annotations

from textmod_operator.state import LagReading, LagUnknown, Manifest, ScalingSeen


def published(body: Manifest, now: float) -> ScalingSeen | None:
    """What the status says of scaling, for a process that reads no lag of its own.

    Args:
        body: the object as the API server has it now.
        now: Unix time; the reading is of now as long as the leader that wrote it renews its Lease.
    """
    told = body.get("status") or {}
    if "scaling" not in told:
        return None
    scaling = told["scaling"]
    conditions = {item["type"]: item for item in told.get("conditions") or ()}
    autoscaling = conditions.get("AutoscalingReady", {})
    if "lag" not in told or autoscaling.get("reason") == "LagUnknown":
        return unknown(scaling["reason"], now)
    return ScalingSeen(LagReading(now, ()), scaling["desiredReplicas"], scaling["reason"])


def unknown(why: str, now: float) -> ScalingSeen:
    """Nothing is known, and why; `desired` is looked at by nobody then."""
    return ScalingSeen(LagUnknown(now, why), 0, why)
