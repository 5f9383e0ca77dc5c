"""Hands a stream from one consumer group to another, so that no message is left between the two.

Seldon's executor forms a group of its own name, so a change of `serving.streaming` changes the
group. First the old members end; then their committed offsets are committed for the new group; then
the new members start. Which group reads now is recorded in `status.consumerGroup` only: a pass that
ends half-way is resumed from there.
"""

from __future__ import annotations

from dataclasses import dataclass

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.errors import WorkloadNotReady
from textmod_operator.kafka.offsets import GroupOffsets, OffsetsError
from textmod_operator.state import KafkaConnection, Manifest, TopicSeen, WorkloadSeen

REQUEST_SECONDS = 6.0


@dataclass(frozen=True)
class Handover:
    """A stream that is to be read by another consumer group than the one that reads it now."""

    before: TextModeration
    """The object as it was: today's spec, with the platform and streaming of then."""
    source: str
    target: str

    def __str__(self) -> str:
        return f"from consumer group {self.source} to {self.target}"


def pending(tm: TextModeration, body: Manifest) -> Handover | None:
    """Return the handover that the object asks for, judged by its status, or None. Pure."""
    status = body.get("status") or {}
    source, target = status.get("consumerGroup"), naming.consumer_group(tm)
    # Whatever else the record says, somebody else wrote it: nobody of ours ever read so.
    if source == target or source not in (naming.native_group(tm), naming.executor_group(tm)):
        return None
    if tm.metadata.annotations.get(naming.OFFSETS_ANNOTATION) == naming.OFFSETS_ABANDONED:
        return None
    workload = status.get("workload") or {}
    executor = source == naming.executor_group(tm)
    change = {
        "platform": "Deployment" if workload.get("kind") == "Deployment" else "Seldon",
        "streaming": "SeldonExecutor" if executor else "Native",
        **({"delivery": "AtLeastOnce", "protocol": "Rest"} if executor else {}),
    }
    serving = tm.spec.serving.model_copy(update=change)
    before = tm.model_copy(update={"spec": tm.spec.model_copy(update={"serving": serving})})
    return Handover(before, source, target)


def carry_offsets(
    handover: Handover, connection: KafkaConnection, topics: tuple[TopicSeen, ...]
) -> None:
    """Commit the old group's offsets for the new one. Idempotent, and harmless while the old one
    still reads: it shows whether it can be done.

    Raises:
        WorkloadNotReady: OffsetsNotCarried, when it can't.
    """
    at = [
        (topic.name, partition)
        for topic in topics
        if topic.role == "input"
        for partition in range(topic.partitions)
    ]
    groups = GroupOffsets(connection, request_seconds=REQUEST_SECONDS)
    try:
        committed = groups.fetch({handover.source: at})[handover.source]
        if isinstance(committed, str):
            raise _not_carried(handover, committed)
        offsets = {where: found.offset for where, found in committed.items()}
        groups.put(handover.target, offsets)
    except OffsetsError as error:
        raise _not_carried(handover, str(error)) from error
    finally:
        groups.close()


def is_read(handover: Handover, connection: KafkaConnection) -> bool:
    """Return whether the old group still has members.

    Raises:
        WorkloadNotReady: OffsetsNotCarried, when the brokers don't say.
    """
    groups = GroupOffsets(connection, request_seconds=REQUEST_SECONDS)
    try:
        return groups.has_members(handover.source)
    except OffsetsError as error:
        raise _not_carried(handover, str(error)) from error
    finally:
        groups.close()


def still_runs(workload: WorkloadSeen | None) -> bool:
    """Whether a replica of the old workload is there, or may be."""
    return workload is not None and bool(workload.replicas or workload.pods)


def under_way(handover: Handover, waits_for: str) -> WorkloadNotReady:
    """The condition while it takes time."""
    return WorkloadNotReady("RollingOut", f"the stream moves {handover}: {waits_for}")


def _not_carried(handover: Handover, why: str) -> WorkloadNotReady:
    return WorkloadNotReady(
        "OffsetsNotCarried",
        f"the stream can't move {handover}: {why}; what served goes on. Allow READ on both groups "
        f"and see that nobody else reads as {handover.target}, or begin there without the offsets "
        f"by annotation {naming.OFFSETS_ANNOTATION}={naming.OFFSETS_ABANDONED}",
    )
