"""What the containers of the model and of the console have in common."""

from __future__ import annotations

from typing import NamedTuple

from textmod_operator.api.model import Resources
from textmod_operator.api.quantity import quantity_text
from textmod_operator.state import Manifest


class Health(NamedTuple):
    """Where a container's HTTP endpoints for the kubelet are."""

    port: int
    started: str
    ready: str
    alive: str


def variable(name: str, value: str) -> Manifest:
    """An environment variable with exactly this value: Kubernetes replaces `$(NAME)` and `$$` in
    one, and values come from specs."""
    return {"name": name, "value": value.replace("$", "$$")}


def container(resources: Resources, health: Health, pre_stop_seconds: int) -> Manifest:
    """A restricted container with its probes, to which name, image, environment and volumes are
    added."""
    return {
        "resources": {
            part: {name: quantity_text(value) for name, value in quantities.items()}
            for part, quantities in (("requests", resources.requests), ("limits", resources.limits))
            if quantities
        },
        # All of it here and nothing in the pod's, which Seldon's controller sets where it is empty.
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "startupProbe": _probe(health.started, health.port, periodSeconds=1, failureThreshold=120),
        "readinessProbe": _probe(health.ready, health.port, periodSeconds=5, failureThreshold=3),
        "livenessProbe": _probe(health.alive, health.port, periodSeconds=10, failureThreshold=3),
        # Seldon adds a sleep of ten seconds to a container that brings no preStop of its own.
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sleep", str(pre_stop_seconds)]}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _probe(path: str, port: int, **timing: int) -> Manifest:
    return {"httpGet": {"path": path, "port": port}, "timeoutSeconds": 3, **timing}
