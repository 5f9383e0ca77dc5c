"""The Kubernetes door as a value: what is there, what was written, and what fails.

It answers as `textmod_operator.kube.cluster.Cluster` does, and fails as the API server does: a
fault is a `ClusterError` for the requests that match it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

from merging import merge_patched

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.errors import ClusterError
from textmod_operator.naming import ENV_REVISION, FINALIZER, POLICIES_ANNOTATION
from textmod_operator.state import Capabilities, Manifest, ObjectKey, PodSeen, Ref

NEWEST = "newest"
"""The revision of a pod that is as the last apply has it."""


@dataclass
class FakeCluster:
    """A cluster without controllers: what is applied is there, with the status that the test sets.

    `writes` has every write in order, as (verb, what).
    """

    status: dict[str, Manifest] = field(default_factory=dict)
    """Kind → the status that objects of that kind have."""
    pods_of: tuple[PodSeen, ...] = ()
    running: int = 0
    """Pods that there are, those that are terminating included."""
    console_pods_of: tuple[PodSeen, ...] = ()
    granted: set[str] = field(default_factory=set)
    """ServiceAccounts that may ask who somebody is."""
    secrets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    faults: dict[tuple[str, str], ClusterError] = field(default_factory=dict)
    """(verb, kind) → the answer to that request."""
    foreign: tuple[str, ...] = ()
    keda_webhook: bool = False
    """KEDA's admission webhook judges ScaledObjects."""
    terminating: bool = False
    """The namespace is being deleted: nothing new can be created in it."""
    writes: list[tuple[str, str]] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    body: Manifest | None = None
    """The TextModeration, with the status as it was last patched."""
    live: dict[Ref, Manifest] = field(default_factory=dict)

    def _meets(self, verb: str, kind: str) -> None:
        fault = self.faults.get((verb, kind))
        if fault is not None:
            raise fault

    # --- owned objects ----------------------------------------------------------------------

    def apply(self, manifest: Manifest, owner: TextModeration) -> Manifest:
        self._meets("apply", manifest["kind"])
        if self.keda_webhook and manifest["kind"] == "ScaledObject":
            self._refuse_beside_an_hpa()
        ref = Ref.of(manifest)
        before = self.live.get(ref)
        if before is None or before["asked"] != manifest:
            self.writes.append(("apply", manifest["kind"]))
        self.live[ref] = {
            **copy.deepcopy(manifest),
            "asked": manifest,
            "owner": owner.metadata.uid,
            "status": self.status.get(manifest["kind"], {}),
        }
        return self.live[ref]

    def _refuse_beside_an_hpa(self) -> None:
        """As KEDA 2.21 does: one autoscaler for one target."""
        for ref in self.live:
            if ref.kind == "HorizontalPodAutoscaler":
                raise ClusterError(
                    403,
                    'admission webhook "vscaledobject.kb.io" denied the request: the workload '
                    f"'science' of type 'textmoderation.dev/v1alpha1.TextModeration' is already "
                    f"managed by the hpa '{ref.name}'",
                )

    def dry_run(self, manifest: Manifest) -> Manifest:
        self._meets("apply", manifest["kind"])
        self._meets("dry_run", manifest["kind"])
        return manifest

    def is_terminating(self, namespace: str) -> bool:
        self._meets("create", "ConfigMap")
        return self.terminating

    def delete(self, ref: Ref) -> None:
        self._meets("delete", ref.kind)
        self.writes.append(("delete", ref.kind))
        self.live.pop(ref, None)

    def get(self, ref: Ref) -> Manifest | None:
        self._meets("get", ref.kind)
        return self.live.get(ref)

    def known(self, ref: Ref) -> Manifest | None:
        self._meets("get", ref.kind)
        body = self.live.get(ref)
        if body is None:
            return None
        owned_by = [{"kind": "TextModeration", "uid": body["owner"]}]
        return {**body, "metadata": {**body["metadata"], "ownerReferences": owned_by}}

    def annotate_pod(self, namespace: str, name: str, annotations: Manifest) -> None:
        self._meets("patch", "Pod")
        self.writes.append(("annotate", name))
        version = annotations[POLICIES_ANNOTATION]
        self.pods_of = tuple(
            replace(pod, policies=version) if pod.name == name else pod for pod in self.pods_of
        )

    def owned(self, owner_uid: str, namespace: str) -> list[Ref]:
        return [ref for ref, body in self.live.items() if body["owner"] == owner_uid]

    def require_workloads(self, namespace: str) -> None:
        self._meets("list", "Deployment")

    def pods(self, key: ObjectKey) -> tuple[PodSeen, ...]:
        self._meets("list", "Pod")
        newest = self._revision()
        return tuple(
            replace(pod, revision=newest) if pod.revision == NEWEST else pod for pod in self.pods_of
        )

    def _revision(self) -> str:
        """Of the pods that were applied last."""
        for body in self.live.values():
            spec = body.get("spec", {})
            if body["kind"] == "SeldonDeployment":
                pod = spec["predictors"][0]["componentSpecs"][0]["spec"]
            elif body["kind"] == "Deployment":
                pod = spec["template"]["spec"]
            else:
                continue
            env = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
            return str(env[ENV_REVISION])
        return ""

    def console_pods(self, key: ObjectKey) -> tuple[PodSeen, ...]:
        return self.console_pods_of

    def pods_running(self, key: ObjectKey) -> int:
        return self.running

    def secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        self._meets("get", "Secret")
        return self.secrets.get(name)

    def create_secret(self, owner: TextModeration, name: str, data: dict[str, bytes]) -> None:
        self._meets("create", "Secret")
        self.writes.append(("create", "Secret"))
        self.secrets[name] = data

    def grant_console(self, namespace: str, service_account: str) -> None:
        self._meets("patch", "ClusterRoleBinding")
        self.granted.add(f"{namespace}/{service_account}")

    def revoke_console(self, namespace: str, service_account: str) -> None:
        self._meets("patch", "ClusterRoleBinding")
        self.granted.discard(f"{namespace}/{service_account}")

    # --- the TextModeration -----------------------------------------------------------------

    def patch_status(self, key: ObjectKey, status: Manifest, uid: str) -> Manifest | None:
        self._meets("patch", "status")
        self.writes.append(("patch", "status"))
        assert self.body is not None
        kept = merge_patched(self.body.get("status", {}), status)
        version = str(int(self.body["metadata"].get("resourceVersion", "1")) + 1)
        metadata = {**self.body["metadata"], "resourceVersion": version}
        self.body = {**self.body, "metadata": metadata, "status": kept}
        return self.body

    def patch_metadata(self, key: ObjectKey, metadata: Manifest, uid: str) -> Manifest | None:
        self._meets("patch", "metadata")
        self.writes.append(("patch", "metadata"))
        assert self.body is not None
        self.body = {**self.body, "metadata": {**self.body["metadata"], **metadata}}
        return self.body

    def check_leading(self) -> None:
        """This process leads."""

    def set_finalizer(self, key: ObjectKey, *, present: bool, uid: str) -> Manifest | None:
        self._meets("patch", "metadata")
        assert self.body is not None
        others = [n for n in self.body["metadata"].get("finalizers", ()) if n != FINALIZER]
        return self.patch_metadata(key, {"finalizers": [*others, *([FINALIZER] * present)]}, uid)

    def scale(self, key: ObjectKey, replicas: int, uid: str) -> None:
        self._meets("patch", "scale")
        self.writes.append(("scale", str(replicas)))

    def post_event(self, about: TextModeration, severity: str, reason: str, message: str) -> None:
        if ("create", "Event") not in self.faults:  # one that is refused is lost, and no error
            self.events.append((severity, reason))

    # --- discovery --------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        return Capabilities()

    def foreign_metrics(self) -> tuple[str, ...]:
        return self.foreign


def conditions(body: Manifest) -> dict[str, tuple[str, str]]:
    """Type → (status, reason) of an object's conditions."""
    listed: Any = body.get("status", {}).get("conditions", ())
    return {item["type"]: (item["status"], item["reason"]) for item in listed}
