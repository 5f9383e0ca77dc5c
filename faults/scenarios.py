"""The faults: functions that break something of a world under load and restore it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faults.network import BOTH, Way
from faults.world import PARTITIONS, World
from textmod_dev.kafka_broker import KafkaBroker
from textmod_dev.processes import ManagedProcess

Fault = Callable[[World], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault, and what a run of it needs."""

    name: str
    fault: Fault
    brokers: int = 1
    poison: float = 0.0
    """The share of hostile messages."""
    bare: bool = False
    """Whether dead letters may come without their original."""
    proxied: bool = False
    """Whether the workers reach the brokers over the network that a scenario can break."""
    policies: bool = False
    """Whether the workers decide by policies, which a scenario can change."""
    kind: str = ""
    """The kind of thing that it breaks; two faults of different kinds may run together. Empty: this
    one runs alone."""
    compared: bool = False
    """Whether a consumer and a producer alone go through the same: no model, no dead letters."""
    classic: bool = False
    """Whether the brokers know only the classic group protocol."""

    @property
    def cluster(self) -> tuple[int, bool]:
        """Return what brokers it needs: how many, and if classic; runs with the same share them."""
        return self.brokers, self.classic


BROKER_SECONDS = 180.0
"""The longest wait for a broker that was started again, on a machine that does much else."""
PERMISSION = "permission"
"""The kind of faults that need a cluster of one broker: see `RULES` of the campaign."""

SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str,
    *,
    brokers: int = 1,
    poison: float = 0.0,
    bare: bool = False,
    proxied: bool = False,
    policies: bool = False,
    kind: str = "",
    compared: bool = False,
    classic: bool = False,
) -> Callable[[Fault], Fault]:
    """Register a fault under a name."""

    def register(fault: Fault) -> Fault:
        SCENARIOS[name] = Scenario(
            name, fault, brokers, poison, bare, proxied, policies, kind, compared, classic
        )
        return fault

    return register


# --- workers --------------------------------------------------------------------------------------


@scenario("none", poison=0.02)
def nothing(world: World) -> None:
    """The control: a load, some hostile messages, no fault."""
    world.pause(2, 4)


@scenario("worker-sigkill", kind="worker", compared=True)
def worker_sigkill(world: World) -> None:
    """Kill a worker and start another, a few times."""
    for _ in range(3):
        world.pause(0.5, 3)
        replace_worker(world, signal.SIGKILL)


@scenario("worker-sigterm", kind="worker", compared=True)
def worker_sigterm(world: World) -> None:
    """Roll the workers, some within their first second."""
    for _ in range(4):
        world.pause(0.1, 2)
        replace_worker(world, signal.SIGTERM)


@scenario("worker-freeze", kind="worker", compared=True)
def worker_freeze(world: World) -> None:
    """Freeze a worker, below the group's session and above it."""
    for low, high in ((1, 4), (9, 14)):
        worker = world.random.choice(world.workers)
        with frozen(worker.pid):
            world.pause(low, high)
        world.pause(1, 3)


@scenario("storm", kind="worker", compared=True)
def storm(world: World) -> None:
    """Members join and leave without a pause, half of them by SIGKILL."""
    for _ in range(8):
        world.start_worker()
        world.pause(0.1, 2.0)
        how = world.random.choice([signal.SIGKILL, signal.SIGTERM])
        world.end_worker(world.random.choice(world.workers), how)


@scenario("partitions-added", kind="topic", compared=True)
def partitions_added(world: World) -> None:
    """Grow the topics while members come and go."""
    world.pause(1, 2)
    world.add_partitions(PARTITIONS + 3)
    replace_worker(world, signal.SIGKILL)
    world.pause(1, 2)


# --- brokers --------------------------------------------------------------------------------------


@scenario("broker-sigkill", brokers=3, kind="broker", compared=True)
def broker_sigkill(world: World) -> None:
    """Kill one broker after another and start it again."""
    for _ in range(2):
        number = some_broker(world)
        world.pause(0.5, 2)
        world.brokers.stop_broker(number, kill=True)
        world.pause(2, 10)
        world.brokers.start_broker(number)
        world.brokers.wait(BROKER_SECONDS)


@scenario("broker-freeze", brokers=3, kind="broker", compared=True)
def broker_freeze(world: World) -> None:
    """Freeze a broker for twenty seconds."""
    world.pause(0.5, 2)
    with frozen(world.brokers.pid(some_broker(world))):
        time.sleep(20)
    world.brokers.wait(BROKER_SECONDS)


@scenario("brokers-rolled", brokers=3, kind="broker", compared=True)
def brokers_rolled(world: World) -> None:
    """Restart every broker in turn, cleanly."""
    for number in range(3):
        world.brokers.stop_broker(number)
        world.pause(0.5, 2)
        world.brokers.start_broker(number)
        world.brokers.wait(BROKER_SECONDS)


@scenario("brokers-down", brokers=3, compared=True)
def brokers_down(world: World) -> None:
    """Freeze all brokers for ten to thirty seconds."""
    with contextlib.ExitStack() as stack:
        for number in range(3):
            stack.enter_context(frozen(world.brokers.pid(number)))
        world.pause(10, 30)
    world.brokers.wait(BROKER_SECONDS)


# --- topics ---------------------------------------------------------------------------------------


@scenario("output-limit", poison=0.02, bare=True, kind="topic")
def output_limit(world: World) -> None:
    """Shrink what the output takes below some verdicts, then restore it."""
    _shrink(world, world.output, 900)


@scenario("letters-refused", poison=0.05, bare=True)
def letters_refused(world: World) -> None:
    """Let the dead-letter topic refuse everything, which stops the stream, then restore it."""
    _shrink(world, world.letters, 100)


@scenario("insync-lost", brokers=3, compared=True)
def insync_lost(world: World) -> None:
    """Ask for more replicas in sync than there are, then restore it."""
    for topic in (world.output, world.letters):
        world.configure(topic, "min.insync.replicas", "3")
    number = some_broker(world)
    world.brokers.stop_broker(number, kill=True)
    world.pause(10, 15)
    world.brokers.start_broker(number)
    world.brokers.wait(BROKER_SECONDS)
    for topic in (world.output, world.letters):
        world.configure(topic, "min.insync.replicas", "2")


@scenario("poison", poison=0.3)
def poison(world: World) -> None:
    """Hostile messages and a worker killed among them."""
    world.pause(1, 3)
    replace_worker(world, signal.SIGKILL)


# --- network ----------------------------------------------------------------------------------


@scenario("net-reset", proxied=True, kind="network", compared=True)
def net_reset(world: World) -> None:
    """Close connections again and again, all or some."""
    for _ in range(12):
        world.pause(0.05, 1)
        world.network.reset(0, world.random.choice([0.3, 0.6, 1.0]))


@scenario("net-cut", brokers=3, proxied=True, compared=True)
def net_cut(world: World) -> None:
    """Cut the workers off from one broker, then from two others at once."""
    first, *others = _brokers_in_turn(world)
    with world.network.cut(first):
        world.pause(3, 8)
    world.pause(0, 2)
    with world.network.cut(others[0]), world.network.cut(others[1]):
        world.pause(3, 15)


@scenario("net-half-open", brokers=3, proxied=True, kind="network", compared=True)
def net_half_open(world: World) -> None:
    """Leave connections half-open: neither side notices, and nothing arrives."""
    for broker in _brokers_in_turn(world):
        world.pause(0.5, 3)
        world.network.half_open(broker, world.random.choice([0.3, 0.6, 1.0]))


@scenario("net-answers-lost", proxied=True, kind="network", compared=True)
def net_answers_lost(world: World) -> None:
    """Requests are carried out, and their answers never come."""
    for _ in range(3):
        world.pause(0.5, 3)
        world.network.half_open(0, world.random.choice([0.5, 1.0]), frozenset({Way.ANSWERS}))
        world.pause(2, 12)


@scenario("net-stall", proxied=True, kind="network", compared=True)
def net_stall(world: World) -> None:
    """Everything is held back, below the session's time and above it, then arrives at once."""
    for low, high in ((1, 4), (8, 25)):
        world.pause(0.5, 2)
        ways = world.random.choice([BOTH, frozenset({Way.REQUESTS}), frozenset({Way.ANSWERS})])
        with world.network.stalled(0, ways):
            world.pause(low, high)


@scenario("net-slow", brokers=3, proxied=True, kind="network", compared=True)
def net_slow(world: World) -> None:
    """One broker is slow and loses packets, then all are."""
    broker = some_broker(world)
    with world.network.slow(broker, (0.05, 0.3), 0.1):
        world.pause(4, 8)
    with contextlib.ExitStack() as stack:
        for number in range(3):
            stack.enter_context(world.network.slow(number, (0.01, 0.1), 0.05))
        world.pause(3, 6)


# --- pairs ----------------------------------------------------------------------------------------


@scenario("storm+broker-sigkill", brokers=3, compared=True)
def storm_and_broker(world: World) -> None:
    """A storm of members while a broker, perhaps the coordinator, dies and comes back."""
    number = some_broker(world)
    world.start_worker()
    world.brokers.stop_broker(number, kill=True)
    storm(world)
    world.brokers.start_broker(number)
    world.brokers.wait(BROKER_SECONDS)


@scenario("storm+broker-freeze", brokers=3, compared=True)
def storm_and_freeze(world: World) -> None:
    """A storm of members while writes to one broker are stalled."""
    with frozen(world.brokers.pid(some_broker(world))):
        storm(world)
    world.brokers.wait(BROKER_SECONDS)


@scenario("storm+net-stall", proxied=True, compared=True)
def storm_and_stall(world: World) -> None:
    """A storm of members whose writes and commits are held back now and then."""
    for _ in range(5):
        world.start_worker()
        ways = world.random.choice([BOTH, frozenset({Way.REQUESTS}), frozenset({Way.ANSWERS})])
        with world.network.stalled(0, ways):
            world.pause(0.5, 3)
            world.end_worker(world.random.choice(world.workers), signal.SIGKILL)
        world.pause(0.1, 1)


@scenario("storm+net-answers-lost", proxied=True, compared=True)
def storm_and_answers_lost(world: World) -> None:
    """A storm of members that never receive the answers to their commits."""
    for _ in range(5):
        world.start_worker()
        world.network.half_open(0, 0.5, frozenset({Way.ANSWERS}))
        world.pause(0.2, 3)
        how = world.random.choice([signal.SIGKILL, signal.SIGTERM])
        world.end_worker(world.random.choice(world.workers), how)


@scenario("broker-sigkill+net-half-open", brokers=3, proxied=True, compared=True)
def broker_and_half_open(world: World) -> None:
    """Connections are half-open while another broker dies and comes back."""
    first, second, _ = _brokers_in_turn(world)
    world.pause(0.5, 2)
    world.network.half_open(first, 0.6)
    world.brokers.stop_broker(second, kill=True)
    world.pause(2, 10)
    world.brokers.start_broker(second)
    world.brokers.wait(BROKER_SECONDS)


def replace_worker(world: World, how: signal.Signals) -> ManagedProcess:
    """End some worker and start another."""
    world.end_worker(world.random.choice(world.workers), how)
    world.pause(0, 1)
    return world.start_worker()


def _shrink(world: World, topic: str, size: int) -> None:
    """Let a topic take so many bytes for some seconds."""
    world.pause(0.5, 1)
    world.configure(topic, "max.message.bytes", str(size))
    world.pause(5, 8)
    world.configure(topic, "max.message.bytes", None)


def some_broker(world: World) -> int:
    """Return the number of one of three brokers."""
    return world.random.randrange(3)


def _brokers_in_turn(world: World) -> list[int]:
    return world.random.sample(range(3), 3)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process for a while. One that has ended is left alone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # another fault ended it
            os.kill(pid, signal.SIGCONT)


def restore(brokers: KafkaBroker, count: int) -> None:
    """Have all brokers run again, whatever a failed run left."""
    for number in range(count):
        with contextlib.suppress(KeyError, ProcessLookupError):
            os.kill(brokers.pid(number), signal.SIGCONT)
            continue
        brokers.start_broker(number)
    brokers.wait(BROKER_SECONDS)
