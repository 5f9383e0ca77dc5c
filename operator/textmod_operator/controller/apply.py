"""Brings the cluster to what one object wants: try out, apply, prune, the finalizer, zero."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from textmod_operator import metrics, naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.controller.gather import serves
from textmod_operator.controller.inventory import key_of
from textmod_operator.controller.refusals import is_denied, problem_of
from textmod_operator.desired.policies import config_map_ref
from textmod_operator.desired.scaled_object import SCALED_OBJECT
from textmod_operator.errors import ClusterError, NotAccepted, Problem, TopicsNotReady
from textmod_operator.kube.cluster import Cluster
from textmod_operator.state import (
    Desired,
    LagReading,
    Manifest,
    ObjectKey,
    Ref,
    ScalingSeen,
)

_SERVING_KINDS: Final = ("SeldonDeployment", "Deployment", "Service")


@contextmanager
def noted(problems: list[Problem]) -> Iterator[None]:
    """Record the problem of one part, and let the other parts go on."""
    try:
        yield
    except Problem as problem:
        problems.append(problem)


@metrics.STEPS.labels("try_out").time()
def try_out(want: Desired, body: Manifest, tm: TextModeration, cluster: Cluster) -> None:
    """Ask the API server whether it would take a changed spec, before anything is changed by it.

    Only objects with parts that are passed through from the spec can be refused, and only a spec
    that has not been accepted yet has to be asked about.

    Raises:
        NotAccepted: InvalidSpec, with the API server's words.
    """
    if _was_accepted(body):
        return
    for manifest in want.objects:
        ref = Ref.of(manifest)
        if not _passes_through(ref, want, tm):
            continue
        try:
            cluster.dry_run(manifest)
        except ClusterError as error:
            problem = problem_of(ref.kind, ref.name, error)
            if isinstance(problem, NotAccepted):
                raise problem from error
            # The apply meets the same answer, and reports it for its own part.


def refuse_terminating(tm: TextModeration, cluster: Cluster) -> None:
    """Refuse to create topics for an object whose namespace is being deleted: it gets no pods any
    more, and is itself deleted in a moment.

    Raises:
        TopicsNotReady: ApplyFailed.
        ClusterError: the API server could not be reached.
    """
    if cluster.is_terminating(tm.metadata.namespace):
        raise TopicsNotReady(
            "ApplyFailed",
            f"namespace {tm.metadata.namespace} is being deleted, and no topics are created for it",
        )


def _was_accepted(body: Manifest) -> bool:
    conditions = (body.get("status") or {}).get("conditions") or ()
    generation = body["metadata"].get("generation", 0)
    return any(
        item["type"] == "Accepted"
        and item["status"] == "True"
        and item.get("observedGeneration") == generation
        for item in conditions
    )


def _passes_through(ref: Ref, want: Desired, tm: TextModeration) -> bool:
    model = tm.spec.model
    if ref == want.workload:
        passed = (model.env, model.tolerations, model.affinity, model.pod_annotations)
        return any(passed) or "resources" in model.model_fields_set or bool(model.node_selector)
    if ref.kind in ("HorizontalPodAutoscaler", "ScaledObject"):
        return bool(tm.spec.autoscaling.behavior.asked())
    return False


@metrics.STEPS.labels("apply").time()
def apply_all(
    want: Desired, tm: TextModeration, cluster: Cluster, problems: list[Problem]
) -> dict[Ref, Manifest]:
    """Apply every object; one that can't be is a problem of its own part."""
    live = {}
    for manifest in want.objects:
        ref = Ref.of(manifest)
        with noted(problems):
            try:
                live[ref] = _apply(manifest, tm, cluster)
            except ClusterError as error:
                raise problem_of(ref.kind, ref.name, error) from error
    return live


def _apply(manifest: Manifest, tm: TextModeration, cluster: Cluster) -> Manifest:
    """Apply an object; an autoscaler of ours makes way for KEDA's, whose webhook refuses a
    ScaledObject beside another autoscaler of the same target. Otherwise `prune` deletes it later.

    Raises:
        ClusterError: the API server refused.
    """
    try:
        return cluster.apply(manifest, tm)
    except ClusterError as error:
        if manifest["kind"] != SCALED_OBJECT or not is_denied(error):
            raise
        for ref in cluster.owned(tm.metadata.uid, tm.metadata.namespace):
            if ref.kind == "HorizontalPodAutoscaler":
                cluster.delete(ref)
        return cluster.apply(manifest, tm)


@metrics.STEPS.labels("prune").time()
def prune(want: Desired, live: dict[Ref, Manifest], tm: TextModeration, cluster: Cluster) -> None:
    """Delete what was made for this object once and is no longer wanted.

    A workload of the other platform serves until its successor does, and policies stay until the
    last pod that reads them is gone.
    """
    wanted = {Ref.of(manifest) for manifest in want.objects}
    if wanted - live.keys():
        return
    wanted |= {Ref.of(manifest) for manifest in want.console}
    console, policies = naming.console(tm), config_map_ref(tm)
    kept = () if serves(live[want.workload]) else _SERVING_KINDS
    for ref in cluster.owned(tm.metadata.uid, tm.metadata.namespace):
        if ref in wanted or (ref.kind in kept and ref.name != console):
            continue
        if ref == policies and _is_read(tm, cluster):
            continue
        cluster.delete(ref)


def _is_read(tm: TextModeration, cluster: Cluster) -> bool:
    """Whether a pod still reads policies: one that starts waits for them."""
    pods = cluster.pods(ObjectKey(tm.metadata.namespace, tm.metadata.name))
    return any(pod.policies is not None for pod in pods)


def workload_exists(want: Desired, tm: TextModeration, cluster: Cluster) -> bool:
    """Whether the wanted workload was made already."""
    return want.workload in cluster.owned(tm.metadata.uid, tm.metadata.namespace)


def hold_or_release(body: Manifest, tm: TextModeration, cluster: Cluster) -> None:
    """Keep the finalizer on objects with deletionPolicy Delete, and only on those: a finalizer
    outlives the operator, and would block the deletion of a namespace."""
    wanted = tm.spec.topics.deletion_policy == "Delete"
    if wanted != (naming.FINALIZER in (body["metadata"].get("finalizers") or ())):
        cluster.set_finalizer(key_of(body), present=wanted, uid=tm.metadata.uid)


def step_over_zero(tm: TextModeration, scaling: ScalingSeen | None, cluster: Cluster) -> None:
    """Remove the last replica when the input is idle, and bring the first one back when something
    waits: the HPA does neither."""
    if (size := size_over_zero(tm, scaling)) is not None:
        key = ObjectKey(tm.metadata.namespace, tm.metadata.name)
        cluster.scale(key, size, tm.metadata.uid)


def size_over_zero(tm: TextModeration, scaling: ScalingSeen | None) -> int | None:
    """The step to or from zero that is due, or None.

    A decision for more than zero may be older than the step to zero that somebody made by hand:
    only a message that waits brings the first replica back.
    """
    if scaling is None or tm.spec.autoscaling.min_replicas > 0:
        return None
    if scaling.desired == 0 and tm.replicas > 0:
        return 0
    waits = isinstance(scaling.reading, LagReading) and scaling.reading.messages > 0
    return 1 if waits and scaling.desired > 0 and tm.replicas == 0 else None
