"""Which group reads now, and what the object was like while it did. (The moves themselves are in
tests/integration/test_switches.py.)"""

from __future__ import annotations

from typing import Any

import pytest
from objects import PLAINTEXT, body, moderation, workload_seen

from textmod_operator import naming
from textmod_operator.desired import desired, stopped
from textmod_operator.kafka import handover
from textmod_operator.state import Capabilities

NATIVE = "textmod.reddit.science"
EXECUTOR = "default.science.reddit"


def moved(
    spec: dict[str, Any], source: str, kind: str, **metadata: Any
) -> handover.Handover | None:
    status = {"consumerGroup": source, "workload": {"kind": kind, "name": "science"}}
    tm = moderation({"serving": spec}, **metadata)
    return handover.pending(tm, body({"serving": spec}) | {"status": status})


def test_the_same_group_needs_no_handover() -> None:
    assert moved({"platform": "Deployment"}, NATIVE, "SeldonDeployment") is None
    assert handover.pending(moderation(), body()) is None, "and neither does a new object"


@pytest.mark.parametrize("source", ["", "payments", "textmod.reddit.other"])
def test_a_group_that_never_read_for_the_object_hands_nothing_over(source: str) -> None:
    """A status can be edited by hand, and its offsets would move the stream."""
    assert moved({}, source, "SeldonDeployment") is None
    assert moved({"streaming": "SeldonExecutor"}, source, "SeldonDeployment") is None


@pytest.mark.parametrize(
    ("asked", "source", "kind", "platform", "streaming"),
    [
        ({"streaming": "SeldonExecutor"}, NATIVE, "Deployment", "Deployment", "Native"),
        ({"streaming": "SeldonExecutor"}, NATIVE, "SeldonDeployment", "Seldon", "Native"),
        ({"platform": "Deployment"}, EXECUTOR, "SeldonDeployment", "Seldon", "SeldonExecutor"),
        ({"delivery": "ExactlyOnce"}, EXECUTOR, "SeldonDeployment", "Seldon", "SeldonExecutor"),
    ],
)
def test_the_object_as_it_was_reads_as_the_old_group(
    asked: dict[str, Any], source: str, kind: str, platform: str, streaming: str
) -> None:
    move = moved(asked, source, kind)
    assert move is not None
    serving = move.before.spec.serving
    assert (serving.platform, serving.streaming) == (platform, streaming)
    assert naming.consumer_group(move.before) == move.source == source
    assert move.target == naming.consumer_group(moderation({"serving": asked}))
    want = desired(move.before, PLAINTEXT, Capabilities())
    assert want.workload.kind == kind


def test_its_user_can_give_the_offsets_up() -> None:
    annotations = {naming.OFFSETS_ANNOTATION: naming.OFFSETS_ABANDONED}
    given_up = moved({"streaming": "SeldonExecutor"}, NATIVE, "Deployment", annotations=annotations)
    assert given_up is None


@pytest.mark.parametrize("platform", ["Seldon", "Deployment"])
def test_a_stopped_workload_differs_in_its_replicas_alone(platform: str) -> None:
    running = desired(moderation({"serving": {"platform": platform}}), PLAINTEXT, Capabilities())
    workload, *others = stopped(running).objects
    assert others == list(running.objects[1:])
    counted = workload["spec"]["predictors"][0] if platform == "Seldon" else workload["spec"]
    assert counted["replicas"] == 0
    counted["replicas"] = 1
    assert workload == running.objects[0]


def test_a_workload_runs_as_long_as_a_pod_of_it_is_there() -> None:
    assert not handover.still_runs(None)
    assert handover.still_runs(workload_seen(replicas=0))
    assert handover.still_runs(workload_seen(replicas=1, pods=()))
    assert not handover.still_runs(workload_seen(replicas=0, pods=()))
