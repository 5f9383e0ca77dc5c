"""One pass as a function: (object, world, fault) → (writes, conditions, next pass)."""

from __future__ import annotations

from typing import Any

import pytest
from fake_api_server import FakeApiServer
from fake_cluster import NEWEST, FakeCluster
from objects import body, moderation, scaling_seen
from world import DEPLOYMENT, SERVING, World, pod, serving

from textmod_operator.controller.decisions import changes_condition
from textmod_operator.controller.passes import next_pass
from textmod_operator.controller.pod_health import with_answers
from textmod_operator.controller.reconcile import Outcome
from textmod_operator.errors import ClusterError, TopicsNotReady
from textmod_operator.kube.events import post_event
from textmod_operator.settings import Settings
from textmod_operator.state import Manifest, ObjectKey, PodSeen


def refusal(status: int, message: str) -> ClusterError:
    return ClusterError(status, message)


TYPED = "failed to create typed patch object (reddit/science; apps/v1, Kind=Deployment): .spec"
WEBHOOK = 'Internal error occurred: failed calling webhook "v1.vseldondeployment.kb.io"'
UNKNOWN_FIELD = f"{TYPED}.affinity.nodeAffinty: field not declared in schema"


# --- what the API server says to an apply -----------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "answer", "part", "reason", "stalled"),
    [
        ("Deployment", refusal(500, UNKNOWN_FIELD), "Accepted", "InvalidSpec", True),
        (
            "Deployment",
            refusal(
                500, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*"
            ),
            "Accepted",
            "InvalidSpec",
            True,
        ),
        ("Deployment", refusal(422, "spec: Invalid value"), "Accepted", "InvalidSpec", True),
        ("Deployment", refusal(400, "unable to decode"), "Accepted", "InvalidSpec", True),
        ("Deployment", refusal(500, WEBHOOK), "WorkloadReady", "ApplyFailed", False),
        ("Deployment", refusal(503, "etcd is away"), "WorkloadReady", "ApplyFailed", False),
        ("Deployment", refusal(429, "too many requests"), "WorkloadReady", "ApplyFailed", False),
        (
            "Deployment",
            refusal(403, 'deployments.apps "science" is forbidden: exceeded quota: few'),
            "WorkloadReady",
            "QuotaExceeded",
            True,
        ),
        (
            "Deployment",
            refusal(403, 'admission webhook "policy.example" denied the request: no'),
            "WorkloadReady",
            "PodRefused",
            True,
        ),
        (
            "HorizontalPodAutoscaler",
            refusal(422, "spec.behavior: Invalid value"),
            "Accepted",
            "InvalidSpec",
            True,
        ),
        (
            "HorizontalPodAutoscaler",
            refusal(500, "Internal error"),
            "AutoscalingReady",
            "ApplyFailed",
            False,
        ),
        ("Service", refusal(500, "Internal error"), "WorkloadReady", "ApplyFailed", False),
    ],
)
def test_every_answer_to_an_apply_is_a_condition_of_the_objects_generation(
    kind: str, answer: ClusterError, part: str, reason: str, stalled: bool
) -> None:
    world = serving()
    world.cluster.faults["apply", kind] = answer
    outcome = world.run(DEPLOYMENT, generation=7)
    assert world.told[part] == ("False", reason)
    assert world.told["Ready"][0] == "False"
    assert world.told["Stalled"] == (("True", reason) if stalled else ("False", "NotStalled"))
    assert world.cluster.body is not None
    assert world.cluster.body["status"]["observedGeneration"] == 7
    assert outcome is not None
    assert outcome.retry == (reason != "InvalidSpec")


def test_a_refused_change_changes_nothing_that_runs() -> None:
    world = serving()
    world.run(DEPLOYMENT)
    assert ("apply", "Deployment") in world.wrote()
    world.cluster.faults["apply", "Deployment"] = refusal(500, UNKNOWN_FIELD)
    bad = {
        **DEPLOYMENT,
        "model": {"affinity": {"nodeAffinty": {}}},
        "topics": {"output": {"name": "elsewhere"}},
        "autoscaling": {"maxReplicas": 5},
    }
    world.run(bad, generation=4)
    assert world.wrote() == []
    assert world.told["Accepted"] == ("False", "InvalidSpec")
    assert world.told["WorkloadReady"] == ("Unknown", "NotAccepted")


def test_a_spec_that_the_autoscaler_is_refused_for_changes_nothing_either() -> None:
    world = serving()
    world.run(DEPLOYMENT)
    world.wrote()
    world.cluster.faults["apply", "HorizontalPodAutoscaler"] = refusal(422, "Invalid value")
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 3600}}
    bad = {**DEPLOYMENT, "model": {"image": "new:1"}, "autoscaling": {"behavior": behavior}}
    world.run(bad, generation=4)
    assert world.wrote() == []
    assert world.told["Accepted"] == ("False", "InvalidSpec")


def test_no_topic_is_created_in_a_namespace_that_is_being_deleted() -> None:
    """Its object may not be deleted yet, and what it owns is: the topics would stay behind."""
    world = serving()
    world.cluster.terminating = True
    outcome = world.run(DEPLOYMENT)
    assert world.kafka.partitions_of == {}
    assert world.told["TopicsReady"] == ("False", "ApplyFailed")
    assert outcome is not None
    assert outcome.retry
    world.cluster.terminating = False
    world.run(DEPLOYMENT)
    assert world.told["TopicsReady"] == ("True", "AsAsked")


def test_topics_that_are_there_are_not_asked_about_again() -> None:
    world = serving()
    world.run(DEPLOYMENT)
    world.cluster.terminating = True
    world.run(DEPLOYMENT)
    assert world.told["TopicsReady"] == ("True", "AsAsked")


def test_an_object_as_it_should_be_costs_no_request() -> None:
    world = serving()
    world.run(DEPLOYMENT)
    world.cluster.writes.clear()
    world.run(DEPLOYMENT)
    assert world.cluster.writes == []


# --- faults of the operator and the API server ------------------------------------------------


def test_a_bug_is_a_condition_of_the_object_and_a_retry() -> None:
    world = serving()
    world.kafka.ensure = None  # type: ignore[method-assign, assignment]
    outcome = world.run(DEPLOYMENT, generation=9)
    assert world.told["Ready"] == ("False", "InternalError")
    assert world.told["WorkloadReady"] == ("Unknown", "InternalError")
    assert outcome is not None
    assert outcome.retry
    assert not outcome.finished, "the lag is followed as before"
    assert world.cluster.body is not None
    assert world.cluster.body["status"]["observedGeneration"] == 9


def test_an_api_server_that_is_away_is_no_news_of_the_object() -> None:
    world = serving()
    world.run(DEPLOYMENT)
    before = world.told
    world.cluster.faults["apply", "Deployment"] = ClusterError(0, "connection refused")
    with pytest.raises(ClusterError):
        world.run({**DEPLOYMENT, "model": {"image": "new:1"}}, generation=4)
    assert world.told == before


@pytest.mark.parametrize("request_", [("list", "Pod"), ("get", "Secret"), ("patch", "metadata")])
def test_any_other_refusal_is_a_condition_too(request_: tuple[str, str]) -> None:
    world = serving()
    world.cluster.faults[request_] = refusal(500, "etcdserver: request timed out")
    secret = {"sasl": {"mechanism": "PLAIN", "secretRef": {"name": "login"}}}
    spec = {**DEPLOYMENT, "kafka": secret, "topics": {"deletionPolicy": "Delete"}}
    if request_ != ("get", "Secret"):
        world.cluster.secrets["login"] = {"username": b"u", "password": b"p"}
    outcome = world.run(spec, generation=5)
    assert world.told["Ready"] == ("False", "ApplyFailed")
    assert outcome is not None
    assert outcome.retry


class RotatedAtEveryRead(FakeCluster):
    """The Secret `login` changes behind every read."""

    reads = 0

    def secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        self.reads += 1
        return {"username": b"user-%d" % self.reads, "password": b"word-%d" % self.reads}


def test_a_secret_that_is_rotated_during_a_pass_is_used_whole() -> None:
    """The user's name and password are of one reading, and the next pass rolls the pods."""
    world = World(RotatedAtEveryRead(status=SERVING, pods_of=serving().cluster.pods_of))
    sasl = {"mechanism": "PLAIN", "secretRef": {"name": "login"}}
    spec = {**DEPLOYMENT, "kafka": {"sasl": sasl}}
    for reading in (1, 2):
        outcome = world.run(spec)
        assert outcome is not None
        assert outcome.connection is not None
        login = outcome.connection.sasl_username, outcome.connection.sasl_password
        assert login == (f"user-{reading}", f"word-{reading}")
        assert ("apply", "Deployment") in world.wrote()


def test_an_event_that_is_refused_costs_nothing_else() -> None:
    api = FakeApiServer()
    api.fail("POST", "/api/v1/namespaces/reddit/events", 403, "exceeded quota: few")
    post_event(api, "me", moderation(), severity="Normal", reason="Ready", message="all is well")
    (sent,) = api.sent
    assert sent.status == 403


# --- topics -----------------------------------------------------------------------------------


def other(spec: dict[str, Any], **metadata: Any) -> Manifest:
    named = {"name": "other", "uid": "uid-0", "creationTimestamp": "2025-01-01T00:00:00Z"}
    return body(spec, **{**named, **metadata})


@pytest.mark.parametrize("role", ["output", "deadLetter"])
def test_one_topic_of_two_writers_is_refused_and_nothing_moves(role: str) -> None:
    world = serving()
    world.run(DEPLOYMENT)
    world.wrote()
    shared = {"topics": {role: {"name": "shared"}}}
    world.claims.note(ObjectKey("reddit", "other"), other(shared))
    world.run({**DEPLOYMENT, **shared}, generation=4)
    assert world.wrote() == []
    assert world.told["TopicsReady"] == ("False", "OwnedByAnother")
    assert world.told["Accepted"][0] == "True"
    assert world.told["WorkloadReady"][0] == "Unknown"
    assert world.told["Stalled"] == ("True", "OwnedByAnother")


def test_two_objects_may_read_one_input() -> None:
    world = serving()
    shared = {"topics": {"input": {"name": "shared"}}}
    world.claims.note(ObjectKey("reddit", "other"), other(shared))
    world.run({**DEPLOYMENT, **shared})
    assert world.told["TopicsReady"][0] == "True"


def test_a_shared_input_outlives_the_one_that_created_it() -> None:
    world = serving()
    spec = {**DEPLOYMENT, "topics": {"input": {"name": "shared"}, "deletionPolicy": "Delete"}}
    world.run(spec)
    world.wrote()
    world.claims.note(
        ObjectKey("reddit", "other"), other({"topics": {"input": {"name": "shared"}}})
    )
    going = {"deletionTimestamp": "2026-01-02T00:00:00Z"}
    finalizers = ["textmoderation.dev/delete-topics"]
    world.run(spec, finalizers=finalizers, **going)
    assert world.wrote()[-2:] == [("delete", "science-output"), ("delete", "science-dead-letter")]
    assert "shared" in world.kafka.partitions_of


@pytest.mark.parametrize(
    "moved",
    [
        {"topics": {"input": {"name": "elsewhere"}}},
        {"review": {"console": {"enabled": False}}},
    ],
)
@pytest.mark.parametrize("reason", ["KafkaUnreachable", "TopicMissing", "ConfigDrift"])
def test_a_workload_is_not_moved_to_topics_that_are_not_there(
    reason: str, moved: dict[str, Any]
) -> None:
    world = serving()
    world.run(DEPLOYMENT)
    world.wrote()
    world.kafka.fault = TopicsNotReady(reason, "no")
    world.run({**DEPLOYMENT, **moved}, generation=4)
    assert world.wrote() == []
    assert world.told["TopicsReady"] == ("False", reason)
    assert world.told["AutoscalingReady"][0] == "Unknown"
    assert world.cluster.body is not None
    assert world.cluster.body["status"]["readyReplicas"] == 1


def test_an_outage_of_kafka_keeps_the_workload_as_it_should_be() -> None:
    world = serving()
    world.run(DEPLOYMENT)
    world.wrote()
    world.kafka.fault = TopicsNotReady("KafkaUnreachable", "no")
    world.run({**DEPLOYMENT, "model": {"image": "new:1"}}, generation=4)
    assert world.wrote() == [("apply", "Deployment")]


def test_without_topics_nothing_is_said_of_an_autoscaler() -> None:
    world = serving()
    world.kafka.fault = TopicsNotReady("ConfigDrift", "retention.ms: soon")
    world.run(DEPLOYMENT)
    assert world.told["AutoscalingReady"] == ("Unknown", "NotLookedAt")
    assert world.told["Stalled"] == ("True", "ConfigDrift")


# --- the pods' own reasons --------------------------------------------------------------------

QUOTA = 'pods "science-1" is forbidden: exceeded quota: few, requested: cpu=9'
POLICY = 'pods "science-1" is forbidden: violates PodSecurity "restricted:latest"'


@pytest.mark.parametrize(
    ("pods", "failure", "reason"),
    [
        ((pod(unscheduled="0/1 nodes are available: 1 Insufficient cpu."),), None, "Unschedulable"),
        ((pod(refused="OutOfcpu: Node didn't have enough resource"),), None, "PodRefused"),
        (
            (
                pod(
                    waiting_reason="CreateContainerConfigError", last_message='secret "x" not found'
                ),
            ),
            None,
            "ContainerNotStarting",
        ),
        ((pod(waiting_reason="ImagePullBackOff"),), None, "ImageUnavailable"),
        ((pod(waiting_reason="CrashLoopBackOff"),), None, "CrashLooping"),
        ((), QUOTA, "QuotaExceeded"),
        ((), POLICY, "PodRefused"),
    ],
)
def test_the_pods_own_reason_is_the_conditions(
    pods: tuple[PodSeen, ...], failure: str | None, reason: str
) -> None:
    status = {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": failure}]}
    told = {**SERVING, "Deployment": status if failure else {"replicas": 1}}
    world = World(FakeCluster(status=told, pods_of=pods))
    world.run(DEPLOYMENT)
    assert world.told["WorkloadReady"] == ("False", reason)
    assert world.told["Stalled"] == ("True", reason)
    assert world.told["Reconciling"][0] == "False"


# --- a stream that does not move --------------------------------------------------------------

STANDING = {"standing": (0, 3), "standing_seconds": 21.0}
CANNOT_WRITE = "The topic science-dead-letter can't be written: Broker: Invalid record."


def test_a_workload_that_does_not_read_is_not_ready() -> None:
    world = serving()
    world.scaling = scaling_seen(**STANDING)
    world.run(DEPLOYMENT)
    assert world.told["WorkloadReady"] == ("False", "NotConsuming")
    assert world.told["Stalled"] == ("True", "NotConsuming")
    assert ("Warning", "NotConsuming") in world.cluster.events
    assert world.cluster.body is not None
    (message,) = (
        item["message"]
        for item in world.cluster.body["status"]["conditions"]
        if item["type"] == "WorkloadReady"
    )
    assert "partitions 0, 3 of topic science-input" in message


@pytest.mark.parametrize("ready", [True, False])
def test_a_pod_that_reads_nothing_says_which_topic_it_cannot_write(ready: bool) -> None:
    world = serving()
    revision = NEWEST if ready else "-"
    world.cluster.pods_of = (pod(ready=ready, revision=revision, address="10.0.0.1"),)
    world.says["10.0.0.1"] = CANNOT_WRITE
    world.scaling = scaling_seen(standing_seconds=5.0)
    world.run(DEPLOYMENT)
    assert world.told["WorkloadReady"] == ("False", "StreamBlocked")
    assert world.told["Stalled"] == ("True", "StreamBlocked")


def test_a_pod_that_reads_is_not_asked() -> None:
    world = serving()
    world.cluster.pods_of = (pod(ready=True, revision=NEWEST, address="10.0.0.1"),)
    world.says["10.0.0.1"] = CANNOT_WRITE
    world.run(DEPLOYMENT)
    assert world.told["WorkloadReady"][1] != "StreamBlocked"


def test_pods_that_cannot_be_reached_cost_one_question_a_pass() -> None:
    asked: list[str] = []
    pods = tuple(pod(name=f"science-{n}", address=f"10.0.0.{n}") for n in range(5))
    with_answers(pods, None, asked.append)
    assert asked == ["10.0.0.0"]


def test_messages_that_retention_took_are_reported() -> None:
    world = serving()
    world.scaling = scaling_seen(expired=12)
    world.run(DEPLOYMENT)
    assert world.told["TopicsReady"] == ("False", "MessagesExpired")
    assert ("Warning", "MessagesExpired") in world.cluster.events


EXECUTOR = {"serving": {"platform": "Seldon", "streaming": "SeldonExecutor"}}


@pytest.mark.parametrize(
    ("spec", "restarted", "restarts"),
    [
        (EXECUTOR, None, True),
        (EXECUTOR, "2026-01-02T02:50:00Z", True),
        (EXECUTOR, "2026-01-02T03:00:00Z", False),
        (EXECUTOR, "yesterday", True),
        (DEPLOYMENT, None, False),
    ],
)
def test_only_an_executor_is_restarted_and_once_per_back_off(
    spec: dict[str, Any], restarted: str | None, restarts: bool
) -> None:
    world = serving()
    world.cluster.status = {
        **SERVING,
        "SeldonDeployment": {"deploymentStatus": {"a": {"replicas": 1, "availableReplicas": 1}}},
    }
    world.scaling = scaling_seen(**STANDING)
    annotations = {"textmoderation.dev/restarted": restarted} if restarted else {}
    world.run(spec, annotations=annotations)
    assert (("Warning", "Restarted") in world.cluster.events) == restarts


def test_an_event_of_the_stream_asks_for_one_pass() -> None:
    """Not one at every reading of the lag: what the pass found is what the reading says."""
    world = serving()
    for changes in (STANDING, {"expired": 3}, {}):
        world.scaling = scaling_seen(**changes)
        assert world.cluster.body is None or changes_condition(world.cluster.body, world.scaling)
        world.run(DEPLOYMENT)
        assert world.cluster.body is not None
        assert not changes_condition(world.cluster.body, world.scaling)


# --- when the next pass is due ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [
        (Outcome({}), 600.0),
        (Outcome({}, uses_secrets=True), 300.0),
        (Outcome({}, moderation(), retry=True), 600.0),
    ],
)
def test_every_object_has_a_next_pass(outcome: Outcome, seconds: float) -> None:
    due = next_pass(outcome, scaling_seen(), Settings())
    assert (due.seconds, due.failed) == (seconds, outcome.retry)


def test_the_group_that_reads_has_a_session_that_fits_the_promise() -> None:
    world = serving()
    world.run(DEPLOYMENT)
    assert world.kafka.sessions == {"textmod.reddit.science": 15}
    others = serving()
    others.run({**DEPLOYMENT, "topics": {"management": "Existing"}})
    assert others.kafka.sessions == {}
