"""A pod's phase and conditions, by the kubelet's rules."""

from __future__ import annotations

import datetime

import pytest

from textmod_dev.process_node.status import (
    ContainerRecord,
    Running,
    Terminated,
    Waiting,
    pod_phase,
    pod_status,
)

T0 = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
T1 = T0 + datetime.timedelta(minutes=1)


def ended(code):
    return Terminated(code, "Completed" if code == 0 else "Error", "", T0, T1, "process://x")


def record(state, *, last=None, ready=False, started=False):
    return ContainerRecord("c", "image:1", state, last=last, ready=ready, started=started)


def pod(policy="Always"):
    return {"metadata": {"generation": 2}, "spec": {"restartPolicy": policy}}


@pytest.mark.parametrize(
    ("policy", "states", "phase"),
    [
        ("Always", [record(Waiting("ContainerCreating"))], "Pending"),
        ("Always", [record(Running(T0))], "Running"),
        ("Always", [record(Running(T0)), record(Waiting("ErrImagePull"))], "Pending"),
        ("Always", [record(Waiting("CrashLoopBackOff"), last=ended(1))], "Running"),
        ("Always", [record(ended(0))], "Running"),
        ("OnFailure", [record(ended(1))], "Running"),
        ("OnFailure", [record(ended(0))], "Succeeded"),
        ("Never", [record(ended(0)), record(ended(3))], "Failed"),
        ("Never", [record(ended(0)), record(Running(T0))], "Running"),
    ],
)
def test_phase(policy, states, phase):
    assert pod_phase(pod(policy), [], states) == phase


def status(records, previous=(), now=T1, init=(), policy="Always"):
    return pod_status(
        pod(policy),
        list(init),
        records,
        pod_ip="127.1.2.3",
        host_ip="127.0.0.1",
        started_at=T0,
        now=now,
        previous=previous,
    )


def truth(result, kind):
    return next(c["status"] for c in result["conditions"] if c["type"] == kind)


def test_ready_when_all_containers_are():
    both = [record(Running(T0), ready=True), record(Running(T0), ready=True)]
    assert truth(status(both), "Ready") == "True"
    both[1].ready = False
    result = status(both)
    assert (truth(result, "Ready"), truth(result, "ContainersReady")) == ("False", "False")


def test_transition_times_change_with_the_status_only():
    first = status([record(Running(T0), ready=False)], now=T0)
    same = status([record(Running(T0), ready=False)], previous=first["conditions"], now=T1)
    assert same["conditions"] == first["conditions"]
    changed = status([record(Running(T0), ready=True)], previous=first["conditions"], now=T1)
    ready = next(c for c in changed["conditions"] if c["type"] == "Ready")
    assert ready["lastTransitionTime"] == "2026-01-02T03:05:05Z"


def test_not_initialized_until_init_containers_have_succeeded():
    waiting = record(Running(T0))
    assert truth(status([record(Waiting("PodInitializing"))], init=[waiting]), "Initialized") == (
        "False"
    )
    waiting.state = ended(0)
    assert truth(status([record(Running(T0))], init=[waiting]), "Initialized") == "True"


def test_a_failed_init_container_fails_a_pod_that_never_restarts():
    assert pod_phase(pod("Never"), [record(ended(1))], [record(Waiting("x"))]) == "Failed"
    assert pod_phase(pod("Always"), [record(ended(1))], [record(Waiting("x"))]) == "Pending"


def test_a_container_says_what_it_does_and_did():
    seen = status([record(Waiting("CrashLoopBackOff", "back-off"), last=ended(137))])
    container = seen["containerStatuses"][0]
    assert container["state"]["waiting"] == {"reason": "CrashLoopBackOff", "message": "back-off"}
    assert container["lastState"]["terminated"]["exitCode"] == 137
