"""What a process that does not lead knows of an object: what the leader wrote into its status."""

from __future__ import annotations

from textmod_operator.state import LagReading, LagUnknown, LeaderSeen, Manifest, ScalingSeen


def published(body: Manifest, leader: LeaderSeen, now: float) -> ScalingSeen | None:
    """What the status says of scaling, for a process that reads no lag of its own.

    A decision holds as long as the process that wrote it renews its Lease: that process writes
    every change at once, an unknown lag too. One of an earlier leader is no decision of now.

    Args:
        body: the object as the API server has it now.
        leader: who holds the Lease.
        now: Unix time.
    """
    status = body.get("status") or {}
    if "scaling" not in status:
        return None
    scaling = status["scaling"]
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    autoscaling = conditions.get("AutoscalingReady", {})
    if "lag" not in status or autoscaling.get("reason") == "LagUnknown":
        return unknown(scaling["reason"], now)
    if scaling.get("observedBy") != leader.identity:
        since = scaling.get("observedAt", "an unknown time")
        author = scaling.get("observedBy", "unknown")
        return unknown(f"The last decision is of {since}, by an earlier leader ({author}).", now)
    reading = LagReading(now - leader.renewal_age, ())
    return ScalingSeen(reading, scaling["desiredReplicas"], scaling["reason"])


def unknown(why: str, now: float) -> ScalingSeen:
    """Nothing is known, and why; `desired` is looked at by nobody then."""
    return ScalingSeen(LagUnknown(now, why), 0, why)
