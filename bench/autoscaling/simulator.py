"""The stream, its consumers and the HPA on a virtual clock of one second.

What is modelled: arrivals per partition; consumers that join and leave a group, which pauses all of
it for `rebalance` seconds each time; partitions dealt to consumers in turn, so that the busiest one
reads ⌈P/n⌉; consumers of uneven and unsteady speed; pods that cost from the moment they are asked
for and read only `start` seconds later; offsets that are committed every 5 s and read 1 s late;
lag that can't be read for a while; a consumer that dies without leaving its group; the HPA's sync.

Seconds over the promise are seconds in which the oldest unread message of any partition is older
than the promise, reckoned from what was read, not from what was committed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from autoscaling.hpa import Hpa
from autoscaling.traces import SECONDS, Floats, Trace
from numpy.typing import NDArray

SYNC = 15
"""Seconds between two syncs of the HPA."""
COMMIT = 5
"""Seconds between two commits of one consumer."""
DELAY = 1
"""Age of the offsets when a policy sees them."""
BLIND = 5
"""A scale-down is blind when the lag has not been readable for a whole decision's time."""
SESSION_TIMEOUT = 45
"""Seconds after which the partitions of a dead consumer go to others (the default)."""


@dataclass(frozen=True)
class World:
    """What a policy can't choose. Rates in messages/s, times in seconds."""

    start: float
    promise: float = 30.0
    rate: float = 100.0
    """Mean speed of a replica."""
    uneven: float = 0.07
    """Standard deviation of the speed between replicas, and 0.05 over time."""
    rebalance: float = 3.0
    maximum: int | None = None
    """maxReplicas; None: as many as partitions."""
    seed: int = 0


@dataclass
class Pod:
    ready_at: float
    speed: float
    dead_until: float = -1.0


@dataclass
class State:
    """The simulation at one second, as policies that cheat may see it."""

    now: int
    world: World
    trace: Trace
    arrived: Floats
    """Cumulative arrivals [t, p] of the whole trace: what is beyond `now` is the future."""
    read: Floats
    """Messages read, by partition."""
    committed: Floats
    """Messages whose offsets are committed, by partition, as they can be seen."""
    pods: list[Pod] = field(default_factory=list)
    asked: int = 1
    busy: float = 0.0
    """Mean utilisation of the ready pods over the last 15 s."""
    paused_until: float = 0.0

    @property
    def ready(self) -> int:
        return sum(pod.ready_at <= self.now for pod in self.pods)

    @property
    def known(self) -> bool:
        return not any(start <= self.now < end for start, end in self.trace.unknown)

    @property
    def unknown_for(self) -> int:
        """Seconds since the lag could last be read."""
        return max((self.now - a for a, b in self.trace.unknown if a <= self.now < b), default=0)

    def seen_arrivals(self) -> Floats:
        """End offsets as a policy sees them."""
        return self.arrived[max(0, self.now - DELAY)]


class Policy(Protocol):
    """A scaling law. `observe` is called every second; `wanted` at every sync of its HPA."""

    name: str

    def hpa(self, minimum: int, maximum: int) -> Hpa | None:
        """Its HPA; None: the size is fixed at the maximum."""

    def observe(self, state: State) -> None: ...

    def wanted(self, state: State) -> int | None:
        """What the HPA makes of the metrics; None: they can't be read."""


@dataclass(frozen=True)
class Run:
    """One hour. Arrays are by second."""

    trace: str
    policy: str
    partitions: int
    start: float
    age: Floats
    lag: Floats
    replicas: NDArray[np.int64]
    ready: NDArray[np.int64]
    over: int
    """Seconds over the promise."""
    replica_hours: float
    reversals: int
    """Times that the direction of scaling changed."""
    blind_scale_downs: int
    """Scale-downs by a lag metric that could not be read."""


def simulate(trace: Trace, world: World, policy: Policy, minimum: int = 1) -> Run:
    """Run the trace. Pure apart from the policy's own state: the same arguments, the same run."""
    count = trace.arrivals.shape[1]
    rng = np.random.default_rng([world.seed, count, int(world.start)])
    arrived = np.cumsum(trace.arrivals, axis=0)
    pace = np.clip(1 + 0.05 * rng.standard_normal(SECONDS), 0.7, 1.3)
    maximum = min(world.maximum or count, count)
    hpa = policy.hpa(minimum, maximum)
    state = State(0, world, trace, arrived, np.zeros(count), np.zeros(count))

    def new_pod(at: float) -> Pod:
        speed = world.rate * (1 + world.uneven * rng.standard_normal())
        return Pod(at, max(0.5 * world.rate, speed))

    # The hour begins with what the first minute needs, running and caught up.
    first = trace.arrivals[:60].sum() / 60 / (0.9 * world.rate)
    state.asked = maximum if hpa is None else int(np.clip(np.ceil(first), max(1, minimum), maximum))
    state.pods = [new_pod(0) for _ in range(state.asked)]
    reads = np.empty_like(arrived)
    replicas = np.empty(SECONDS, dtype=np.int64)
    ready = np.empty(SECONDS, dtype=np.int64)
    members: list[Pod] = []
    owner = np.zeros(count, dtype=np.int64)
    speeds = np.ones(1)
    phase = np.zeros(count, dtype=np.int64)
    directions: list[int] = []
    blind = 0
    used: list[float] = []

    for now in range(SECONDS):
        state.now = now
        if now in trace.deaths and len(members) > 1:
            # It comes back as a new pod, and the group learns of its death later.
            dead = members[0]
            dead.dead_until = now + SESSION_TIMEOUT
            state.pods[state.pods.index(dead)] = new_pod(now + world.start)
        alive = [pod for pod in state.pods if pod.ready_at <= now]
        ghosts = [pod for pod in members if now < pod.dead_until]
        group = sorted(alive + ghosts, key=lambda pod: pod.ready_at)
        if group != members:
            if members:
                state.paused_until = now + world.rebalance
                state.committed = state.read.copy()
            members = group
            if members:
                owner = np.arange(count) % len(members)
                phase = owner % COMMIT
        if members:
            speeds = np.array([0.0 if now < p.dead_until else p.speed for p in members])

        utilisation = 0.0
        if members and now >= state.paused_until:
            waiting = arrived[now] - state.read
            total = np.bincount(owner, waiting, minlength=len(members))
            capacity = speeds * pace[now]
            part = np.minimum(1.0, capacity / np.maximum(total, 1e-9))
            state.read += waiting * part[owner]
            utilisation = float(np.minimum(total, capacity).sum() / max(capacity.sum(), 1e-9))
            np.copyto(state.committed, state.read, where=(now + phase) % COMMIT == 0)
        used.append(utilisation)
        state.busy = sum(used[-15:]) / len(used[-15:])
        reads[now] = state.read

        policy.observe(state)
        if hpa is not None and now % SYNC == 0:
            asked = hpa.step(now, state.asked, policy.wanted(state))
            if asked != state.asked:
                directions.append(1 if asked > state.asked else -1)
                blind += asked < state.asked and state.unknown_for >= BLIND
            while len(state.pods) < asked:
                state.pods.append(new_pod(now + world.start * rng.uniform(0.9, 1.1)))
            if len(state.pods) > asked:  # the youngest go first, as in a ReplicaSet
                state.pods = sorted(state.pods, key=lambda pod: pod.ready_at)[:asked]
            state.asked = asked
        replicas[now] = state.asked
        ready[now] = state.ready

    age = _ages(arrived, reads)
    return Run(
        trace=trace.name,
        policy=policy.name,
        partitions=count,
        start=world.start,
        age=age,
        lag=(arrived - reads).sum(axis=1),
        replicas=replicas,
        ready=ready,
        over=int((age > world.promise).sum()),
        replica_hours=float(replicas.sum() / 3600),
        reversals=sum(a != b for a, b in zip(directions, directions[1:], strict=False)),
        blind_scale_downs=blind,
    )


def _ages(arrived: Floats, reads: Floats) -> Floats:
    """Age of the oldest unread message in seconds, the worst partition's, by second."""
    now = np.arange(len(arrived))
    worst = np.zeros(len(arrived))
    for p in range(arrived.shape[1]):
        oldest = np.searchsorted(arrived[:, p], reads[:, p] + 1e-3, side="right")
        worst = np.maximum(worst, np.maximum(0, now - oldest))
    return worst
