from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from objects import (
    IMAGE,
    PLAINTEXT,
    REVISION,
    autoscaler_seen,
    body,
    moderation,
    scaling_seen,
    topics_seen,
    workload_seen,
)

from textmod_operator.api.status import LONGEST_MESSAGE, MOST_FORMER_TOPICS
from textmod_operator.conditions import (
    ORDER,
    figures,
    held_status,
    notices,
    published,
    refused_status,
    status,
)
from textmod_operator.controller.ownership import owned
from textmod_operator.desired import desired
from textmod_operator.errors import NotAccepted, Problem, TopicsNotReady
from textmod_operator.state import (
    AutoscalerSeen,
    Capabilities,
    LagReading,
    LagUnknown,
    LeaderSeen,
    Observed,
    PodSeen,
    Ref,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEADER = LeaderSeen("a", renewal_age=2.0)


def told(
    spec: dict[str, Any] | None = None,
    problems: tuple[Problem, ...] = (),
    before: dict[str, Any] | None = None,
    now: datetime = NOW,
    **seen: Any,
) -> dict[str, Any]:
    """The status of an object about which everything is well, but for what is given."""
    tm = moderation(spec)
    well = {
        "topics": topics_seen(),
        "workload": workload_seen(),
        "autoscaler": autoscaler_seen(),
        "scaling": scaling_seen(),
    }
    want = desired(tm, PLAINTEXT, Capabilities())
    return status(
        tm,
        body(spec) | {"status": before or {}},
        want=replace(want, readers=(replace(want.main, revision=REVISION),)),
        seen=Observed(**{**well, **seen}),
        problems=problems,
        now=now,
    )


def verdicts(result: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {item["type"]: (item["status"], item["reason"]) for item in result["conditions"]}


def test_all_well_is_ready() -> None:
    result = told()
    assert verdicts(result)["Ready"] == ("True", "Ready")
    assert [item["type"] for item in result["conditions"]] == [
        name for name in ORDER if name not in ("PoliciesReady", "ReviewReady", "QualityKnown")
    ]
    assert {item["observedGeneration"] for item in result["conditions"]} == {3}


@pytest.mark.parametrize(
    ("problem", "reason"), [(NotAccepted, "InvalidSpec"), (TopicsNotReady, "ConfigDrift")]
)
def test_a_refusal_that_repeats_a_long_value_fits_into_the_status(
    problem: type[Problem], reason: str
) -> None:
    """The API server quotes an invalid value whole, and refuses a status with a longer message."""
    refusal = problem(reason, "x" * 100_000)
    for result in (
        refused_status(body(), refusal, NOW),
        held_status(body(), refusal, NOW),
        told(problems=(refusal,)),
    ):
        said = [item["message"] for item in result["conditions"]]
        assert max(map(len, said)) == LONGEST_MESSAGE
        assert {one[-1] for one in said if len(one) == LONGEST_MESSAGE} == {"…"}


def pod(**changes: Any) -> PodSeen:
    asked = {"name": "science-1", "image": IMAGE, "ready": False, "revision": REVISION}
    return PodSeen(**{**asked, **changes})


@pytest.mark.parametrize(
    ("reason", "workload"),
    [
        ("Creating", {"pods": (), "ready_replicas": 0}),
        ("RollingOut", {"pods": (pod(ready=True, revision="old"), pod())}),
        ("RollingOut", {"pods": (pod(ready=True, revision="old"), pod(ready=True))}),
        ("RollingOut", {"settled": False, "pods": (pod(ready=True),)}),
        ("ImageUnavailable", {"pods": (pod(waiting_reason="ImagePullBackOff"),)}),
        ("CrashLooping", {"pods": (pod(waiting_reason="CrashLoopBackOff", last_message="x"),)}),
        ("CrashLooping", {"pods": (pod(restarts=2, last_message="x"),)}),
        ("Creating", {"pods": (pod(restarts=1),), "ready_replicas": 0}),
        (
            "ModelDigestMismatch",
            {
                "pods": (
                    pod(
                        waiting_reason="CrashLoopBackOff",
                        last_message="ModelDigestMismatch: other",
                    ),
                )
            },
        ),
    ],
)
def test_a_workload_that_does_not_serve_says_why(reason: str, workload: dict[str, Any]) -> None:
    result = told(workload=workload_seen(**workload))
    assert verdicts(result)["WorkloadReady"] == ("False", reason)
    assert verdicts(result)["Ready"] == ("False", reason)


def test_a_broken_new_image_is_told_while_the_old_one_serves() -> None:
    pods = (pod(ready=True, image="old:1", revision="old"), pod(waiting_reason="ErrImagePull"))
    result = told(workload=workload_seen(pods=pods, settled=False))
    assert verdicts(result)["WorkloadReady"] == ("False", "ImageUnavailable")
    assert result["workload"]["image"] == "old:1"


def test_scaled_to_zero_is_ready() -> None:
    spec = {"replicas": 0, "autoscaling": {"minReplicas": 0}}
    workload = workload_seen(replicas=0, ready_replicas=0, pods=())
    disabled = autoscaler_seen(ScalingActive=("False", "ScalingDisabled", "zero"))
    result = told(spec, workload=workload, autoscaler=disabled)
    assert verdicts(result)["Ready"] == ("True", "Ready")


@pytest.mark.parametrize(
    ("reason", "seen"),
    [
        ("LagUnknown", {"scaling": None}),
        ("LagUnknown", {"scaling": scaling_seen(reading=LagUnknown(1.0, "no answer"))}),
        ("AtMaximum", {"scaling": scaling_seen(condition="AtMaximum")}),
        ("HotPartition", {"scaling": scaling_seen(condition="HotPartition")}),
        (
            "MetricsUnavailable",
            {"autoscaler": autoscaler_seen(ScalingActive=("False", "FailedGetMetric", "no"))},
        ),
        ("HpaLimited", {"autoscaler": autoscaler_seen(AbleToScale=("False", "Failed", "no"))}),
    ],
)
def test_scaling_that_is_not_on_live_lag_says_why(reason: str, seen: dict[str, Any]) -> None:
    assert verdicts(told(**seen))["AutoscalingReady"] == ("False", reason)


def test_without_a_metrics_provider_the_lag_is_nobodys_business() -> None:
    spec = {"autoscaling": {"metricsProvider": "None"}}
    result = told(spec, autoscaler=None, scaling=None)
    assert verdicts(result)["AutoscalingReady"] == ("True", "NotOnLag")


def test_ready_has_the_first_reason() -> None:
    problem = TopicsNotReady("KafkaUnreachable", "no broker answers")
    result = told(problems=(problem,), topics=(), workload=None, autoscaler=None, scaling=None)
    assert verdicts(result)["Ready"] == ("False", "KafkaUnreachable")
    assert verdicts(result)["WorkloadReady"] == ("Unknown", "NotLookedAt")


def test_what_waiting_does_not_mend_is_stalled() -> None:
    stuck = TopicsNotReady("PartitionsCannotShrink", "24 are there", retry=False)
    passing = TopicsNotReady("KafkaUnreachable", "no broker answers")
    assert verdicts(told(problems=(stuck,)))["Stalled"] == ("True", "PartitionsCannotShrink")
    assert verdicts(told(problems=(passing,)))["Stalled"][0] == "False"


def test_an_object_that_is_not_accepted_is_not_looked_at() -> None:
    problem = NotAccepted("SecretNotFound", "Secret a is not there")
    result = refused_status(body(), problem, NOW)
    assert verdicts(result)["Accepted"] == ("False", "SecretNotFound")
    assert verdicts(result)["TopicsReady"] == ("Unknown", "NotAccepted")
    assert "lag" not in result


def test_the_transition_time_moves_only_with_the_status() -> None:
    first = told()
    creating = workload_seen(pods=(), ready_replicas=0)
    later = NOW + timedelta(minutes=5)
    second = told(before=first, now=later, workload=creating)
    times = {item["type"]: item["lastTransitionTime"] for item in second["conditions"]}
    assert times["Accepted"] == "2026-01-02T03:04:05Z"
    assert times["WorkloadReady"] == times["Ready"] == "2026-01-02T03:09:05Z"


def test_the_figures_are_rounded() -> None:
    told_figures = figures(scaling_seen())
    assert told_figures["lag"] == {
        "messages": 41_000,
        "secondsBehind": 13,
        "perPartitionMax": 41_000,
    }
    assert told_figures["rates"] == {"inPerSecond": 100.0}


def test_an_unknown_lag_has_no_figure() -> None:
    assert figures(scaling_seen(reading=LagUnknown(1.0, "no answer")))["lag"] is None
    unknown_age = scaling_seen(reading=LagReading(1.0, ()), seconds_behind=None)
    assert figures(unknown_age)["lag"] == {"messages": 0, "perPartitionMax": 0}


def test_what_a_status_publishes_is_what_was_decided() -> None:
    assert published({}, LEADER, 5.0) is None
    told = figures(scaling_seen(desired=4, observed_by="a"))
    assert (told["scaling"]["observedAt"], told["scaling"]["observedBy"]) == (
        "1970-01-01T00:16:40Z",
        "a",
    )
    known = published({"status": told}, LEADER, 5.0)
    assert known is not None
    assert (known.desired, known.reading) == (4, LagReading(3.0, ()))  # as the leader last renewed


@pytest.mark.parametrize("author", ["b", None])
def test_a_decision_of_an_earlier_leader_is_none_of_now(author: str | None) -> None:
    told = figures(scaling_seen(desired=4, observed_by=author))
    seen = published({"status": told}, LEADER, 5.0)
    assert seen is not None
    assert isinstance(seen.reading, LagUnknown)
    assert "by an earlier leader" in seen.reading.why
    assert ("1970-01-01T00:16:40Z" in seen.reading.why) == (author is not None)


def test_an_unknown_lag_is_published_as_unknown() -> None:
    told = figures(scaling_seen(reading=LagUnknown(1.0, "no answer")))
    without = {key: value for key, value in told.items() if value is not None}
    stale = figures(scaling_seen())
    condition = {"type": "AutoscalingReady", "status": "False", "reason": "LagUnknown"}
    for status_ in (without, {**stale, "conditions": [condition]}):
        seen = published({"status": status_}, LEADER, 5.0)
        assert seen is not None
        assert isinstance(seen.reading, LagUnknown)


def test_topics_that_were_created_once_stay_known_as_such() -> None:
    first = told()
    assert [topic["created"] for topic in first["topics"]] == [True, False, False]
    again = told(before=first, topics=tuple(topics_seen()[1:]))
    assert [topic["created"] for topic in again["topics"]] == [False, False]
    unseen = told(before=first, topics=())
    assert unseen["topics"] == first["topics"]


def test_created_topics_that_left_the_spec_stay_on_record() -> None:
    first = told()
    made, *others = topics_seen()
    without = told(before=first, topics=tuple(others))
    assert [topic["name"] for topic in without["topics"]] == [one.name for one in others]
    assert [one["name"] for one in without["formerTopics"]] == [made.name]
    assert owned({"status": without}).keys() == {made.name}
    unseen = told(before=without, topics=())
    assert unseen["formerTopics"] == without["formerTopics"]
    back = told(before=without, topics=topics_seen())
    assert "formerTopics" not in back
    assert [topic["created"] for topic in back["topics"]] == [True, False, False]


def test_as_many_former_topics_are_kept_as_the_status_may_have() -> None:
    first = told()
    made, *others = topics_seen()
    first["formerTopics"] = [{"name": f"old-{n}"} for n in range(MOST_FORMER_TOPICS)]
    after = told(before=first, topics=tuple(others))
    former = after["formerTopics"]
    assert len(former) == MOST_FORMER_TOPICS
    assert [former[0]["name"], former[-1]["name"]] == ["old-1", made.name]
    (forgotten,) = (one for one in notices(first, after) if one.reason == "TopicsForgotten")
    assert forgotten.severity == "Warning"
    assert "the topics old-0, which" in forgotten.message
    assert [one.reason for one in notices(after, after)] == []


@pytest.mark.parametrize(
    ("policy", "former", "warns"),
    [("Delete", 64, True), ("Delete", 63, False), ("Retain", 64, False)],
)
def test_a_record_that_is_full_is_a_warning_before_anything_is_forgotten(
    policy: str, former: int, *, warns: bool
) -> None:
    full = {"formerTopics": [{"name": f"old-{n}"} for n in range(former)]}
    after = told({"topics": {"deletionPolicy": policy}}, before=full)
    (ready,) = (one for one in after["conditions"] if one["type"] == "TopicsReady")
    assert ("formerTopics is full" in ready["message"]) == warns


def test_events_tell_of_transitions_only() -> None:
    well = told()
    lost = told(before=well, scaling=scaling_seen(condition="AtMaximum"))
    assert [notice.reason for notice in notices({}, well)] == ["Ready"]
    assert notices(well, well) == []
    assert [(n.severity, n.reason) for n in notices(well, lost)] == [("Warning", "AtMaximum")]
    assert [notice.reason for notice in notices(lost, well)] == ["Ready"]


def test_what_is_known_survives_an_object_that_is_not_accepted() -> None:
    before = told()
    problem = NotAccepted("SecretNotFound", "Secret login is not there")
    result = refused_status(body() | {"status": before}, problem, NOW)
    for name in ("topics", "consumerGroup", "selector", "replicas", "workload"):
        assert result[name] == before[name]
    assert not result.keys() & {"lag", "rates", "scaling"}, "but for figures that nobody reads"


def test_an_object_that_is_held_says_how_it_is_let_go() -> None:
    before = told()
    problem = TopicsNotReady("KafkaUnreachable", "deleting topic a: no broker answers")
    result = held_status(body(generation=4) | {"status": before}, problem, NOW)
    assert result["observedGeneration"] == 4
    assert verdicts(result)["Ready"] == ("False", "KafkaUnreachable")
    assert verdicts(result)["Accepted"] == ("True", "Valid")
    for gone in ("WorkloadReady", "AutoscalingReady"):  # both are deleted before the topics
        assert verdicts(result)[gone] == ("Unknown", "NotLookedAt")
    assert "set topics.deletionPolicy to Retain" in result["conditions"][0]["message"]


@pytest.mark.parametrize(
    ("conditions", "reason", "says"),
    [
        ({"Ready": ("True", "ScaledObjectReady", "fine")}, "OnLiveLag", "ScaledObject follows"),
        ({"Ready": ("False", "Bad", "trigger refused")}, "MetricsUnavailable", "trigger refused"),
        ({}, "MetricsUnavailable", "KEDA has not acted yet"),
    ],
)
def test_a_scaled_object_is_judged_by_its_own_condition(
    conditions: dict[str, tuple[str, str, str]], reason: str, says: str
) -> None:
    ref = Ref("keda.sh/v1alpha1", "ScaledObject", "reddit", "science")
    keda = {"autoscaling": {"metricsProvider": "Keda"}}
    result = told(keda, autoscaler=AutoscalerSeen(ref, conditions))
    (told_of,) = (item for item in result["conditions"] if item["type"] == "AutoscalingReady")
    assert told_of["reason"] == reason
    assert says in told_of["message"]
