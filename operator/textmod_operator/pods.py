"""The pods of the model and of the console, as the watches report them. No I/O."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from textmod_operator import naming
from textmod_operator.errors import ClusterError
from textmod_operator.state import Manifest, ObjectKey, PodSeen


class PodTable:
    """The pods of one kind, as the watches report them. Thread-safe.

    Args:
        label: carries the TextModeration's name on these pods.
        container: the one that a condition speaks of.
    """

    def __init__(self, label: str = naming.NAME_LABEL, container: str = naming.CONTAINER) -> None:
        self._label = label
        self._container = container
        self._lock = threading.Lock()
        self._pods: dict[str, dict[tuple[str, str], tuple[ObjectKey, PodSeen]]] = {}
        """Scope → namespace and name → whose pod it is, and the pod: its label may be changed."""
        self._awaited: set[str] = set()

    def expect(self, scopes: set[str]) -> None:
        """Names the watches whose first list has to be there before anything is known."""
        with self._lock:
            self._awaited = set(scopes)

    def of(self, key: ObjectKey, *, terminating: bool = False) -> tuple[PodSeen, ...]:
        """The pods of one object, by name; with `terminating`, also those that are ending.

        Raises:
            ClusterError: its namespace has not been listed yet.
        """
        with self._lock:
            if self._awaited & {"", f"/namespaces/{key.namespace}"}:
                raise ClusterError(0, "the pods have not been listed yet")
            found = [
                pod
                for table in self._pods.values()
                for owner, pod in table.values()
                if owner == key and (terminating or not pod.terminating)
            ]
        return tuple(sorted(found, key=lambda pod: pod.name))

    def listed(self, scope: str, pods: Iterable[Manifest]) -> set[ObjectKey]:
        """Takes in a whole list; the objects whose pods are not what they were."""
        new = {_name_of(pod): (self._owner(pod), pod_seen(pod, self._container)) for pod in pods}
        with self._lock:
            old = self._pods.get(scope, {})
            self._pods[scope] = new
            self._awaited.discard(scope)
        changed = [name for name in old.keys() | new.keys() if old.get(name) != new.get(name)]
        return {table[name][0] for table in (old, new) for name in changed if name in table}

    def saw(self, scope: str, event: Manifest) -> ObjectKey | None:
        """Takes in one event; the object whose pods changed, None when it says nothing new. That is
        the one that loses the pod where its label was changed."""
        pod, owner = event["object"], self._owner(event["object"])
        deleted = event["type"] == "DELETED"
        seen = None if deleted else (owner, pod_seen(pod, self._container))
        with self._lock:
            table = self._pods.setdefault(scope, {})
            before = table.get(_name_of(pod))
            if before == seen:
                return None
            if seen is None:
                del table[_name_of(pod)]
            else:
                table[_name_of(pod)] = seen
        return owner if before is None else before[0]

    def _owner(self, pod: Manifest) -> ObjectKey:
        labels = pod["metadata"].get("labels") or {}
        return ObjectKey(pod["metadata"]["namespace"], labels.get(self._label, ""))


def _name_of(pod: Manifest) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def pod_seen(pod: Manifest, name: str = naming.CONTAINER) -> PodSeen:
    """What a condition needs to know of a Pod as the API server has it.

    Args:
        name: of the container that matters.
    """
    status = pod.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    containers = {item["name"]: item for item in status.get("containerStatuses") or ()}
    container = containers.get(name, {})
    spec: Manifest = next((item for item in pod["spec"]["containers"] if item["name"] == name), {})
    environment = {entry["name"]: entry.get("value", "") for entry in spec.get("env") or ()}
    waiting = (container.get("state") or {}).get("waiting") or {}
    ended = (container.get("state") or {}).get("terminated") or (
        container.get("lastState") or {}
    ).get("terminated")
    return PodSeen(
        name=pod["metadata"]["name"],
        image=spec.get("image", ""),
        ready=conditions.get("Ready", {}).get("status") == "True",
        revision=environment.get(naming.ENV_REVISION, ""),
        waiting_reason=waiting.get("reason"),
        restarts=container.get("restartCount", 0),
        last_message=(ended or {}).get("message") or waiting.get("message"),
        terminating="deletionTimestamp" in pod["metadata"],
        unscheduled=_unscheduled(conditions.get("PodScheduled", {})),
        refused=_refused(status),
        address=status.get("podIP"),
        policies=(
            (pod["metadata"].get("annotations") or {}).get(naming.POLICIES_ANNOTATION, "")
            if naming.ENV_POLICIES_FILE in environment
            else None
        ),
    )


def _unscheduled(condition: Manifest) -> str | None:
    if condition.get("status") != "False":
        return None
    return condition.get("message") or condition.get("reason") or "no reason given"


def _refused(status: Manifest) -> str | None:
    """Why a pod failed that never ran a container: the kubelet did not admit it, or evicted it."""
    if status.get("phase") != "Failed" or status.get("containerStatuses"):
        return None
    words = (status.get("reason"), status.get("message"))
    return ": ".join(filter(None, words)) or "no reason given"
