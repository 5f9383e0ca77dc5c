"""The life of an installation, in file order: each test goes on where the one before it ended."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import installation
import pytest
import review
from confluent_kafka.admin import AdminClient
from figures import Figures
from installation import DEPLOYMENT, NAMESPACE, RELEASE, Images
from moderation import Moderation, finished, wait_for

from textmod_dev.demo_stream import LiveReader
from textmod_dev.kind.cluster import KindCluster
from textmod_dev.kind.engine import Engine
from textmod_dev.kubectl import Kubectl
from textmod_dev.processes import ProcessKeeper

BROKER = "kafka.kafka.svc:9092"
BURST = 200_000  # half a minute and more for one replica: the HPA looks every 15 s
COMMENTS = 20_000  # at least so many while pods come and go
RATE = 160  # comments a second
MAX_REPLICAS = 3
Moderate = Callable[[str, dict[str, Any]], Moderation]


def spec(image: str, name: str, platform: str) -> dict[str, Any]:
    """What both platforms are asked for. A tenth of a core each, so that a burst shows."""
    topics = {"partitions": 6, "replicationFactor": 1}
    quantities = {"cpu": "100m", "memory": "256Mi"}
    return {
        "kafka": {"bootstrapServers": BROKER},
        "topics": {
            "input": {"name": f"{name}-input", **topics},
            "output": {"name": f"{name}-output", **topics},
            "deadLetter": {"name": f"{name}-dead-letter", "partitions": 1, "replicationFactor": 1},
        },
        "message": {"format": "Json", "textField": "body", "outputFormat": "Verdict"},
        "model": {"image": image, "resources": {"requests": quantities, "limits": quantities}},
        "serving": {"platform": platform},
        "autoscaling": {
            "minReplicas": 1,
            "maxReplicas": MAX_REPLICAS,
            "lag": {"messagesPerReplica": 2000},
            "cpu": {"averageUtilization": 80},
            # With a wish of one's own the HPA alone scales up: without, the operator is faster.
            "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}},
        },
    }


@pytest.fixture(scope="session")
def science(moderate: Moderate, images: Images) -> Moderation:
    """On platform Deployment."""
    return moderate("science", spec(images.model, "science", "Deployment"))


def test_the_chart_is_installed(operator: None, kubectl: Kubectl) -> None:
    available = "--for=condition=Available"
    kubectl("wait", available, "apiservice/v1beta1.external.metrics.k8s.io", "--timeout=60s")
    kubectl("wait", "--for=condition=Established", "crd/textmoderations.textmoderation.dev")
    running = kubectl(f"--namespace={NAMESPACE}", "get", "deployment", DEPLOYMENT, "-o", "json")
    assert json.loads(running)["status"]["availableReplicas"] == 2


def test_a_comment_in_a_verdict_out(
    science: Moderation,
    images: Images,
    keeper: ProcessKeeper,
    comments: Path,
    figures: Figures,
) -> None:
    applied = time.monotonic()
    science.wait_ready()
    figures.set("seconds", "kubectl apply, until Ready", time.monotonic() - applied)
    with LiveReader(science.bootstrap_servers, science.topics) as reader:
        sent = time.monotonic()
        producer = science.send(keeper, comments, 1, 1)
        wait_for(lambda: finished(producer) and reader.reading.verdicts == 1, "the verdict", 30)
    figures.set("seconds", "producer's start to the first verdict", time.monotonic() - sent)
    row = columns(science.ask("get", "tm", "science", "-o", "wide"))
    assert (row["READY"], row["REPLICAS"], row["PLATFORM"]) == ("True", "1", "Deployment")
    assert row["IMAGE"] == images.model


def test_a_burst_scales_it_up(
    science: Moderation, keeper: ProcessKeeper, comments: Path, figures: Figures
) -> None:
    producer = science.send(keeper, comments, BURST, 100_000)
    began = time.monotonic()
    wait_for(lambda: science.field(".spec.replicas") == str(MAX_REPLICAS), "the HPA's decision", 90)
    figures.set("scaling", "burst of comments", BURST)
    figures.set("scaling", "seconds from burst to decision", time.monotonic() - began)
    wait_for(lambda: science.field(".status.readyReplicas") == str(MAX_REPLICAS), "ready pods", 120)
    figures.set("scaling", "seconds from burst to ready replicas", time.monotonic() - began)
    figures.set("scaling", "replicas", MAX_REPLICAS)
    assert finished(producer)
    events = science.ask("get", "events", "--field-selector=reason=SuccessfulRescale", "-o", "json")
    made_by = [event["involvedObject"]["kind"] for event in json.loads(events)["items"]]
    assert "HorizontalPodAutoscaler" in made_by


def test_nothing_is_lost_while_pods_come_and_go(
    science: Moderation,
    images: Images,
    kubectl: Kubectl,
    cluster: KindCluster,
    keeper: ProcessKeeper,
    comments: Path,
    figures: Figures,
) -> None:
    books = science.wait_answered()
    assert books.lost == 0
    before = books.comments_in
    producer = science.send(keeper, comments, 10 * COMMENTS, RATE)

    with figures.timed("rollout of a new image under load"):
        science.patch({"model": {"image": images.next_model}})
        serving = ".status.workload.image"
        wait_for(lambda: science.field(serving) == images.next_model, "the new image", 240)
        science.wait_ready()
    with figures.timed("drain of the node under load"):
        drain(science, cluster.node)
        science.wait_ready()
    with figures.timed("operator killed, until another acts"):
        kill_leader(kubectl)
        # Only an operator that leads turns this into a new pod template.
        science.patch({"model": {"threshold": 0.25}})
        wait_for(lambda: _threshold(science) == "0.25", "the standby's work", 60)
    science.wait_ready()

    wait_for(lambda: science.sent() - before >= COMMENTS, f"{COMMENTS} comments", 240)
    assert not finished(producer)  # so it was sending all the while
    keeper.stop(producer)
    books = science.wait_answered()
    figures.set("counts", "sent while pods came and went", books.comments_in - before)
    for name, value in vars(books).items():
        figures.set("counts", name.replace("_", " "), value)
    assert books.lost == 0
    assert books.verdicts + books.dead_letters == books.comments_in


def test_it_scales_down_again(science: Moderation, figures: Figures) -> None:
    began = time.monotonic()
    wait_for(lambda: science.field(".spec.replicas") == "1", "one replica", 240)
    wait_for(lambda: science.field(".status.replicas") == "1", "one pod", 60)
    figures.set("scaling", "seconds from the last comment to one replica", time.monotonic() - began)


def test_a_changed_policy_reaches_a_running_stream(
    science: Moderation, keeper: ProcessKeeper, comments: Path, figures: Figures
) -> None:
    def policies(at_least: float) -> dict[str, Any]:
        rule = {"action": "Review", "hold": True, "atLeast": at_least}
        return {"policies": [{"name": "off-topic", "rules": [rule]}]}

    def in_force() -> bool:
        version = science.field(".status.policyVersion")
        newest = review.newest_policy_version(science.bootstrap_servers, science.topics.output)
        return version != before and newest == version

    before = ""
    producer = science.send(keeper, comments, 10 * COMMENTS, RATE)
    science.patch(policies(0.9))
    wait_for(in_force, "verdicts by the first policies", 120)
    before = science.field(".status.policyVersion")
    rollouts = science.rollouts()
    with figures.timed("policy changed, until every verdict is by it"):
        science.patch(policies(0.2))
        wait_for(in_force, "verdicts by the changed policies", 60)
    assert science.rollouts() == rollouts
    assert not finished(producer)
    keeper.stop(producer)
    assert science.wait_answered().lost == 0


def test_people_review(
    science: Moderation,
    cluster: KindCluster,
    engine: Engine,
    keeper: ProcessKeeper,
    comments: Path,
    figures: Figures,
) -> None:
    review.add_volume(engine, cluster)
    topics = {role: {"replicationFactor": 1} for role in ("review", "feedback")}
    storage = {"storage": {"storageClassName": review.STORAGE_CLASS}}
    with figures.timed("review switched on, until its console serves"):
        science.patch({"review": {"sample": 1, "topics": topics, "console": storage}})
        science.ask("wait", "--for=condition=ReviewReady", "tm/science", "--timeout=120s")
    science.wait_ready()
    producer = science.send(keeper, comments, COMMENTS, 5)
    rita = review.token(science, "rita", "textmoderation-reviewer")
    anna = review.token(science, "anna", "textmoderation-auditor")
    card: dict[str, Any] = {}
    with review.console(science, keeper) as ask:

        def dealt() -> bool:
            status, found = ask("/api/next", rita, None)
            assert status in (review.UNREACHABLE, 200, 204), f"{status}: {found}"
            card.update(found if status == 200 else {})
            return bool(card)

        wait_for(dealt, "a card", 120)
        assert ask("/api/next", anna, None)[0] == 403
        path = f"/api/items/{card['item']}/decision"
        answer = {"decision": "Remove", "version": card["version"]}
        assert ask(path, rita, answer)[0] == 200
    keeper.stop(producer)
    servers, feedback = science.bootstrap_servers, "science-feedback"
    wait_for(lambda: review.decisions(servers, feedback), "the decision", 30)
    (decision,) = review.decisions(servers, feedback)
    assert (decision["item"], decision["decision"]) == (card["item"], "Remove")
    assert decision["actor"] == "system:serviceaccount:science:rita"


def test_on_seldon(
    seldon: None,
    moderate: Moderate,
    images: Images,
    keeper: ProcessKeeper,
    comments: Path,
    figures: Figures,
) -> None:
    with figures.timed("kubectl apply, until Ready, on platform Seldon"):
        forum = moderate("forum", spec(images.model, "forum", "Seldon"))
        forum.wait_ready()
    assert forum.field(".status.state", "sdep", "forum") == "Available"
    producer = forum.send(keeper, comments, 2_000, 1_000)
    wait_for(lambda: finished(producer), "the producer", 60)
    books = forum.wait_answered()
    figures.set("counts", "comments in, on platform Seldon", books.comments_in)
    figures.set("counts", "lost, on platform Seldon", books.lost)
    assert (books.comments_in, books.lost, books.duplicates) == (2_000, 0, 0)
    hpa = ".status.conditions[?(@.type=='ScalingActive')].status"
    assert forum.field(hpa, "hpa", "forum") == "True"


def test_an_upgrade_moves_no_model_pod(
    science: Moderation, cluster: KindCluster, kubectl: Kubectl, figures: Figures
) -> None:
    before = science.rollouts()
    with figures.timed("helm upgrade with other values"):
        installation.run_helm(
            cluster, "upgrade", RELEASE, installation.chart(), f"--namespace={NAMESPACE}",
            "--reuse-values", "--set=logLevel=DEBUG", "--wait", "--timeout=3m",
        )  # fmt: skip
    science.wait_ready()
    assert science.rollouts() == before
    template = ".spec.template.spec.containers[0]"
    shown = kubectl(
        f"--namespace={NAMESPACE}", "get", "deployment", DEPLOYMENT, f"-o=jsonpath={{{template}}}"
    )
    assert "DEBUG" in shown


def test_uninstalling_leaves_nothing_but_topics(
    science: Moderation, cluster: KindCluster, kubectl: Kubectl, figures: Figures
) -> None:
    with figures.timed("everything deleted"):
        kubectl("delete", "tm", "--all", "--all-namespaces", "--timeout=60s")
        for name in ("science", "forum"):
            pods = (f"--namespace={name}", "get", "pods", "-o", "name")
            wait_for(lambda pods=pods: not kubectl(*pods), f"the pods of {name} were gone", 90)
        installation.run_helm(
            cluster, "uninstall", RELEASE, f"--namespace={NAMESPACE}", "--wait", "--timeout=2m"
        )
        kubectl("delete", "crd", "textmoderations.textmoderation.dev", "--timeout=60s")
        # The garbage collector takes its moment.
        with contextlib.suppress(pytest.fail.Exception):
            wait_for(lambda: not left_over(kubectl), "nothing was left", 60)
    assert left_over(kubectl) == []
    topics = AdminClient({"bootstrap.servers": science.bootstrap_servers}).list_topics(timeout=10)
    assert set(vars(science.topics).values()) - {science.topics.group} <= topics.topics.keys()


def columns(table: str) -> dict[str, str]:
    """The one row of a kubectl table by its header; a cell may be empty."""
    header, row = table.rstrip("\n").splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", header)]
    cells = [slice(*ends) for ends in pairwise([*starts, None])]
    return {header[cell].strip(): row[cell].strip() for cell in cells}


def drain(science: Moderation, node: str) -> None:
    """kubectl drain of the model pods, one at a time as their budget says.

    There is one node, so what is evicted has no other to go to: the node takes pods again as soon
    as the first has been evicted, and the others follow through the same budget.
    """
    kubectl = science.kubectl
    before = set(science.field(".items[*].metadata.uid", "pods").split())
    command = [
        "kubectl", "drain", node, "--pod-selector=textmoderation.dev/name=science",
        "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=150s",
    ]  # fmt: skip
    with subprocess.Popen(
        command,
        env=kubectl.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as draining:
        pending = ("pods", "--field-selector=status.phase=Pending")
        wait_for(lambda: science.field(".items[*].metadata.name", *pending), "an eviction", 60)
        kubectl("uncordon", node)
        output, _ = draining.communicate(timeout=180)
    assert draining.returncode == 0, output
    kubectl("uncordon", node)
    assert not before & set(science.field(".items[*].metadata.uid", "pods").split())


def kill_leader(kubectl: Kubectl) -> None:
    """SIGKILL, without grace, to the operator that holds the Lease."""
    lease = kubectl(f"--namespace={NAMESPACE}", "get", "lease", "-o", "json")
    holders = [item["spec"]["holderIdentity"] for item in json.loads(lease)["items"]]
    pods = kubectl(f"--namespace={NAMESPACE}", "get", "pods", "-o", "name").split()
    names = {pod: pod.removeprefix("pod/") for pod in pods}
    (leader,) = {
        pod for pod, name in names.items() for holder in holders if holder.startswith(name)
    }
    kubectl(f"--namespace={NAMESPACE}", "delete", leader, "--grace-period=0", "--force")


def left_over(kubectl: Kubectl) -> list[str]:
    """Everything in the cluster that the operator or the chart has made."""
    kinds = kubectl("api-resources", "--verbs=list", "-o", "name").split()
    kinds = [kind for kind in kinds if not kind.startswith(("events", "componentstatuses"))]
    found: set[str] = set()
    for label in (
        "app.kubernetes.io/managed-by=textmod-operator",
        f"app.kubernetes.io/instance={RELEASE}",
    ):
        listed = kubectl(
            "get", ",".join(kinds), "--all-namespaces", f"--selector={label}", "-o", "name",
            "--ignore-not-found",
        )  # fmt: skip
        found.update(listed.split())
    return sorted(found)


def _threshold(science: Moderation) -> str:
    path = ".spec.template.spec.containers[0].env[?(@.name=='TEXTMOD_MODEL_THRESHOLD')].value"
    return science.field(path, "deployment", "science")
