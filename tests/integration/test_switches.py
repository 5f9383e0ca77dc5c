"""Everything that can be changed on a live object, under load: each message is counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from live import Kubectl, WaitFor, condition
from load import Load

from textmod_dev.local_cluster import LocalCluster
from textmod_dev.model_image import IMAGE, add_image, trained_model, training_data
from textmod_dev.progress import Progress

pytestmark = pytest.mark.integration

AUTO = {"message": {"format": "Auto"}}
"""What the executor's texts look like, and ours."""
SILENCE_SECONDS = 15
"""Between two verdicts at most, while one set of replicas takes over from another: a rebalance and
this machine's other work, and much less than what a gap until a pod has started would be."""

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def change(kubectl: Kubectl, manifest: Callable[..., str], wait_for: WaitFor) -> Change:
    """Applies a spec and waits until the object as it now is is Ready."""

    def apply(spec: dict[str, Any]) -> None:
        kubectl("apply", "-f", "-", stdin=manifest({**AUTO, **spec}))
        wait_for(lambda: is_settled(kubectl), 120, f"Ready with {spec}")

    return apply


def is_settled(kubectl: Kubectl) -> bool:
    """Ready, and that said of the object as it is now."""
    body = json.loads(kubectl("get", "tm", "science", "-o", "json"))
    conditions = {item["type"]: item for item in body.get("status", {}).get("conditions", ())}
    assert conditions, "no status yet"
    current = conditions["Ready"]["observedGeneration"] == body["metadata"]["generation"]
    assert current and conditions["Ready"]["status"] == "True", conditions["Ready"]["message"]
    return True


def group(kubectl: Kubectl) -> str:
    return kubectl("get", "tm", "science", "-o", "jsonpath={.status.consumerGroup}")


@pytest.fixture
def load(operator: LocalCluster, topic_prefix: str) -> Iterator[Callable[..., Load]]:
    """Starts the load on the test's topics, which have to be there."""
    running: list[Load] = []

    def start(per_second: float = 40) -> Load:
        topics = (f"{topic_prefix}-input", f"{topic_prefix}-output")
        made = Load(operator.bootstrap_servers, *topics, per_second)
        running.append(made.__enter__())
        return made

    yield start
    for made in running:
        made.__exit__(None, None, None)


def all_counted(load: Load, wait_for: WaitFor, *, silence: float | None = SILENCE_SECONDS) -> None:
    """Ends the load: nothing may be lost, and no gap may have been."""
    load.stop()
    wait_for(lambda: not load.lost, 60, "a verdict for every message")
    print(
        f"{load.sent} sent, {load.repeated} repeated, longest silence {load.longest_silence:.1f} s"
    )
    if silence is not None:
        assert load.longest_silence < silence


def test_another_streaming_takes_over_where_the_first_stood(
    kubectl: Kubectl, change: Change, load: Callable[..., Load], namespace: str, wait_for: WaitFor
) -> None:
    change({})
    native, executor = f"textmod.{namespace}.science", f"default.science.{namespace}"
    counted = load(per_second=10)  # a request for each message is slow
    wait_for(lambda: len(counted.received) > 50, 30, "verdicts")
    assert group(kubectl) == native
    change({"serving": {"streaming": "SeldonExecutor"}})
    assert group(kubectl) == executor
    wait_for(lambda: len(counted.received) > counted.sent - 20, 60, "the executor keeps up")
    change({"serving": {"streaming": "Native", "delivery": "ExactlyOnce"}})
    assert group(kubectl) == native
    all_counted(counted, wait_for, silence=None)
    # What the old members had answered and not committed when they ended is answered twice.
    assert counted.repeated < 50, "the whole topic would be hundreds"


def test_another_platform_and_delivery_take_over_without_a_gap(
    kubectl: Kubectl, change: Change, load: Callable[..., Load], wait_for: WaitFor
) -> None:
    change({"serving": {"platform": "Seldon"}})
    counted = load()
    wait_for(lambda: counted.received, 30, "verdicts")
    change({"serving": {"platform": "Deployment"}})
    wait_for(
        lambda: not kubectl("get", "sdep", "science", "--ignore-not-found", "-o", "name"),
        30,
        "the SeldonDeployment is pruned",
    )
    change({"serving": {"platform": "Deployment", "delivery": "ExactlyOnce"}})
    all_counted(counted, wait_for)


@pytest.mark.parametrize("platform", ["Seldon", "Deployment"])
def test_a_threshold_and_an_image_roll_out_without_a_gap(
    platform: str,
    kubectl: Kubectl,
    operator: LocalCluster,
    change: Change,
    load: Callable[..., Load],
    wait_for: WaitFor,
) -> None:
    other = f"{IMAGE}-next"
    add_image(operator.images, trained_model(training_data(None, Progress()), Progress()), other)
    serving = {"serving": {"platform": platform}}
    change(serving)
    counted = load()
    wait_for(lambda: counted.received, 30, "verdicts")
    change({**serving, "model": {"threshold": 0.25}})
    change({**serving, "model": {"image": other}})
    image = kubectl("get", "tm", "science", "-o", "jsonpath={.status.workload.image}")
    assert image == other
    all_counted(counted, wait_for)


@pytest.mark.parametrize("platform", ["Seldon", "Deployment"])
def test_a_model_that_does_not_load_never_replaces_one_that_does(
    platform: str,
    kubectl: Kubectl,
    manifest: Callable[..., str],
    change: Change,
    load: Callable[..., Load],
    wait_for: WaitFor,
) -> None:
    serving = {**AUTO, "serving": {"platform": platform}}
    change(serving)
    counted = load()
    wait_for(lambda: counted.received, 30, "verdicts")
    bad = manifest({**serving, "model": {"digest": "sha256:" + "0" * 64}})
    kubectl("apply", "-f", "-", stdin=bad)
    wait_for(
        lambda: condition(kubectl, "WorkloadReady").get("reason") == "ModelDigestMismatch",
        60,
        "the mismatch is told",
    )
    read = "jsonpath={.status.readyReplicas} {.status.workload.image}"
    assert kubectl("get", "tm", "science", "-o", read) == f"1 {IMAGE}"
    before = len(counted.received)
    wait_for(lambda: len(counted.received) > before + 40, 20, "the old model goes on")
    kubectl("apply", "-f", "-", stdin=manifest(serving))  # without digest again
    wait_for(lambda: is_settled(kubectl), 60, "Ready again")
    all_counted(counted, wait_for)


def test_a_group_that_somebody_else_reads_as_is_not_taken_over(
    kubectl: Kubectl,
    manifest: Callable[..., str],
    change: Change,
    load: Callable[..., Load],
    operator: LocalCluster,
    topic_prefix: str,
    namespace: str,
    wait_for: WaitFor,
) -> None:
    from confluent_kafka import Consumer

    change({})
    counted = load(per_second=10)
    wait_for(lambda: counted.received, 30, "verdicts")
    stranger = Consumer(
        {
            "bootstrap.servers": operator.bootstrap_servers,
            "group.id": f"default.science.{namespace}",
        }
    )
    stranger.subscribe([f"{topic_prefix}-input"])
    wait_for(lambda: stranger.poll(0.1) is not None or stranger.assignment(), 30, "it has joined")
    switched = manifest({**AUTO, "serving": {"streaming": "SeldonExecutor"}})
    kubectl("apply", "-f", "-", stdin=switched)

    def told() -> bool:
        stranger.poll(0)
        return condition(kubectl, "WorkloadReady").get("reason") == "OffsetsNotCarried"

    wait_for(told, 30, "refused")
    assert group(kubectl) == f"textmod.{namespace}.science"
    before = len(counted.received)
    wait_for(lambda: len(counted.received) > before + 20, 20, "what served goes on")
    stranger.close()
    wait_for(lambda: is_settled(kubectl), 120, "it goes on by itself once the stranger has left")
    assert group(kubectl) == f"default.science.{namespace}"
    all_counted(counted, wait_for, silence=None)
