"""The operator's permissions are what it uses, and no more.

Run after all other tests of the session: the API server's audit log holds every request that the
operator made in them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from live import Kubectl, WaitFor, condition, produce

from textmod_dev.local_cluster import LocalCluster, operator_rules

pytestmark = pytest.mark.integration

SCALED_OBJECTS = Path(__file__).parents[1] / "support" / "scaledobjects.yaml"


class Permission(NamedTuple):
    group: str
    resource: str
    verb: str


NEVER_REQUESTED = {
    # Asked for by an admission plugin that few clusters run: OwnerReferencesPermissionEnforcement.
    Permission("textmoderation.dev", "textmoderations/finalizers", "update"),
    # By a standby, which answers the HPA from the status (tests/chart has two replicas).
    Permission("textmoderation.dev", "textmoderations", "get"),
}
ON_CONFLICT = {
    # What is applied or deleted is read again only if it changed meanwhile.
    Permission("apps", "deployments", "get"),
    Permission("", "services", "get"),
    Permission("policy", "poddisruptionbudgets", "get"),
    Permission("autoscaling", "horizontalpodautoscalers", "get"),
    Permission("keda.sh", "scaledobjects", "get"),
    Permission("machinelearning.seldon.io", "seldondeployments", "get"),
}
BOUND_ELSEWHERE = {
    # Role extension-apiserver-authentication-reader in kube-system.
    Permission("", "configmaps", "get"),
}


def granted(rules: Iterable[dict[str, list[str]]]) -> Iterator[Permission]:
    for rule in rules:
        parts = (rule["apiGroups"], rule["resources"], rule["verbs"])
        yield from itertools.starmap(Permission, itertools.product(*parts))


def requests(cluster: LocalCluster) -> list[dict[str, Any]]:
    """Audit events of the operator, those of discovery left out (everybody may look)."""
    lines = cluster.control_plane.audit_log.read_text().splitlines()
    return [event for event in map(json.loads, lines) if "objectRef" in event]


def used(events: Iterable[dict[str, Any]]) -> set[Permission]:
    found = set()
    for event in events:
        about = event["objectRef"]
        resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
        group = about.get("apiGroup", "")
        found.add(Permission(group, resource, event["verb"]))
        # A server-side apply that creates is authorized as both.
        if event["verb"] == "patch" and event["responseStatus"]["code"] == 201:
            found.add(Permission(group, resource, "create"))
    return found


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
    ready({**deleted, **policies, "serving": {"platform": "Deployment"}})
    wait_for(lambda: condition(kubectl, "PoliciesReady").get("status") == "True", 30, "in force")
    for kind, path, value in (
        ("deployment", "/spec/replicas", 2),
        ("service", "/spec/ports/0/port", 9999),
        ("hpa", "/spec/maxReplicas", 1),
        ("pdb", "/spec/maxUnavailable", 2),
    ):
        edit_and_see_it_undone(kubectl, kind, path, value, wait_for)

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
    events = requests(exercised)
    denied = [
        f"{event['verb']} {event['requestURI']}"
        for event in events
        if event["annotations"]["authorization.k8s.io/decision"] != "allow"
    ]
    assert not denied
    rules = [*operator_rules("cluster-role-rules.yaml"), *operator_rules("lease-role-rules.yaml")]
    allowed = set(granted(rules))
    asked = used(events)
    assert asked - BOUND_ELSEWHERE - allowed == set(), "bound by no rule of the chart"
    assert allowed - asked - NEVER_REQUESTED - ON_CONFLICT == set(), "granted and never used"


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
