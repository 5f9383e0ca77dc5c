"""A pod's status from what its containers do. Pure; the rules are the kubelet's."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Waiting:
    """Not started yet, or not started again yet."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Running:
    """A process runs since then."""

    started_at: datetime.datetime


@dataclass(frozen=True)
class Terminated:
    """The process ended; a signal's exit code is 128 + its number, as in a container."""

    exit_code: int
    reason: str
    message: str
    started_at: datetime.datetime
    finished_at: datetime.datetime
    container_id: str


@dataclass
class ContainerRecord:
    """What is known about one container; its runner writes it, everybody else reads."""

    name: str
    image: str
    state: Waiting | Running | Terminated = field(default=Waiting("ContainerCreating"))
    last: Terminated | None = None
    restarts: int = 0
    started: bool = False  # its startup probe has succeeded, or it has none
    ready: bool = False
    container_id: str = ""


def pod_status(
    pod: Json,
    init: Sequence[ContainerRecord],
    main: Sequence[ContainerRecord],
    *,
    pod_ip: str,
    host_ip: str,
    started_at: datetime.datetime,
    now: datetime.datetime,
    previous: Sequence[Json] = (),
) -> Json:
    """The status to write; `previous` are the conditions written last, for transition times.

    A condition's lastTransitionTime changes only when its status does.
    """
    phase = pod_phase(pod, init, main)
    # A completed pod is not ready, but all of its init containers have done their part.
    initialized = all(is_initialized(record) for record in init) or phase == "Succeeded"
    unready = [record.name for record in main if not record.ready]
    not_ready = (
        ("PodCompleted", "")
        if phase == "Succeeded"
        else ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    )
    truths = {
        "PodReadyToStartContainers": (True, "", ""),
        "Initialized": (initialized, "ContainersNotInitialized", ""),
        "ContainersReady": (not unready, *not_ready),
        "Ready": (not unready and initialized, *not_ready),
    }
    before = {condition["type"]: condition for condition in previous}
    conditions = []
    for name, (truth, reason, message) in truths.items():
        condition: Json = {"type": name, "status": "True" if truth else "False"}
        same = before.get(name, {}).get("status") == condition["status"]
        condition["lastTransitionTime"] = (
            before[name]["lastTransitionTime"] if same else timestamp(now)
        )
        # Written even when empty: the patch that carries this merges, so a field left out stays.
        condition["reason"] = "" if truth else reason
        condition["message"] = "" if truth else message
        conditions.append(condition)
    return {
        "observedGeneration": pod["metadata"].get("generation", 0),
        "phase": phase,
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "startTime": timestamp(started_at),
        "conditions": conditions,
        "initContainerStatuses": [container_status(record) for record in init],
        "containerStatuses": [container_status(record) for record in main],
    }


def pod_phase(pod: Json, init: Sequence[ContainerRecord], main: Sequence[ContainerRecord]) -> str:
    """Pending, Running, Succeeded or Failed.

    A container that will be started again counts as running, whatever its last exit code.
    """
    policy = pod["spec"].get("restartPolicy", "Always")
    if any(failed(record) for record in init) and policy == "Never":
        return "Failed"
    over = [record.state for record in main if isinstance(record.state, Terminated)]
    if len(over) == len(main) and not any(restarts(policy, state.exit_code) for state in over):
        return "Failed" if any(state.exit_code for state in over) else "Succeeded"
    has_run = any(not isinstance(record.state, Waiting) or record.last for record in main)
    still_waits = any(isinstance(record.state, Waiting) and not record.last for record in main)
    return "Running" if has_run and not still_waits else "Pending"


def restarts(policy: str, exit_code: int) -> bool:
    """Whether a container that ended so is started again."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def failed(record: ContainerRecord) -> bool:
    """It ended, and not well."""
    return isinstance(record.state, Terminated) and record.state.exit_code != 0


def is_initialized(record: ContainerRecord) -> bool:
    """An init container is done; a sidecar (an init container that stays) has started."""
    if isinstance(record.state, Terminated):
        return record.state.exit_code == 0
    return record.started


def container_status(record: ContainerRecord) -> Json:
    """One entry of containerStatuses."""
    status: Json = {
        "name": record.name,
        "image": record.image,
        "imageID": f"process://{record.image}" if record.container_id else "",
        "containerID": record.container_id,
        "ready": record.ready,
        "started": record.started,
        "restartCount": record.restarts,
        "state": _state(record.state),
        "lastState": _state(record.last) if record.last else {},
    }
    return status


def _state(state: Waiting | Running | Terminated) -> Json:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason, "message": message}}
        case Running(started_at):
            return {"running": {"startedAt": timestamp(started_at)}}
        case Terminated():
            return {
                "terminated": {
                    "exitCode": state.exit_code,
                    "reason": state.reason,
                    "message": state.message,
                    "startedAt": timestamp(state.started_at),
                    "finishedAt": timestamp(state.finished_at),
                    "containerID": state.container_id,
                }
            }


def timestamp(moment: datetime.datetime) -> str:
    """RFC 3339 to the second, as Kubernetes' metav1.Time."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
