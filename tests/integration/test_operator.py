"""The operator on a real control plane and a real broker, seen through kubectl as users see it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from bad_specs import BAD_SPECS, Bad
from confluent_kafka.admin import AdminClient
from live import Kubectl, WaitFor, condition, consume, produce, refused, topics
from objects import merged

from textmod_dev.local_cluster import LocalCluster
from textmod_dev.model_image import IMAGE

pytestmark = pytest.mark.integration

# --- the API server refuses what can't work -------------------------------------------------------


REFUSED = [bad for bad in BAD_SPECS if not bad.admitted]


@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: bad.name)
def test_the_api_server_refuses_with_a_sentence(operator: LocalCluster, bad: Bad) -> None:
    smallest = {"kafka": {"bootstrapServers": "kafka:9092"}, "model": {"image": IMAGE}}
    text = yaml.safe_dump(
        {
            "apiVersion": "textmoderation.dev/v1alpha1",
            "kind": "TextModeration",
            "metadata": {"name": "science"},
            "spec": merged(smallest, bad.spec),
        }
    )
    said = refused(operator.kubectl, "create", "--dry-run=server", "-f", "-", stdin=text)
    assert bad.says in said


@pytest.mark.parametrize("name", ["a" * 43, "1abc", "a.b"])
def test_the_api_server_refuses_a_name_that_nothing_can_be_called_after(
    operator: LocalCluster, manifest: Callable[..., str], name: str
) -> None:
    said = refused(
        operator.kubectl, "create", "--dry-run=server", "-f", "-", stdin=manifest(name=name)
    )
    assert "metadata.name must be at most 42" in said


def test_partitions_grow_and_never_shrink(
    kubectl: Kubectl,
    manifest: Callable[..., str],
    ready: Callable[..., None],
    admin: AdminClient,
    topic_prefix: str,
    wait_for: WaitFor,
) -> None:
    ready()
    kubectl("apply", "-f", "-", stdin=manifest({"topics": {"input": {"partitions": 5}}}))
    grown = f"{topic_prefix}-input"
    wait_for(lambda: topics(admin, topic_prefix)[grown] == 5, 20, "the input has 5 partitions")
    shrunk = manifest({"topics": {"input": {"partitions": 4}}})
    assert "can grow but not shrink" in refused(kubectl, "apply", "-f", "-", stdin=shrunk)


def test_a_topic_with_unread_messages_is_not_left_behind(
    kubectl: Kubectl,
    manifest: Callable[..., str],
    wait_for: WaitFor,
    operator: LocalCluster,
    topic_prefix: str,
) -> None:
    image = {"model": {"image": "textmoderation/not-there:0"}}
    kubectl("apply", "-f", "-", stdin=manifest(image))
    wait_for(lambda: condition(kubectl, "TopicsReady").get("status") == "True", 30, "topics")
    produce(operator, f"{topic_prefix}-input", [b"unread"])
    wait_for(
        lambda: kubectl("get", "tm", "science", "-o", "jsonpath={.status.lag.messages}") == "1",
        30,
        "the lag is 1",
    )
    renamed = manifest(merged(image, {"topics": {"input": {"name": f"{topic_prefix}-other"}}}))
    assert "what waits in the old topic" in refused(kubectl, "apply", "-f", "-", stdin=renamed)


# --- from apply to Ready, as users see it ---------------------------------------------------------


@pytest.mark.parametrize("platform", ["Seldon", "Deployment"])
def test_one_object_becomes_a_running_stream(
    platform: str,
    kubectl: Kubectl,
    ready: Callable[..., None],
    admin: AdminClient,
    operator: LocalCluster,
    topic_prefix: str,
) -> None:
    ready({"serving": {"platform": platform}})

    assert topics(admin, topic_prefix) == {
        f"{topic_prefix}-input": 3,
        f"{topic_prefix}-output": 3,
        f"{topic_prefix}-dead-letter": 1,
    }
    kinds = ["sdep" if platform == "Seldon" else "deployment", "hpa", "pdb"]
    owners = {
        item["metadata"]["ownerReferences"][0]["name"]
        for kind in kinds
        for item in [json.loads(kubectl("get", kind, "science", "-o", "json"))]
    }
    assert owners == {"science"}

    (pod,) = kubectl("get", "pods", "-l", "textmoderation.dev/name=science", "-o", "name").split()
    assert kubectl("logs", pod).strip()

    line = kubectl("get", "tm", "science", "-o", "wide", "--no-headers").split()
    assert line[:3] == ["science", "True", "1"]
    assert platform in line

    comments = [b'{"body": "you are a fool"}', b"not json", b'{"body": "thanks for the source"}']
    produce(operator, f"{topic_prefix}-input", comments)
    verdicts = consume(operator, f"{topic_prefix}-output", 2)
    dead = consume(operator, f"{topic_prefix}-dead-letter", 1)
    assert all(json.loads(value)["data"]["names"] == ["t:0", "t:1"] for value in verdicts)
    assert dead == [b"not json"]


def test_kubectl_explains_every_part(operator: LocalCluster, wait_for: WaitFor) -> None:
    group = ("api-resources", "--api-group=textmoderation.dev")
    wait_for(lambda: " tm " in operator.kubectl(*group), 20, "the short name is discovered")
    text = operator.kubectl("explain", "tm.spec", "--recursive")
    assert "maxSecondsBehind" in text
    assert "at most this many seconds old" in operator.kubectl(
        "explain", "tm.spec.autoscaling.lag.maxSecondsBehind"
    )


def test_kubectl_scale_reaches_the_workload(
    kubectl: Kubectl, ready: Callable[..., None], wait_for: WaitFor
) -> None:
    ready({"autoscaling": {"metricsProvider": "None"}, "serving": {"platform": "Deployment"}})
    kubectl("scale", "tm/science", "--replicas=2")
    wait_for(
        lambda: kubectl("get", "tm", "science", "-o", "jsonpath={.status.readyReplicas}") == "2",
        30,
        "two replicas serve",
    )


# --- what is changed by hand is repaired ----------------------------------------------------------


def test_what_is_deleted_or_edited_by_hand_is_repaired(
    kubectl: Kubectl,
    ready: Callable[..., None],
    admin: AdminClient,
    topic_prefix: str,
    wait_for: WaitFor,
) -> None:
    ready()

    def uid(kind: str) -> str:
        return kubectl(
            "get", kind, "science", "--ignore-not-found", "-o", "jsonpath={.metadata.uid}"
        )

    for kind in ("sdep", "hpa", "pdb"):
        before = uid(kind)
        kubectl("delete", kind, "science", "--wait=true")
        wait_for(lambda k=kind, b=before: uid(k) not in ("", b), 10, f"the {kind} is made anew")

    edits = {
        "sdep": ("/spec/predictors/0/replicas", 3),
        "hpa": ("/spec/maxReplicas", 2),
    }
    for kind, (path, value) in edits.items():
        patch = json.dumps([{"op": "replace", "path": path, "value": value}])
        read = "jsonpath={" + path.replace("/", ".").replace(".0.", "[0].") + "}"
        before_edit = kubectl("get", kind, "science", "-o", read)
        kubectl("patch", kind, "science", "--type=json", "-p", patch)
        wait_for(
            lambda k=kind, r=read, b=before_edit: kubectl("get", k, "science", "-o", r) == b,
            10,
            f"the edit of the {kind} is undone",
        )

    kubectl("annotate", "sdep", "science", "team=trust-and-safety")
    (future,) = admin.delete_topics([f"{topic_prefix}-output"]).values()
    future.result(10)
    wait_for(
        lambda: f"{topic_prefix}-output" in topics(admin, topic_prefix), 30, "the topic is back"
    )
    annotation = "jsonpath={.metadata.annotations.team}"
    assert kubectl("get", "sdep", "science", "-o", annotation) == "trust-and-safety"


@pytest.mark.parametrize(("policy", "left"), [("Retain", 3), ("Delete", 0)])
def test_deleting_the_object_takes_what_is_ours_and_the_topics_only_when_asked(
    policy: str,
    left: int,
    kubectl: Kubectl,
    ready: Callable[..., None],
    admin: AdminClient,
    topic_prefix: str,
    wait_for: WaitFor,
) -> None:
    ready({"serving": {"platform": "Deployment"}, "topics": {"deletionPolicy": policy}})
    kubectl("delete", "tm", "science", "--wait=false")
    if policy == "Delete":
        wait_for(lambda: condition(kubectl, "Ready").get("reason") == "PodsRunning", 20, "held")
    kubectl("wait", "--for=delete", "tm/science", "--timeout=60s")
    kinds = "sdep,deployment,service,hpa,pdb,pods"
    wait_for(
        lambda: not kubectl("get", kinds, "-l", "textmoderation.dev/name=science", "-o", "name"),
        60,
        "all that was made is gone",
    )
    wait_for(lambda: len(topics(admin, topic_prefix)) == left, 20, f"{left} topics are left")


def test_moving_to_another_platform_prunes_the_first(
    kubectl: Kubectl, ready: Callable[..., None], wait_for: WaitFor
) -> None:
    ready({"serving": {"platform": "Deployment"}})
    ready({"serving": {"platform": "Seldon"}})
    wait_for(
        lambda: not kubectl("get", "deployment", "science", "--ignore-not-found", "-o", "name"),
        30,
        "the Deployment of ours is pruned",
    )


TOO_MANY_COPIES = {"replicationFactor": 3}


# --- the status tells the truth -------------------------------------------------------------------


def test_a_missing_secret_is_told_and_heals_by_itself(
    kubectl: Kubectl, manifest: Callable[..., str], wait_for: WaitFor
) -> None:
    spec = {"kafka": {"sasl": {"mechanism": "PLAIN", "secretRef": {"name": "login"}}}}
    kubectl("apply", "-f", "-", stdin=manifest(spec))
    wait_for(lambda: condition(kubectl, "Accepted").get("reason") == "SecretNotFound", 10, "told")
    kubectl("create", "secret", "generic", "login", "--from-literal=username=sally")
    wait_for(lambda: condition(kubectl, "Accepted").get("reason") == "SecretKeyMissing", 40, "told")
    kubectl("patch", "secret", "login", "-p", '{"stringData": {"password": "open-sesame"}}')
    wait_for(lambda: condition(kubectl, "Accepted").get("status") == "True", 40, "accepted")


def test_a_ca_that_is_none_is_told_and_heals_by_itself(
    kubectl: Kubectl, manifest: Callable[..., str], wait_for: WaitFor
) -> None:
    kubectl("create", "secret", "generic", "ca", "--from-literal=ca.crt=no certificate at all")
    spec = {"kafka": {"tls": {"caSecretRef": {"name": "ca", "key": "ca.crt"}}}}
    kubectl("apply", "-f", "-", stdin=manifest(spec))
    wait_for(lambda: condition(kubectl, "Accepted").get("reason") == "SecretInvalid", 10, "told")
    assert "key ca.crt of Secret ca" in condition(kubectl, "Accepted")["message"]


@pytest.mark.parametrize(
    ("reason", "part", "spec"),
    [
        ("KafkaUnreachable", "TopicsReady", {"kafka": {"bootstrapServers": "127.0.0.1:1"}}),
        ("TopicMissing", "TopicsReady", {"topics": {"management": "Existing"}}),
        (
            "ReplicationFactorTooHigh",
            "TopicsReady",
            {"topics": {"input": {"replicationFactor": 3}}},
        ),
        ("ConfigDrift", "TopicsReady", {"topics": {"input": {"config": {"no.such": "1"}}}}),
        (
            "MinInsyncReplicasTooHigh",
            "TopicsReady",
            {"topics": {"input": {"config": {"min.insync.replicas": "5"}}}},
        ),
        ("ImageUnavailable", "WorkloadReady", {"model": {"image": "textmoderation/not-there:0"}}),
        ("ModelDigestMismatch", "WorkloadReady", {"model": {"digest": "sha256:" + "0" * 64}}),
        (
            "InvalidSpec",
            "Accepted",
            {
                "serving": {"platform": "Deployment"},
                "model": {"tolerations": [{"operator": "Perhaps"}]},
            },
        ),
    ],
)
def test_a_fault_is_told_in_its_condition(
    reason: str,
    part: str,
    spec: dict[str, Any],
    kubectl: Kubectl,
    manifest: Callable[..., str],
    wait_for: WaitFor,
) -> None:
    kubectl("apply", "-f", "-", stdin=manifest(spec))
    wait_for(lambda: condition(kubectl, part).get("reason") == reason, 60, f"{part}: {reason}")
    assert condition(kubectl, "Ready")["reason"] == reason
    wait_for(lambda: reason in kubectl("get", "events"), 10, "an event tells it too")


def test_two_objects_on_one_topic_and_the_older_wins(
    kubectl: Kubectl, manifest: Callable[..., str], ready: Callable[..., None], wait_for: WaitFor
) -> None:
    ready()
    kubectl("apply", "-f", "-", stdin=manifest(name="younger"))
    wait_for(
        lambda: condition(kubectl, "TopicsReady", of="younger").get("reason") == "OwnedByAnother",
        20,
        "the younger is told",
    )
    assert condition(kubectl, "Ready")["status"] == "True"
    assert not kubectl("get", "sdep", "younger", "--ignore-not-found", "-o", "name")


def test_a_foreign_object_of_the_same_name_is_left_alone(
    kubectl: Kubectl, manifest: Callable[..., str], wait_for: WaitFor
) -> None:
    kubectl("create", "service", "clusterip", "science", "--tcp=80:80")
    kubectl("apply", "-f", "-", stdin=manifest({"serving": {"platform": "Deployment"}}))
    wait_for(
        lambda: condition(kubectl, "WorkloadReady").get("reason") == "Conflict", 20, "Conflict"
    )
    ports = kubectl("get", "service", "science", "-o", "jsonpath={.spec.ports[*].port}")
    assert ports == "80"


def test_an_idle_object_costs_no_writes(
    kubectl: Kubectl, ready: Callable[..., None], wait_for: WaitFor
) -> None:
    ready()
    version = "jsonpath={.metadata.resourceVersion}"
    seen: list[str] = []

    def still() -> bool:
        seen.append(kubectl("get", "tm", "science", "-o", version))
        return len(seen) > 50 and len(set(seen[-50:])) == 1  # ten seconds and more

    wait_for(still, 90, "the object has stopped changing")
    events = json.loads(kubectl("get", "events", "-o", "json"))["items"]
    told = [e["reason"] for e in events if e["involvedObject"]["kind"] == "TextModeration"]
    assert told.count("Ready") == 1, "each transition is told once"
    assert len(told) == len(set(told))


def test_check_tells_what_would_change(
    operator: LocalCluster,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    ready: Callable[..., None],
    namespace: str,
    tmp_path: Path,
    wait_for: WaitFor,
) -> None:
    file = tmp_path / "moderation.yaml"
    spec = {"autoscaling": {"metricsProvider": "None"}}

    def checked(spec: dict[str, Any]) -> tuple[int, str]:
        body = json.loads(manifest(spec))
        body["metadata"]["namespace"] = namespace
        file.write_text(json.dumps(body))
        command = [sys.executable, "-m", "textmod_operator", "check", str(file), "--diff"]
        where = f"--kubeconfig={operator.kubeconfig}"
        done = subprocess.run([*command, where], capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout

    code, diff = checked(spec)
    assert code == 1
    assert f"+++ file: SeldonDeployment {namespace}/science" in diff
    ready(spec)
    kubectl("scale", "tm/science", "--replicas=2")
    replicas = "jsonpath={.spec.predictors[0].replicas}"
    wait_for(lambda: kubectl("get", "sdep", "science", "-o", replicas) == "2", 20, "two replicas")
    assert checked(spec) == (0, ""), "what is scaled by others is no difference"
    code, diff = checked({**spec, "model": {"threshold": 0.25}})
    assert code == 1
    assert "+          - name: TEXTMOD_MODEL_THRESHOLD" in diff
