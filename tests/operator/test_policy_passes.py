"""Passes over an object with policies: what is handed to the pods, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fake_cluster import NEWEST
from objects import body, scaling_seen
from world import DEPLOYMENT, NOW, World, pod, serving

from textmod_operator import naming
from textmod_operator.conditions import differ_in_rates_alone
from textmod_operator.controller.decisions import changes_condition
from textmod_operator.controller.model_pods import MAX_BACKOFF_SECONDS, ModelPods
from textmod_operator.controller.passes import next_pass
from textmod_operator.controller.reconcile import Outcome
from textmod_operator.errors import ClusterError
from textmod_operator.policies import Histogram, ModelAnswer, ModelSeen
from textmod_operator.settings import Settings
from textmod_operator.state import LagUnknown, Manifest, PodSeen

REMOVE = {"action": "Remove", "precision": 0.75}
REVIEW = {"action": "Review", "hold": True, "budgetPerDay": 2000}
ASKED = {"action": "Remove", "atLeast": 0.9}
RISING = tuple(float(count) for count in range(200))
MODEL = ModelSeen(
    "sha256:" + "a" * 64, ("removed",), (("removed", Histogram((50.0,) * 200, RISING)),)
)


def spec(*rules: dict[str, Any], **policy: Any) -> dict[str, Any]:
    return {**DEPLOYMENT, "policies": [{"name": "off-topic", "rules": list(rules), **policy}]}


def replicas(count: int = 2, **changes: Any) -> tuple[PodSeen, ...]:
    """Replicas that serve, of the newest revision, with a volume for policies."""
    fields = {"ready": True, "revision": NEWEST, "policies": "", **changes}
    return tuple(
        pod(name=f"science-{n}", address=f"10.0.0.{n}", **fields) for n in range(1, count + 1)
    )


def world(count: int = 2, **changes: Any) -> World:
    """A world whose replicas answer, and have no policies yet."""
    result = serving()
    result.cluster.pods_of = replicas(count, **changes)
    answer(result, ModelAnswer(MODEL))
    return result


def answer(here: World, said: ModelAnswer) -> None:
    """Every replica answers so from now on."""
    here.models = {str(one.address): said for one in here.cluster.pods_of}


def in_force(here: World) -> None:
    """Every replica has the policies of the ConfigMap."""
    answer(here, ModelAnswer(MODEL, version=solved(here)["version"]))


def config_map(here: World) -> Manifest | None:
    return next((b for b in here.cluster.live.values() if b["kind"] == "ConfigMap"), None)


def solved(here: World) -> dict[str, Any]:
    """The solved form that the replicas are to read."""
    found = config_map(here)
    assert found is not None
    assert found["metadata"]["name"] == "science-policies"
    document: dict[str, Any] = json.loads(found["data"]["policies.json"])
    return document


def status(here: World) -> Manifest:
    assert here.cluster.body is not None
    held: Manifest = here.cluster.body["status"]
    return held


def message(here: World) -> str:
    conditions = {item["type"]: item for item in status(here)["conditions"]}
    return str(conditions["PoliciesReady"]["message"])


def due(outcome: Outcome | None) -> float:
    assert outcome is not None
    return next_pass(outcome, None, Settings()).seconds


def container(here: World) -> Manifest:
    deployment = next(b for b in here.cluster.live.values() if b["kind"] == "Deployment")
    held: Manifest = deployment["spec"]["template"]["spec"]
    return held


def test_without_policies_nothing_is_there_and_nobody_is_asked() -> None:
    here = world(policies=None)
    here.run(DEPLOYMENT)
    assert config_map(here) is None
    assert here.asked == []
    assert "PoliciesReady" not in here.told
    assert "policies" not in json.dumps(container(here)).lower()


def test_policies_are_solved_handed_out_and_followed_until_in_force() -> None:
    here = world()
    outcome = here.run(spec(REMOVE, REVIEW))
    assert [one[1] for one in here.wrote() if one[0] == "annotate"] == ["science-1", "science-2"]
    assert here.told["PoliciesReady"] == ("False", "Propagating")
    assert here.told["Ready"] == ("True", "Ready")
    assert due(outcome) <= 1.0

    document = solved(here)
    assert document["model"] == MODEL.digest
    remove, review = document["policies"][0]["rules"]
    assert 0 < review["atLeast"] < remove["atLeast"] < 1
    assert {one.policies for one in here.cluster.pods_of} == {document["version"]}
    assert status(here)["policyVersion"] == document["version"]

    in_force(here)
    outcome = here.run(spec(REMOVE, REVIEW))
    assert here.told["PoliciesReady"] == ("True", "InForce")
    assert message(here).endswith("in force in all 2 replicas")
    assert due(outcome) == Settings().resync_interval
    asked = len(here.asked)
    here.run(spec(REMOVE, REVIEW))
    assert len(here.asked) == asked  # what was said once is not asked again
    assert [one for one in here.wrote() if one[0] == "annotate"] == []


def test_the_status_says_what_each_rule_does() -> None:
    here = world()
    here.run(spec(REMOVE, REVIEW, {"action": "Review", "atLeast": 0.1}))
    (policy,) = status(here)["policies"]
    remove, review, asked = policy["rules"]
    assert (policy["name"], policy["label"], policy["mode"]) == ("off-topic", "removed", "Enforce")
    assert (remove["source"], asked["source"]) == ("Artifact", "Asked")
    assert remove["expectedPrecision"] >= 0.75
    assert 0 < remove["expectedRecall"] <= review["expectedRecall"] < asked["expectedRecall"] <= 1
    assert (asked["threshold"], asked["hold"], review["hold"]) == (0.1, False, True)
    hourly = policy["actionsPerHour"]
    assert set(hourly) == {"Allow", "Remove", "Review"}
    assert sum(hourly.values()) == pytest.approx(100 * 3600, rel=0.05)  # 104 a second, rounded

    here.scaling = scaling_seen(reading=LagUnknown(1000.0, "No broker answers."))
    here.run(spec(REMOVE, REVIEW))
    assert "actionsPerHour" not in status(here)["policies"][0]


def test_a_rate_alone_is_written_with_the_other_figures() -> None:
    here = world()
    here.run(spec(ASKED))
    before = status(here)
    here.scaling = scaling_seen(in_per_second=50.0)
    here.run(spec(ASKED))
    assert status(here)["policies"] != before["policies"]
    assert differ_in_rates_alone(before, status(here))
    here.run(spec({**ASKED, "atLeast": 0.7}))
    assert not differ_in_rates_alone(before, status(here))


def test_the_pods_stay_the_same_when_policies_change() -> None:
    here = world()
    here.run(spec(ASKED))
    before, version = container(here), solved(here)["version"]
    here.run(spec({**ASKED, "atLeast": 0.7}))
    assert container(here) == before
    assert solved(here)["version"] != version
    (mounted,) = (one for one in before["volumes"] if one["name"] == "policies")
    assert mounted["configMap"] == {"name": "science-policies", "optional": True}
    environment = {one["name"]: one.get("value") for one in before["containers"][0]["env"]}
    assert environment[naming.ENV_POLICIES_FILE] == "/etc/textmod/policies/policies.json"


def test_nothing_is_handed_out_before_the_model_is_known() -> None:
    here = world(ready=False)
    here.models.clear()
    outcome = here.run(spec(REMOVE))
    assert config_map(here) is None
    assert here.told["PoliciesReady"] == ("Unknown", "ModelUnknown")
    assert "wait for the policies" in message(here)
    assert due(outcome) <= 1.0
    here.seconds += 1.0
    answer(here, ModelAnswer(MODEL))  # it answers before it is ready, and waits for its policies
    here.run(spec(REMOVE))
    assert solved(here)["model"] == MODEL.digest


def test_without_a_pod_to_ask_nothing_is_polled() -> None:
    here = world(0)
    assert due(here.run(spec(REMOVE))) == Settings().resync_interval
    assert here.told["PoliciesReady"] == ("Unknown", "ModelUnknown")


def test_what_needs_no_model_is_handed_out_at_once() -> None:
    here = world(0)
    here.run(spec(ASKED))
    assert solved(here)["policies"][0]["rules"][0]["atLeast"] == 0.9
    assert here.told["PoliciesReady"] == ("True", "InForce")
    assert "no replica serves" in message(here)


def test_a_restarted_operator_that_reaches_no_pod_changes_nothing() -> None:
    here = world()
    here.run(spec(REMOVE, REVIEW))
    before, said = config_map(here), status(here)["policies"]
    again = World(here.cluster, here.kafka, here.claims, here.scaling)  # its memory is gone
    again.now = NOW + timedelta(days=1)
    again.scaling = scaling_seen(in_per_second=3.0)
    again.run(spec(REMOVE, REVIEW))
    assert config_map(again) == before
    assert status(again)["policies"] == said

    # A changed rule can't be solved without the model: what is in force stays.
    again.run(spec({**REMOVE, "precision": 0.6}))
    assert solved(again) == json.loads((before or {})["data"]["policies.json"])
    assert again.told["PoliciesReady"] == ("Unknown", "ModelUnknown")
    assert "stays in force" in message(again)
    assert status(again)["policies"] == said


def test_a_budgets_threshold_follows_the_rate_once_an_hour() -> None:
    here = world()
    here.run(spec(REVIEW))
    first = solved(here)
    here.scaling = scaling_seen(in_per_second=0.05)
    here.now = NOW + timedelta(minutes=59)
    here.run(spec(REVIEW))
    assert solved(here) == first
    here.now = NOW + timedelta(minutes=61)
    here.run(spec(REVIEW))
    assert solved(here)["version"] != first["version"]


@pytest.mark.parametrize(
    ("rules", "policy", "scaling", "reason", "words"),
    [
        ([{**REMOVE, "precision": 0.999}], {}, {}, "PrecisionUnreachable", "the best is 0.7"),
        ([REMOVE], {"label": "toxic"}, {}, "UnknownLabel", "name one of removed"),
        ([REVIEW], {}, {"in_per_second": None}, "RateUnknown", "the arrival rate is not known"),
    ],
)
def test_what_cannot_be_solved_is_said_and_the_stream_serves(
    rules: list[Any], policy: Any, scaling: Any, reason: str, words: str
) -> None:
    here = world()
    here.scaling = scaling_seen(**scaling)
    here.run(spec(*rules, **policy))
    in_force(here)
    here.run(spec(*rules, **policy))
    assert here.told["PoliciesReady"] == ("False", reason)
    assert here.told["Ready"] == ("True", "Ready")
    assert words in message(here)
    assert "in force in all 2 replicas" in message(here)


def test_a_replica_that_refuses_the_policies_is_quoted() -> None:
    here = world()
    here.run(spec(ASKED))
    words = "policies[0].rules: unknown action"
    here.models["10.0.0.2"] = ModelAnswer(MODEL, version="sha256:old", error=words)
    here.run(spec(ASKED))
    assert here.told["PoliciesReady"] == ("False", "Propagating")  # it may not have read it yet
    here.seconds += 5.0
    here.run(spec(ASKED))
    assert here.told["PoliciesReady"] == ("False", "PoliciesInvalid")
    assert words in message(here)
    assert "science-2" in message(here)


def test_a_version_that_is_late_is_said_with_the_replicas_that_lack_it() -> None:
    here = world()
    here.run(spec(ASKED))
    version = solved(here)["version"]
    here.models["10.0.0.1"] = ModelAnswer(MODEL, version=version)
    here.run(spec(ASKED))
    assert message(here).endswith("in force in 1 of 2 replicas")
    here.seconds += 61.0
    here.run(spec(ASKED))
    assert here.told["PoliciesReady"] == ("False", "Propagating")
    assert message(here).endswith("for more than a minute not in science-2: see their logs")
    del here.models["10.0.0.2"]
    here.run(spec(ASKED))
    assert "NetworkPolicy" in message(here)


def test_a_kubelet_that_read_too_early_is_asked_again_a_few_times() -> None:
    here = world(1)
    here.run(spec(ASKED))
    version = solved(here)["version"]
    here.wrote()
    asked = []
    for _ in range(60):
        here.run(spec(ASKED))
        asked += [one for one in here.wrote() if one[0] == "annotate"]
        here.seconds += 1.0
    assert len(asked) == 4
    (told,) = {one.policies for one in here.cluster.pods_of}
    assert told == f"{version} 5"
    in_force(here)
    here.run(spec(ASKED))
    assert here.told["PoliciesReady"] == ("True", "InForce")


def test_a_budget_is_solved_with_the_first_texts() -> None:
    here = world()
    here.scaling = scaling_seen(in_per_second=None)
    outcome = here.run(spec(REVIEW))
    in_force(here)
    outcome = here.run(spec(REVIEW))
    assert here.told["PoliciesReady"] == ("False", "RateUnknown")
    assert due(outcome) == Settings().resync_interval
    assert here.cluster.body is not None
    assert not changes_condition(here.cluster.body, scaling_seen(in_per_second=0.0, desired=1))
    assert changes_condition(here.cluster.body, scaling_seen(in_per_second=3.0))


def test_a_replica_that_does_not_answer_is_asked_less_and_less() -> None:
    here = world()
    here.model_pods = ModelPods(lambda address: slow(here, address), lambda: here.seconds)
    for _ in range(100):
        here.run(spec(REMOVE))
        here.seconds += 1.0
    assert len(here.asked) < 10


def test_a_rollout_that_is_stuck_is_looked_at_less_and_less() -> None:
    here = world(1)
    here.run(spec(ASKED))
    waits = []
    for _ in range(1000):
        here.seconds += due(here.run(spec(ASKED)))
        waits.append(due(here.run(spec(ASKED))))
        if here.seconds > 3600:
            break
    assert waits[0] < 1.0
    assert waits[-1] == MAX_BACKOFF_SECONDS
    assert len(waits) < 250, "in the first hour"
    here.run(spec({**ASKED, "atLeast": 0.8}))
    assert due(here.run(spec({**ASKED, "atLeast": 0.8}))) < 1.0, "a change is followed at once"


def test_a_replica_that_refuses_the_question_is_asked_ever_more_slowly_after_a_minute() -> None:
    here = world(1)
    here.models.clear()
    for _ in range(60):
        here.run(spec(REMOVE))
        here.seconds += 1.0
    assert len(here.asked) == 60, "it may only be starting"
    for _ in range(100):
        here.run(spec(REMOVE))
        here.seconds += 1.0
    assert len(here.asked) <= 60 + 1 + 100 // 5
    assert due(here.run(spec(REMOVE))) > 1.0


@pytest.mark.parametrize("rule", [ASKED, REMOVE])
def test_replicas_that_do_not_answer_keep_no_other_from_being_asked(rule: dict[str, Any]) -> None:
    here = world(4)
    silent = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
    for address in silent:
        del here.models[address]
    here.run(spec(rule))
    for _ in range(20):
        if config_map(here) is not None and "10.0.0.4" in here.models:
            here.models["10.0.0.4"] = ModelAnswer(MODEL, version=solved(here)["version"])
        here.seconds += 1.0
        here.run(spec(rule))
    assert message(here).endswith("in force in 1 of 4 replicas")


def slow(here: World, address: str) -> None:
    """An address from which nothing comes."""
    here.asked.append(address)
    here.seconds += 1.0


def test_an_older_replica_does_not_speak_for_the_model() -> None:
    here = world()
    here.run(spec(REMOVE))
    in_force(here)
    here.run(spec(REMOVE))
    other = ModelSeen("sha256:" + "b" * 64, ("removed",), (("removed", Histogram(RISING, RISING)),))
    old = replace(here.cluster.pods_of[0], name="science-old", address="10.0.0.9", revision="old")
    here.cluster.pods_of = (replace(old, policies=""), *here.cluster.pods_of)
    here.models["10.0.0.9"] = ModelAnswer(other, version="sha256:other")
    before = solved(here)
    for _ in range(3):
        here.run(spec(REMOVE))
    assert "10.0.0.9" in here.asked
    assert solved(here) == before


def test_a_new_models_thresholds_come_with_its_first_replica() -> None:
    here = world()
    here.run(spec(REMOVE))
    before = solved(here)
    image = {"model": {"image": "textmoderation/nlp-model:0.2.0"}}
    here.cluster.pods_of = tuple(replace(one, revision="old") for one in here.cluster.pods_of)
    here.run({**spec(REMOVE), **image})
    assert solved(here) == before
    other = ModelSeen(
        "sha256:" + "b" * 64, ("removed",), (("removed", Histogram((1.0,) * 200, RISING)),)
    )
    (new,) = replicas(1)
    new = replace(new, name="science-new", address="10.0.0.9", ready=False)
    here.cluster.pods_of = (*here.cluster.pods_of, new)
    here.models["10.0.0.9"] = ModelAnswer(other)
    here.run({**spec(REMOVE), **image})
    assert solved(here)["model"] == other.digest


def test_a_tag_that_names_another_model_is_followed_once_all_pods_have_it() -> None:
    here = world()
    here.run(spec(REMOVE))
    in_force(here)
    here.run(spec(REMOVE))
    version = solved(here)["version"]
    other = ModelSeen(
        "sha256:" + "b" * 64, ("removed",), (("removed", Histogram((1.0,) * 200, RISING)),)
    )
    first, second = here.cluster.pods_of
    moved = replace(second, name="science-3", address="10.0.0.3", policies="")
    here.cluster.pods_of = (first, moved)
    here.models["10.0.0.3"] = ModelAnswer(other, version=version)
    for _ in range(5):
        here.run(spec(REMOVE))
    assert solved(here)["version"] == version  # nothing flaps while both models serve
    here.cluster.pods_of = tuple(one for one in here.cluster.pods_of if one.name == "science-3")
    here.run(spec(REMOVE))
    here.run(spec(REMOVE))
    assert solved(here)["model"] == other.digest


def test_policies_that_are_taken_away_stay_until_no_replica_reads_them() -> None:
    here = world()
    here.run(spec(ASKED))
    here.run(DEPLOYMENT)
    assert config_map(here) is not None
    assert "PoliciesReady" not in here.told
    assert "policies" not in status(here)
    here.cluster.pods_of = replicas(policies=None)
    here.run(DEPLOYMENT)
    assert config_map(here) is None


def test_a_config_map_of_somebody_else_is_no_memory_of_ours() -> None:
    here = world()
    here.run(spec(REMOVE))
    found = config_map(here)
    assert found is not None
    found["owner"] = "another"
    found["metadata"]["annotations"][naming.DECIDED_ANNOTATION] = "[]"
    here.cluster.faults["apply", "ConfigMap"] = ClusterError(403, "forbidden")
    here.run(spec(REMOVE))
    assert here.told["WorkloadReady"][1] == "ApplyFailed"
    assert here.told["PoliciesReady"] == ("Unknown", "NotLookedAt")


def test_a_config_map_of_another_owner_is_not_read() -> None:
    here = world()
    here.run(spec(REMOVE))
    found = config_map(here)
    assert found is not None
    found["owner"] = "another"
    again = World(here.cluster, here.kafka, here.claims, here.scaling)  # reaches no pod
    again.run(spec(REMOVE))
    assert again.told["PoliciesReady"] == ("Unknown", "ModelUnknown")
    assert "stays in force" not in message(again)


def test_a_refused_spec_leaves_the_policies_as_they_are() -> None:
    here = world()
    here.run(spec(ASKED))
    version = solved(here)["version"]
    bad = spec(ASKED, {"action": "Ban"})
    here.run(bad)
    assert here.told["Accepted"] == ("False", "InvalidSpec")
    assert here.told["PoliciesReady"] == ("Unknown", "NotAccepted")
    assert solved(here)["version"] == status(here)["policyVersion"] == version
    assert body(bad)  # the API server would have refused it
