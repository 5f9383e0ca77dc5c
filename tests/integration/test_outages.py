"""What goes away and comes back: Seldon, the operator, its leader, the brokers, the API server.

On a cluster of its own, because the other tests should not feel it.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka.admin import AdminClient

from textmod_dev import chart, manifests
from textmod_dev.errors import LocalClusterError
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.model_image import IMAGE, add_image, trained_model, training_data
from textmod_dev.processes import ManagedProcess, free_port
from textmod_dev.progress import Progress

pytestmark = pytest.mark.integration

WaitFor = Callable[[Callable[[], object], float, str], None]

STAND_IN = Path(__file__).parents[1] / "support" / "https_stand_in.py"
FAILOVER_SECONDS = 15
"""A standby has to act this soon after the leader's death."""


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster without Seldon, with the operator installed and not started."""
    with LocalCluster(tmp_path_factory.mktemp("lonely"), seldon=False) as cluster:
        add_image(cluster.images, trained_model(training_data(None, Progress()), Progress()))
        cluster.install_operator()
        yield cluster


@pytest.fixture
def apply(lonely: LocalCluster) -> Iterator[Callable[..., None]]:
    """Applies a small TextModeration of a name on a platform; they are gone afterwards."""

    def make(
        name: str,
        platform: str,
        *,
        topics: dict[str, Any] | None = None,
        namespace: str = "default",
    ) -> None:
        body = {
            "apiVersion": "textmoderation.dev/v1alpha1",
            "kind": "TextModeration",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "kafka": {"bootstrapServers": lonely.bootstrap_servers},
                "model": {"image": IMAGE},
                "topics": {"input": {"partitions": 2}, **(topics or {})},
                "serving": {"platform": platform},
            },
        }
        lonely.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    yield make
    lonely.kubectl("delete", "tm", "--all", "--timeout=30s")


def reason(cluster: LocalCluster, name: str, condition: str) -> str:
    path = f'jsonpath={{.status.conditions[?(@.type=="{condition}")].reason}}'
    return cluster.kubectl("get", "tm", name, "-o", path)


def exists(cluster: LocalCluster, kind: str, name: str) -> bool:
    return bool(cluster.kubectl("get", kind, name, "--ignore-not-found", "-o", "name"))


@pytest.fixture
def started(lonely: LocalCluster) -> Iterator[LocalCluster]:
    lonely.start_operator()
    yield lonely
    lonely.stop_operator()


def test_brokers_that_go_and_come_back(
    started: LocalCluster, apply: Callable[..., None], wait_for: WaitFor
) -> None:
    apply("broker", "Deployment")
    started.kubectl("wait", "--for=condition=TopicsReady", "tm/broker", "--timeout=60s")
    wait_for(
        lambda: reason(started, "broker", "AutoscalingReady") not in ("", "LagUnknown"),
        60,
        "the lag is known",
    )
    started.kafka.stop_broker()
    wait_for(
        lambda: reason(started, "broker", "AutoscalingReady") == "LagUnknown", 60, "LagUnknown"
    )
    replicas = started.kubectl("get", "tm", "broker", "-o", "jsonpath={.spec.replicas}")
    assert replicas == "1", "what is unknown scales nothing"
    started.kafka.start_broker()
    started.kubectl("wait", "--for=condition=Ready", "tm/broker", "--timeout=120s")


def test_topics_that_nobody_can_delete_do_not_hold_an_object_for_ever(
    started: LocalCluster, apply: Callable[..., None], wait_for: WaitFor
) -> None:
    apply("held", "Deployment", topics={"deletionPolicy": "Delete"})
    started.kubectl("wait", "--for=condition=TopicsReady", "tm/held", "--timeout=60s")
    started.kafka.stop_broker()
    try:
        started.kubectl("delete", "tm", "held", "--wait=false")
        message = 'jsonpath={.status.conditions[?(@.type=="TopicsReady")].message}'
        wait_for(
            lambda: (
                "set topics.deletionPolicy to Retain"
                in started.kubectl("get", "tm", "held", "-o", message)
            ),
            60,
            "the status says how to let go",
        )
        retain = '{"spec": {"topics": {"deletionPolicy": "Retain"}}}'
        started.kubectl("patch", "tm", "held", "--type=merge", "-p", retain)
        wait_for(lambda: not exists(started, "tm", "held"), 20, "it is gone")
    finally:
        started.kafka.start_broker()
        started.kafka.wait()


def repairs(cluster: LocalCluster, name: str, wait_for: WaitFor) -> None:
    """An HPA that is deleted by hand comes back: watches and writes both work."""
    uid = "jsonpath={.metadata.uid}"
    before = cluster.kubectl("get", "hpa", name, "-o", uid)
    cluster.kubectl("delete", "hpa", name)
    wait_for(
        lambda: (
            exists(cluster, "hpa", name)
            and cluster.kubectl("get", "hpa", name, "-o", uid) != before
        ),
        60,
        "the HPA is made anew",
    )


def test_an_api_server_that_goes_and_comes_back(
    started: LocalCluster, apply: Callable[..., None], wait_for: WaitFor
) -> None:
    apply("api", "Deployment")
    wait_for(lambda: exists(started, "hpa", "api"), 30, "the HPA is made")
    started.control_plane.stop_api()
    started.control_plane.restart_api()
    repairs(started, "api", wait_for)
    assert started.operator_process.exit_code() is None, "and it is the same process"


def test_an_etcd_that_stands_still_for_a_while(
    started: LocalCluster, apply: Callable[..., None], wait_for: WaitFor
) -> None:
    apply("etcd", "Deployment")
    wait_for(lambda: exists(started, "hpa", "etcd"), 30, "the HPA is made")
    # The edit waits in the API server for etcd; so does whatever the operator asks meanwhile.
    with started.control_plane.etcd_paused(), pytest.raises(LocalClusterError):
        started.kubectl("delete", "hpa", "etcd", "--request-timeout=8s")
    wait_for(started.control_plane.is_ready, 60, "the API server is ready again")
    repairs(started, "etcd", wait_for)
    assert started.operator_process.exit_code() is None


def test_an_api_server_that_answers_429(
    started: LocalCluster, apply: Callable[..., None], wait_for: WaitFor
) -> None:
    apply("busy", "Deployment")
    wait_for(lambda: exists(started, "hpa", "busy"), 30, "the HPA is made")
    pair = started.control_plane.server_authority.issue("webhook", "webhook", hosts=["127.0.0.1"])
    port = free_port()
    server = started.keeper.start(
        "webhook",
        [sys.executable, STAND_IN, "too-many-requests", str(port), pair.certificate, pair.key],
    )
    wait_for(lambda: listens(port), 20, "the webhook listens")
    started.apply(refuse_autoscalers(port, started.control_plane.server_authority.certificate))
    try:
        started.kubectl("delete", "hpa", "busy")
        refused = r'textmod_operator_api_requests_total{code="429".*resource="Horizontal.*}'
        wait_for(lambda: metric(started.operator_health_port, refused) > 2, 30, "it is refused")
        assert not exists(started, "hpa", "busy")
    finally:
        started.kubectl("delete", "validatingwebhookconfiguration", "busy")
        started.keeper.stop(server)
    wait_for(lambda: exists(started, "hpa", "busy"), 60, "it goes on by itself")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def refuse_autoscalers(port: int, authority: Path) -> dict[str, Any]:
    """Every new HPA is asked of a webhook, which has no time."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "busy"},
        "webhooks": [
            {
                "name": "busy.textmoderation.dev",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{port}/",
                    "caBundle": base64.b64encode(authority.read_bytes()).decode(),
                },
                "rules": [
                    {
                        "apiGroups": ["autoscaling"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE"],
                        "resources": ["horizontalpodautoscalers"],
                    }
                ],
            }
        ],
    }


def metric(port: int, name: str) -> float:
    """One figure of the operator's /metrics; 0 when it is not there."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_seldon_is_missed_and_noticed_when_it_comes(
    started: LocalCluster, apply: Callable[..., None], wait_for: WaitFor
) -> None:
    apply("early", "Seldon")
    wait_for(lambda: reason(started, "early", "WorkloadReady") == "SeldonNotInstalled", 30, "told")
    started.start_seldon()
    started.kubectl("wait", "--for=condition=Ready", "tm/early", "--timeout=90s")
    started.kubectl("delete", "sdep", "early")
    wait_for(lambda: exists(started, "sdep", "early"), 15, "drift is repaired on Seldon too")


def test_seldons_webhook_that_nobody_answers_for_is_a_condition_of_new_and_of_changed_objects(
    started: LocalCluster, apply: Callable[..., None], wait_for: WaitFor
) -> None:
    if not exists(started, "crd", "seldondeployments.machinelearning.seldon.io"):
        started.start_seldon()
    apply("before", "Seldon")
    started.kubectl("wait", "--for=condition=Ready", "tm/before", "--timeout=90s")
    started.stop_seldon()
    try:
        apply("during", "Seldon")
        patch = '{"spec": {"model": {"podAnnotations": {"changed": "yes"}}}}'
        started.kubectl("patch", "tm", "before", "--type=merge", "-p", patch)
        for name in ("during", "before"):
            told = partial(reason, started, name, "WorkloadReady")
            wait_for(lambda is_told=told: is_told() == "ApplyFailed", 15, f"{name} says so")
            shown = json.loads(started.kubectl("get", "tm", name, "-o", "json"))
            assert shown["status"]["observedGeneration"] == shown["metadata"]["generation"]
            assert "failed calling webhook" in str(shown["status"]["conditions"])
    finally:
        started.start_seldon()
    for name in ("during", "before"):
        started.kubectl("wait", "--for=condition=Ready", f"tm/{name}", "--timeout=90s")


def test_what_happens_while_the_operator_is_away_is_repaired_on_its_return(
    lonely: LocalCluster, apply: Callable[..., None], wait_for: WaitFor
) -> None:
    lonely.start_operator()
    apply("away", "Deployment")
    wait_for(lambda: exists(lonely, "hpa", "away"), 30, "the HPA is made")
    lonely.stop_operator(kill=True)
    lonely.kubectl("delete", "hpa", "away")
    lonely.kubectl("scale", "deployment", "away", "--replicas=2")
    lonely.start_operator()
    try:
        wait_for(lambda: exists(lonely, "hpa", "away"), 20, "the HPA is back")
        replicas = "jsonpath={.spec.replicas}"
        wait_for(
            lambda: lonely.kubectl("get", "deployment", "away", "-o", replicas) == "1", 20, "1"
        )
    finally:
        lonely.stop_operator()


@pytest.mark.parametrize("attempt", range(3))
def test_an_operator_that_dies_while_it_makes_topics_leaks_none(
    attempt: int, lonely: LocalCluster, apply: Callable[..., None], wait_for: WaitFor
) -> None:
    """SIGKILL at the first sight of a topic: that is before its pass ends and writes the status."""
    admin = AdminClient({"bootstrap.servers": lonely.bootstrap_servers})
    name = f"killed-{attempt}"

    def made() -> list[str]:
        return [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(name)]

    lonely.start_operator()
    apply(name, "Deployment", topics={"deletionPolicy": "Delete"})
    ends = time.monotonic() + 30
    while not made() and time.monotonic() < ends:
        pass
    lonely.stop_operator(kill=True)
    assert made()
    lonely.kubectl("delete", "tm", name, "--wait=false")
    lonely.start_operator()
    try:
        wait_for(lambda: not exists(lonely, "tm", name), 60, "the object is gone")
        wait_for(lambda: made() == [], 20, "and so are its topics")
    finally:
        lonely.stop_operator()


def standby(
    cluster: LocalCluster, kubeconfig: Path, number: int, *more: str
) -> tuple[ManagedProcess, int]:
    """One of several operator replicas that elect a leader; its process and health port."""
    port = free_port()
    command = [sys.executable, "-m", "textmod_operator", "run", "--lease-namespace=kube-system"]
    flags = [f"--kubeconfig={kubeconfig}", "--metrics-port=0", f"--health-port={port}"]
    address = "--metrics-address=127.0.0.1"
    return cluster.keeper.start(f"operator-{number}", [*command, *flags, address, *more]), port


def knows_lag(port: int, name: str) -> bool:
    """Whether this replica would answer KEDA."""
    path = f"/keda/v1/namespaces/default/textmoderations/{name}"
    return httpx.get(f"http://127.0.0.1:{port}{path}").status_code == httpx.codes.OK


def leads(port: int) -> bool:
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.HTTPError:
        return False
    return re.search(r"^textmod_operator_leader 1\.0$", text, re.MULTILINE) is not None


def test_a_standby_takes_over_from_a_leader_that_was_killed(
    lonely: LocalCluster, apply: Callable[..., None], wait_for: WaitFor
) -> None:
    kubeconfig = lonely.operator_kubeconfig
    replicas = [standby(lonely, kubeconfig, number) for number in (1, 2)]
    wait_for(lambda: any(leads(port) for _, port in replicas), 30, "one of the two leads")
    apply("twins", "Deployment")
    wait_for(lambda: exists(lonely, "hpa", "twins"), 30, "the leader reconciles")
    assert sum(leads(port) for _, port in replicas) == 1, "and it is the only one"
    keda = "/keda/v1/namespaces/default/textmoderations/twins"
    wait_for(
        lambda: all(
            httpx.get(f"http://127.0.0.1:{p}{keda}").status_code == 200 for _, p in replicas
        ),
        60,
        "both know the lag",
    )

    (leader, _), (follower, port) = sorted(replicas, key=lambda replica: not leads(replica[1]))
    leader.kill()
    died = time.monotonic()
    lonely.kubectl("delete", "hpa", "twins")
    wait_for(lambda: exists(lonely, "hpa", "twins"), FAILOVER_SECONDS, "the standby reconciles")
    print(f"failover took {time.monotonic() - died:.1f} s")
    assert leads(port)
    lonely.keeper.stop(leader)
    lonely.keeper.stop(follower)


def test_two_namespaces_with_roles_alone(
    lonely: LocalCluster, apply: Callable[..., None], wait_for: WaitFor
) -> None:
    """No ClusterRole: no watch of CRDs, nothing outside of the two. A third one is gone, with the
    Role in it, and holds up neither."""
    rules = chart.rules("cluster-role-rules.yaml")
    lonely.kubectl("create", "serviceaccount", "operator")
    account = "--serviceaccount=default:operator"
    watched = ["team-a", "team-b"]
    for name in watched:
        lonely.kubectl("create", "namespace", name)
        lonely.apply(manifests.role("operator", rules, namespace=name))
        lonely.kubectl(
            "create", "rolebinding", "operator", "--role=operator", account, "--namespace", name
        )
    token = lonely.kubectl("create", "token", "operator").strip()
    kubeconfig = lonely.control_plane.write_token_kubeconfig("namespaced", token)
    process, port = standby(
        lonely, kubeconfig, 3, f"--namespaces=gone,{','.join(watched)}", "--lease-namespace="
    )
    try:
        wait_for(lambda: leads(port), 30, "it works")
        apply("outside", "Deployment")
        for name in watched:
            apply(f"in-{name}", "Deployment", namespace=name)
        for name in watched:
            # The HPA gets no metric: this operator serves none.
            wait = ("--for=condition=WorkloadReady", f"tm/in-{name}", "--timeout=90s")
            lonely.kubectl("wait", *wait, "--namespace", name)
            lonely.kubectl("delete", "hpa", f"in-{name}", "--namespace", name)
            wait_for(
                lambda n=name: lonely.kubectl("get", "hpa", "--namespace", n, "-o", "name"),
                15,
                "drift is repaired",
            )
        untouched = lonely.kubectl("get", "tm", "outside", "-o", "jsonpath={.status}")
        assert untouched == ""
        assert metric(port, "textmod_operator_reconcile_errors_total") == 0
        assert "Traceback" not in process.log.read_text()
    finally:
        lonely.keeper.stop(process)
        lonely.kubectl("delete", "namespace", *watched, "--wait=false")
