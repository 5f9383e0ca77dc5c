"""Faults of a stream's surroundings: permissions, topics, disks, memory, models, policies."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import time
from pathlib import Path

from confluent_kafka.admin import AclOperation, ResourceType

from faults.scenarios import (
    BROKER_SECONDS,
    PERMISSION,
    frozen,
    replace_worker,
    scenario,
    some_broker,
)
from faults.world import PARTITIONS, World
from textmod_dev.guardian import runs
from textmod_dev.processes import wait_until
from textmod_model.policies.solved import version_of

PAGE = os.sysconf("SC_PAGE_SIZE")


# --- permissions ----------------------------------------------------------------------------------


@scenario("acl-input", kind=PERMISSION, compared=True)
def acl_input(world: World) -> None:
    """Take the right to read the input, and give it back."""
    _revoke(world, ResourceType.TOPIC, world.input, AclOperation.READ)


@scenario("acl-output", poison=0.02, kind=PERMISSION, compared=True)
def acl_output(world: World) -> None:
    """Take the right to write verdicts, then the one to write dead letters, and give them back."""
    _revoke(world, ResourceType.TOPIC, world.output, AclOperation.WRITE)
    _revoke(world, ResourceType.TOPIC, world.letters, AclOperation.WRITE)


@scenario("acl-group", kind=PERMISSION, compared=True)
def acl_group(world: World) -> None:
    """Take the right to be a member of the group, and give it back."""
    _revoke(world, ResourceType.GROUP, world.group, AclOperation.READ)


def _revoke(world: World, kind: ResourceType, name: str, operation: AclOperation) -> None:
    world.pause(0.5, 1)
    world.admin.deny(kind, name, operation)
    world.pause(5, 12)
    world.admin.allow(kind, name)
    world.pause(0.5, 1)
    world.revive()


# --- topics ---------------------------------------------------------------------------------------


@scenario("results-made-again", poison=0.02)
def results_made_again(world: World) -> None:
    """Delete the topics of the results while writes to them are denied, and recreate them."""
    for topic, partitions in ((world.output, PARTITIONS), (world.letters, 1)):
        world.pause(0.5, 1)
        world.admin.deny(ResourceType.TOPIC, topic, AclOperation.WRITE)
        world.pause(3, 5)
        world.make_again(topic, partitions)
        world.admin.allow(ResourceType.TOPIC, topic)
        world.pause(1, 2)
        world.revive()


@scenario("retention")
def retention(world: World) -> None:
    """Delete unread messages while no worker runs."""
    world.pause(1, 2)
    for worker in list(world.workers):
        world.end_worker(worker, world.random.choice([signal.SIGTERM, signal.SIGKILL]))
    world.pause(2, 4)
    world.expire_unread()
    for _ in range(2):
        world.start_worker()


# --- machines -------------------------------------------------------------------------------------


@scenario("broker-disk-full", brokers=3, kind="broker", compared=True)
def broker_disk_full(world: World) -> None:
    """Deny a broker further writes to its disk, which ends it; then restart it without a limit."""
    number = some_broker(world)
    world.pause(0.5, 2)
    pid = world.brokers.pid(number)
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    with contextlib.suppress(Exception):  # a follower may have nothing to write for longer
        wait_until(lambda: not runs(pid), "the broker ended", timeout=20)
    world.brokers.stop_broker(number, kill=True)
    world.pause(0.5, 3)
    world.brokers.start_broker(number)
    world.brokers.wait(BROKER_SECONDS)


@scenario("broker-slow", brokers=3, kind="broker", compared=True)
def broker_slow(world: World) -> None:
    """Let one broker run for a twentieth of the time: slow for clients and for other brokers."""
    world.pause(0.5, 1)
    pid = world.brokers.pid(some_broker(world))
    until = time.monotonic() + world.random.uniform(8, 15)
    while time.monotonic() < until:
        with frozen(pid):
            time.sleep(0.4)
        time.sleep(0.02)


@scenario("broker-freeze-long", brokers=3, compared=True)
def broker_freeze_long(world: World) -> None:
    """Freeze a broker for ninety seconds, above every time-out of the clients."""
    world.pause(0.5, 2)
    with frozen(world.brokers.pid(some_broker(world))):
        time.sleep(90)
    world.brokers.wait(BROKER_SECONDS)


@scenario("worker-out-of-memory", poison=0.2, kind="worker")
def worker_out_of_memory(world: World) -> None:
    """Deny a worker further memory while messages are large, then kill it as the kernel does."""
    for _ in range(2):
        world.pause(0.5, 1)
        worker = world.random.choice(world.workers)
        with contextlib.suppress(OSError):  # it has ended
            _, hard = resource.prlimit(worker.pid, resource.RLIMIT_AS)
            size = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[0]) * PAGE
            resource.prlimit(worker.pid, resource.RLIMIT_AS, (size, hard))
        world.pause(2, 4)
        world.end_worker(worker, signal.SIGKILL)
        world.start_worker()


# --- models ---------------------------------------------------------------------------------------


@scenario("model-rolled", kind="worker")
def model_rolled(world: World) -> None:
    """Roll out another threshold, then a model with the wrong digest, then the first state."""
    for threshold in ("0.9", None):
        world.pause(0.5, 2)
        world.roll_out("TEXTMOD_MODEL_THRESHOLD", threshold)
        for old in list(world.workers):
            world.start_worker()
            world.pause(1, 3)
            world.end_worker(old, signal.SIGTERM)
        world.roll_out("TEXTMOD_MODEL_DIGEST", f"sha256:{'0' * 64}")
        wrong = world.start_worker()
        wait_until(lambda: wrong.exit_code() is not None, "the wrong model ended", timeout=60)  # noqa: B023
        world.roll_out("TEXTMOD_MODEL_DIGEST", None)
        world.end_worker(wrong, signal.SIGKILL)


# --- policies -------------------------------------------------------------------------------------


@scenario("policies-changed", policies=True)
def policies_changed(world: World) -> None:
    """Change the policies again and again, once to nonsense, while workers are rolled."""
    for turn in range(5):
        world.pause(0.5, 2)
        text = "{" if turn == 2 else policies(world.random.uniform(0.1, 0.9))
        write_policies(world, text)
        replace_worker(world, signal.SIGTERM if turn % 2 else signal.SIGKILL)
        if turn == 2:
            write_policies(world, policies(0.5))


@scenario("review", policies=True, poison=0.05)
def review(world: World) -> None:
    """Send every text to review, while workers are killed, frozen and rolled."""
    write_policies(world, policies(1.0))
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        world.pause(0.5, 2)
        replace_worker(world, number)
    with frozen(world.random.choice(world.workers).pid):
        world.pause(9, 12)


def policies(at_least: float, otherwise: str = "Review") -> str:
    """Return a solved policy set: removed from a threshold on, reviewed below it by default."""
    policy = {
        "name": "rude",
        "rules": [{"action": "Remove", "atLeast": at_least}],
        "otherwise": otherwise,
    }
    document = {"policies": [policy], "explanation": {"actions": []}}
    return json.dumps({"version": version_of(document), **document})


def write_policies(world: World, text: str) -> None:
    """Replace the policies' file at once, as a kubelet does."""
    fresh = world.policies.with_suffix(f".{time.monotonic_ns()}")
    fresh.write_text(text)
    fresh.replace(world.policies)
