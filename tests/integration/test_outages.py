"""What goes away and comes back: Seldon, the operator, its leader, the brokers.

On a cluster of its own, because the other tests should not feel it.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from textmod_dev.local_cluster import LocalCluster
from textmod_dev.model_image import IMAGE, add_image, trained_model, training_data
from textmod_dev.processes import ManagedProcess, free_port
from textmod_dev.progress import Progress

pytestmark = pytest.mark.integration

WaitFor = Callable[[Callable[[], object], float, str], None]

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
def apply(lonely: LocalCluster) -> Iterator[Callable[[str, str], None]]:
    """Applies a small TextModeration of a name on a platform; they are gone afterwards."""

    def make(name: str, platform: str) -> None:
        body = {
            "apiVersion": "textmoderation.dev/v1alpha1",
            "kind": "TextModeration",
            "metadata": {"name": name},
            "spec": {
                "kafka": {"bootstrapServers": lonely.bootstrap_servers},
                "model": {"image": IMAGE},
                "topics": {"input": {"partitions": 2}},
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
    started: LocalCluster, apply: Callable[[str, str], None], wait_for: WaitFor
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


def test_seldon_is_missed_and_noticed_when_it_comes(
    started: LocalCluster, apply: Callable[[str, str], None], wait_for: WaitFor
) -> None:
    apply("early", "Seldon")
    wait_for(lambda: reason(started, "early", "WorkloadReady") == "SeldonNotInstalled", 30, "told")
    started.start_seldon()
    started.kubectl("wait", "--for=condition=Ready", "tm/early", "--timeout=90s")
    started.kubectl("delete", "sdep", "early")
    wait_for(lambda: exists(started, "sdep", "early"), 15, "drift is repaired on Seldon too")


def test_what_happens_while_the_operator_is_away_is_repaired_on_its_return(
    lonely: LocalCluster, apply: Callable[[str, str], None], wait_for: WaitFor
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


def standby(cluster: LocalCluster, kubeconfig: Path, number: int) -> tuple[ManagedProcess, int]:
    """One of several operator replicas that elect a leader; its process and health port."""
    port = free_port()
    command = [sys.executable, "-m", "textmod_operator", "run", "--lease-namespace=default"]
    flags = [f"--kubeconfig={kubeconfig}", "--metrics-port=0", f"--health-port={port}"]
    address = "--metrics-address=127.0.0.1"
    return cluster.keeper.start(f"operator-{number}", [*command, *flags, address]), port


def leads(port: int) -> bool:
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.HTTPError:
        return False
    return re.search(r"^textmod_operator_leader 1\.0$", text, re.MULTILINE) is not None


def test_a_standby_takes_over_from_a_leader_that_was_killed(
    lonely: LocalCluster, apply: Callable[[str, str], None], wait_for: WaitFor
) -> None:
    rules = "--verb=get,create,update", "--resource=leases.coordination.k8s.io"
    lonely.kubectl("create", "role", "lease", *rules)
    lonely.kubectl("create", "rolebinding", "lease", "--role=lease", "--user=textmod-operator")
    kubeconfig = lonely.operator_kubeconfig
    replicas = [standby(lonely, kubeconfig, number) for number in (1, 2)]
    wait_for(lambda: any(leads(port) for _, port in replicas), 30, "one of the two leads")
    apply("twins", "Deployment")
    wait_for(lambda: exists(lonely, "hpa", "twins"), 30, "the leader reconciles")
    assert sum(leads(port) for _, port in replicas) == 1, "and it is the only one"

    (leader, _), (follower, port) = sorted(replicas, key=lambda replica: not leads(replica[1]))
    leader.kill()
    died = time.monotonic()
    lonely.kubectl("delete", "hpa", "twins")
    wait_for(lambda: exists(lonely, "hpa", "twins"), FAILOVER_SECONDS, "the standby reconciles")
    print(f"failover took {time.monotonic() - died:.1f} s")
    assert leads(port)
    lonely.keeper.stop(leader)
    lonely.keeper.stop(follower)
