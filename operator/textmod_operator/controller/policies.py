"""The policies of one object in one pass: solved, handed to the pods, followed until in force."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from textmod_operator import metrics, naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.conditions import policies_status
from textmod_operator.controller.model_pods import ModelPods
from textmod_operator.desired.console_policies import with_policies
from textmod_operator.desired.policies import config_map, config_map_ref
from textmod_operator.kube.cluster import Cluster
from textmod_operator.policies import (
    Feedback,
    Known,
    PoliciesSeen,
    Record,
    Rollout,
    Solution,
    solve,
)
from textmod_operator.state import (
    Desired,
    LagUnknown,
    Manifest,
    ObjectKey,
    PodSeen,
    Ref,
    ScalingSeen,
)

MOST_ATTEMPTS: Final = 5
ATTEMPT_SECONDS: Final = 4.0


@dataclass(frozen=True)
class Policies:
    """What is to be handed to the pods."""

    seen: PoliciesSeen
    config_map: Manifest | None
    """None: nothing can be handed out yet."""
    can_ask: bool = False
    """Whether a pod is there that may answer."""

    @property
    def waits(self) -> bool:
        """Whether something is waited for that no watch reports."""
        rollout, solution = self.seen.rollout, self.seen.solution
        behind = rollout is not None and bool(rollout.behind or rollout.errors)
        return behind or (not solution.complete and self.can_ask)


@metrics.STEPS.labels("policies").time()
def settle(
    tm: TextModeration,
    want: Desired,
    *,
    cluster: Cluster,
    pods: ModelPods,
    scaling: ScalingSeen | None,
    now: datetime,
    feedback: Feedback | None = None,
) -> Policies | None:
    """The policies with their thresholds, and the ConfigMap that holds them; None without policies.

    Args:
        feedback: people's decisions about the object's texts; None: it has no console.

    Raises:
        ClusterError: the API server refused, or the pods have not been listed yet.
    """
    if not tm.spec.policies:
        return None
    key = ObjectKey(tm.metadata.namespace, tm.metadata.name)
    before = _ours(cluster.known(config_map_ref(tm)), tm)
    annotations = before.get("metadata", {}).get("annotations") or {}
    record = Record.read(annotations.get(naming.DECIDED_ANNOTATION))
    here = cluster.pods(key)
    model = pods.model(key, here, want.revision)
    rate = _rate(scaling)
    known = Known(model, rate, record, now.timestamp(), feedback)
    solution = solve(tm.spec.policies, tm.spec.explanation, known)
    wanted: Manifest | None
    version: str | None
    if solution.complete:
        wanted = config_map(tm, solution.written(), solution.record.written())
        version = solution.version
    else:  # what is there stays as it is
        written = (before.get("data") or {}).get(naming.POLICIES_KEY)
        version = Solution.version_in(written)
        wanted = config_map(tm, written, record.written()) if written and version else None
    seen = PoliciesSeen(solution, rate, version, model_known=model is not None)
    return Policies(seen, wanted, any(pod.address is not None for pod in here))


def with_config_maps(
    tm: TextModeration, body: Manifest, want: Desired, policies: Policies | None
) -> Desired:
    """The same, and the ConfigMaps before the pods that read them: one that starts finds it."""
    if policies is None:
        return want
    want = with_policies(tm, want, policies_status(policies.seen, body.get("status") or {}))
    if policies.config_map is None:
        return want
    return replace(want, objects=(policies.config_map, *want.objects))


def hand_out(
    tm: TextModeration,
    policies: Policies | None,
    live: dict[Ref, Manifest],
    cluster: Cluster,
    pods: ModelPods,
) -> Policies | None:
    """Have the kubelets read the ConfigMap now, and see how far the version has come.

    Raises:
        ClusterError: a pod could not be annotated.
    """
    if policies is None or config_map_ref(tm) not in live or policies.seen.version is None:
        return policies
    key, version = ObjectKey(tm.metadata.namespace, tm.metadata.name), policies.seen.version
    here = cluster.pods(key)
    rollout = pods.rollout(key, here, version)
    for pod in here:
        if (due := due_annotation(pod, version, rollout)) is not None:
            cluster.annotate_pod(key.namespace, pod.name, {naming.POLICIES_ANNOTATION: due})
    return replace(policies, seen=replace(policies.seen, rollout=rollout))


def due_annotation(pod: PodSeen, version: str, rollout: Rollout) -> str | None:
    """The annotation that has a pod's kubelet read the ConfigMap now; None: nothing is due. Pure.

    A kubelet may see the annotation before it sees the ConfigMap. One whose pod does not have the
    version some seconds later is asked again, a few times.
    """
    if pod.policies is None:
        return None
    if pod.policies_version != version:
        return version
    attempt = min(MOST_ATTEMPTS, 1 + int(rollout.seconds // ATTEMPT_SECONDS))
    due = version if attempt == 1 else f"{version} {attempt}"
    return due if pod.name in rollout.behind and pod.policies != due else None


def _ours(body: Manifest | None, tm: TextModeration) -> Manifest:
    """The ConfigMap if it was made for `tm`; the apply refuses any other."""
    references = ((body or {}).get("metadata") or {}).get("ownerReferences") or ()
    is_ours = any(reference.get("uid") == tm.metadata.uid for reference in references)
    return body if body is not None and is_ours else {}


def _rate(scaling: ScalingSeen | None) -> float | None:
    """Texts a second that arrive, rounded so that noise is no change; None: not known."""
    if scaling is None or isinstance(scaling.reading, LagUnknown):
        return None
    rate = scaling.in_per_second
    return None if rate is None else float(f"{rate:.2g}")
