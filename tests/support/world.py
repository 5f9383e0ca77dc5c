"""One pass as a function: (object, world, fault) → (writes, conditions, next pass)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fake_cluster import NEWEST, FakeCluster, conditions
from fake_topics import FakeTopics
from objects import IMAGE, body, scaling_seen

from textmod_operator.controller.claims import Claims
from textmod_operator.controller.console_figures import ConsoleFigures
from textmod_operator.controller.inventory import Inventory
from textmod_operator.controller.model_pods import ModelPods
from textmod_operator.controller.passes import Passes
from textmod_operator.controller.reconcile import Edges, Outcome
from textmod_operator.controller.status_writer import StatusWriter
from textmod_operator.policies import ModelAnswer
from textmod_operator.state import Capabilities, Manifest, ObjectKey, PodSeen, ScalingSeen

SCIENCE = ObjectKey("reddit", "science")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DEPLOYMENT = {"serving": {"platform": "Deployment"}}
SERVING: dict[str, Manifest] = {
    "Deployment": {
        "observedGeneration": None,
        "replicas": 1,
        "updatedReplicas": 1,
        "availableReplicas": 1,
    },
    "HorizontalPodAutoscaler": {
        "conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}]
    },
}


@dataclass
class World:
    """What a pass meets, and what it leaves."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    kafka: FakeTopics = field(default_factory=FakeTopics)
    claims: Claims = field(default_factory=Claims)
    scaling: ScalingSeen | None = field(default_factory=scaling_seen)
    says: dict[str, str] = field(default_factory=dict)
    """Address of a pod → the sentence of its readiness endpoint."""
    models: dict[str, ModelAnswer] = field(default_factory=dict)
    """Address of a pod → its answer to GET /model; another one can't be reached."""
    asked: list[str] = field(default_factory=list)
    """Addresses that were asked for their model, in order."""
    capabilities: Capabilities = field(default_factory=Capabilities)
    seconds: float = 0.0
    """Of the monotonic clock."""
    now: datetime = NOW
    model_pods: ModelPods = field(init=False)
    console: dict[str, Any] = field(default_factory=dict)
    """Path → what a console's internal port answers; another one answers nothing."""
    consoles: ConsoleFigures = field(init=False)

    def __post_init__(self) -> None:
        self.model_pods = ModelPods(self._ask_model, lambda: self.seconds)
        self.consoles = ConsoleFigures(self._ask_console, lambda: self.seconds, lambda work: work())

    def _ask_model(self, address: str) -> ModelAnswer | None:
        self.asked.append(address)
        return self.models.get(address)

    def _ask_console(self, address: str, path: str) -> Any:
        self.asked.append(f"{address}{path}")
        if path not in self.console:
            raise ConnectionRefusedError
        return self.console[path]

    def run(self, spec: dict[str, Any], **metadata: Any) -> Outcome | None:
        """One pass over an object with this spec and the status that the last pass left."""
        status = self.cluster.body.get("status", {}) if self.cluster.body else {}
        asked = body(spec, **{"resourceVersion": "1", **metadata})
        self.cluster.body = {**asked, "status": status}
        inventory = Inventory()
        inventory.note(SCIENCE, self.cluster.body)
        self.claims.note(SCIENCE, self.cluster.body)
        edges = Edges(
            self.cluster,
            self.kafka,
            lambda: self.capabilities,
            self.claims,
            write_status=self.cluster.patch_status,
            ask_pod=self.says.get,
            model_pods=self.model_pods,
            consoles=self.consoles,
        )
        writer = StatusWriter(self.cluster, 10.0, lambda key, body: None, clock=lambda: 0.0)
        passes = Passes(inventory, edges, lambda key: self.scaling, writer, lambda: self.now)
        return passes.run(SCIENCE)

    @property
    def told(self) -> dict[str, tuple[str, str]]:
        assert self.cluster.body is not None
        return conditions(self.cluster.body)

    def wrote(self) -> list[tuple[str, str]]:
        """What was written to the world since the last call, but for the status."""
        writes = [w for w in self.cluster.writes if w[1] != "status"] + self.kafka.writes
        self.cluster.writes.clear()
        self.kafka.writes.clear()
        return writes


def serving() -> World:
    """A world in which a replica of whatever is asked for serves."""
    return World(FakeCluster(status=SERVING, pods_of=(pod(ready=True, revision=NEWEST),)))


def pod(**changes: Any) -> PodSeen:
    return PodSeen(**{"name": "science-1", "image": IMAGE, "ready": False, **changes})
