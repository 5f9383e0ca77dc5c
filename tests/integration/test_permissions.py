"""The operator's permissions are what it uses, and no more.

The API server's audit log holds every request that the operator made. That none of the requests of
all other tests was denied is checked when their cluster ends (conftest.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from live import Kubectl, WaitFor, condition, produce
from permissions import Permission, check_requests, granted, used

from textmod_dev.local_cluster import LocalCluster

pytestmark = pytest.mark.integration

SCALED_OBJECTS = Path(__file__).parents[1] / "support" / "scaledobjects.yaml"


NEVER_REQUESTED = {
    # Asked for by an admission plugin that few clusters run: OwnerReferencesPermissionEnforcement.
    Permission("textmoderation.dev", "textmoderations/finalizers", "update"),
    # By a standby, which answers the HPA from the status (tests/chart has two replicas).
    Permission("textmoderation.dev", "textmoderations", "get"),
    # Asked for with the patch of the consoles' binding, and no request of its own.
    Permission("rbac.authorization.k8s.io", "clusterroles", "bind"),
}
ON_CONFLICT = {
    # What is applied or deleted is read again only if it changed meanwhile.
    Permission("apps", "deployments", "get"),
    Permission("", "services", "get"),
    Permission("", "serviceaccounts", "get"),
    Permission("apps", "statefulsets", "get"),
    Permission("networking.k8s.io", "ingresses", "get"),
    Permission("networking.k8s.io", "networkpolicies", "get"),
    Permission("policy", "poddisruptionbudgets", "get"),
    Permission("autoscaling", "horizontalpodautoscalers", "get"),
    Permission("keda.sh", "scaledobjects", "get"),
    Permission("machinelearning.seldon.io", "seldondeployments", "get"),
}


@pytest.fixture
def exercised(
    operator: LocalCluster,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    ready: Callable[..., None],
    topic_prefix: str,
    wait_for: WaitFor,
) -> LocalCluster:
    """The cluster after every kind was made, edited by hand, repaired and pruned, a Secret read,
    and topics deleted."""
    operator.kubectl("apply", "-f", str(SCALED_OBJECTS))
    deleted = {"topics": {"deletionPolicy": "Delete"}}
    rule = {"action": "Review", "atLeast": 0.5}
    policies = {"policies": [{"name": "off-topic", "rules": [rule]}]}
    host = {"ingress": {"host": "review.example.com"}}
    review = {"review": {"console": {"image": "nowhere/console:1", **host}}}
    ready({**deleted, **policies, **review, "serving": {"platform": "Deployment"}})
    wait_for(lambda: condition(kubectl, "PoliciesReady").get("status") == "True", 30, "in force")
    for kind, path, value in (
        ("deployment", "/spec/replicas", 2),
        ("service", "/spec/ports/0/port", 9999),
        ("hpa", "/spec/maxReplicas", 1),
        ("pdb", "/spec/maxUnavailable", 2),
    ):
        edit_and_see_it_undone(kubectl, kind, path, value, wait_for)
    kinds = "statefulset,ingress,networkpolicy,serviceaccount,service"
    assert not gone(kubectl, "statefulset,ingress,networkpolicy", "science-console")

    kubectl("create", "secret", "generic", "login", "--from-literal=username=sally")
    sasl = {"kafka": {"sasl": {"mechanism": "PLAIN", "secretRef": {"name": "login"}}}}
    kubectl("apply", "-f", "-", stdin=manifest({**deleted, **sasl}))
    wait_for(lambda: condition(kubectl, "Accepted").get("reason") == "SecretKeyMissing", 20, "told")

    # With an autoscaler of KEDA's there is none of ours; with one replica at most, no budget.
    keda = {"metricsProvider": "Keda", "maxReplicas": 1}
    kubectl("apply", "-f", "-", stdin=manifest({**deleted, "autoscaling": keda}))
    made = ("get", "so", "science", "-o", "name", "--ignore-not-found")
    wait_for(lambda: kubectl(*made), 60, "the ScaledObject is made")
    edit_and_see_it_undone(kubectl, "so", "/spec/maxReplicaCount", 7, wait_for)
    edit_and_see_it_undone(kubectl, "sdep", "/spec/predictors/0/replicas", 3, wait_for)
    wait_for(lambda: gone(kubectl, "deployment,service,hpa,pdb"), 60, "the others are pruned")
    wait_for(lambda: gone(kubectl, "configmap", "science-policies"), 60, "so are the policies")
    wait_for(lambda: gone(kubectl, kinds, "science-console"), 60, "and the console")

    # Idle, scaled to zero by the operator itself, on another platform and without KEDA.
    zero = {"minReplicas": 0, "lag": {"maxSecondsBehind": 30}}
    spec = {**deleted, "serving": {"platform": "Deployment"}, "autoscaling": zero}
    kubectl("apply", "-f", "-", stdin=manifest(spec))
    wait_for(lambda: gone(kubectl, "so,sdep"), 60, "the others are pruned")
    kubectl("scale", "tm/science", "--replicas=0")

    def asked_for_again() -> bool:
        produce(operator, f"{topic_prefix}-input", [b'{"body": "hello"}'])
        return kubectl("get", "tm", "science", "-o", "jsonpath={.spec.replicas}") == "1"

    wait_for(asked_for_again, 60, "what waits is read by a first replica")
    kubectl("delete", "tm", "science", "--timeout=30s")
    return operator


def test_the_operator_may_do_what_it_does_and_no_more(exercised: LocalCluster) -> None:
    check_requests(exercised)
    never_used = granted() - used(exercised) - NEVER_REQUESTED - ON_CONFLICT
    assert not never_used, "granted and never used"


def gone(kubectl: Kubectl, kinds: str, name: str = "science") -> bool:
    """Whether none of these is called so any more (what Seldon makes is called otherwise)."""
    return not kubectl("get", kinds, name, "--ignore-not-found", "-o", "name")


def edit_and_see_it_undone(
    kubectl: Kubectl, kind: str, path: str, value: int, wait_for: WaitFor
) -> None:
    read = "jsonpath={" + path.replace("/", ".").replace(".0.", "[0].") + "}"
    before = kubectl("get", kind, "science", "-o", read)
    patch = json.dumps([{"op": "replace", "path": path, "value": value}])
    kubectl("patch", kind, "science", "--type=json", "-p", patch)
    wait_for(
        lambda: kubectl("get", kind, "science", "-o", read) == before,
        15,
        f"the {kind} is as it was",
    )
