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
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autoscaling.hpa import Hpa
from autoscaling.traces import Floats, Trace

SYNC = 15
"""Seconds between two syncs of the HPA."""
COMMIT = 1
"""Seconds between two commits of one consumer (the model server's: half a second)."""
DELAY = 1
"""Age of the offsets when a policy sees them."""
FULL_BATCH = 128
"""Messages that wait for a consumer which measures its own speed."""
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
    benchmark: float = 1.3
    """The image's own benchmark over `rate`: what a replica tells of its speed until it has
    measured it."""
    rebalance: float = 3.0
    maximum: int | None = None
    """maxReplicas; None: as many as partitions."""
    seed: int = 0


@dataclass
class Pod:
    ready_at: float
    speed: float
    dead_until: float = -1.0
    measured: bool = False
    """It has worked on full batches, and tells its real speed since."""


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
    told: Floats
    """The speed that was told with each partition's last commit; 0 before the first."""
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

    def at_once(self, state: State) -> int | None:
        """The size that is asked for without waiting for the HPA, when it is larger; else None."""


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


def served(waiting: Floats, owner: NDArray[np.int64], capacity: Floats) -> Floats:
    """What consumers read of each partition in one step, given what waits there.

    A consumer turns to its partitions in turn: each gets an equal part of its speed, and what one
    does not need goes to the others. (Two rounds; the rest of the rest goes by what still waits.)
    """
    done = np.zeros_like(waiting)
    left = capacity.astype(np.float64)
    for _ in range(2):
        active = waiting - done > 1e-9
        takers = np.bincount(owner, active, minlength=len(left))
        more = np.minimum(waiting - done, (left / np.maximum(takers, 1))[owner])
        done += more
        left = left - np.bincount(owner, more, minlength=len(left))
    rest = waiting - done
    total = np.bincount(owner, rest, minlength=len(left))
    return done + rest * np.minimum(1.0, np.maximum(left, 0) / np.maximum(total, 1e-9))[owner]


def simulate(
    trace: Trace, world: World, policy: Policy, minimum: int = 1, begin: int | None = None
) -> Run:
    """Run the trace, however long it is. Pure apart from the policy's own state: the same
    arguments, the same run. It begins with `begin` replicas (None: with what the first minute
    needs), running and caught up."""
    group = _Group(trace, world, policy, minimum, begin)
    state = group.state
    reads = np.empty_like(state.arrived)
    seconds = len(state.arrived)
    replicas = np.empty(seconds, dtype=np.int64)
    ready = np.empty(seconds, dtype=np.int64)
    for now in range(seconds):
        state.now = now
        group.meet()
        group.read()
        policy.observe(state)
        if now % SYNC == 0:
            group.sync(policy)
        group.express(policy)
        reads[now], replicas[now], ready[now] = state.read, state.asked, state.ready
    age = _ages(state.arrived, reads)
    return Run(
        trace=trace.name,
        policy=policy.name,
        partitions=reads.shape[1],
        start=world.start,
        age=age,
        lag=(state.arrived - reads).sum(axis=1),
        replicas=replicas,
        ready=ready,
        over=int((age > world.promise).sum()),
        replica_hours=float(replicas.sum() / 3600),
        reversals=sum(a != b for a, b in pairwise(group.directions)),
        blind_scale_downs=group.blind,
    )


class _Group:
    """The consumer group, its pods and its HPA."""

    def __init__(
        self, trace: Trace, world: World, policy: Policy, minimum: int, begin: int | None
    ) -> None:
        count = trace.arrivals.shape[1]
        self._rng = np.random.default_rng([world.seed, count, int(world.start)])
        seconds = len(trace.arrivals)
        self._pace = np.clip(1 + 0.05 * self._rng.standard_normal(seconds), 0.7, 1.3)
        maximum = min(world.maximum or count, count)
        self._hpa = policy.hpa(minimum, maximum)
        arrived = np.cumsum(trace.arrivals, axis=0)
        self.state = State(0, world, trace, arrived, *np.zeros((3, count)))
        self.directions: list[int] = []
        """+1 and -1 for each change of size."""
        self.blind = 0
        self._members: list[Pod] = []
        self._owner = np.zeros(count, dtype=np.int64)
        self._used: list[float] = []
        first = int(np.ceil(trace.arrivals[:60].sum() / 60 / (0.9 * world.rate)))
        first = first if begin is None else begin
        asked = maximum if self._hpa is None else min(max(first, minimum, 1), maximum)
        self.state.asked = asked
        self.state.pods = [self._new_pod(0) for _ in range(asked)]

    def _new_pod(self, ready_at: float) -> Pod:
        world = self.state.world
        speed = world.rate * (1 + world.uneven * self._rng.standard_normal())
        return Pod(ready_at, max(0.5 * world.rate, speed))

    def meet(self) -> None:
        """Pods that became ready join, those that left are gone; each change is a rebalance."""
        state, now = self.state, self.state.now
        if now in state.trace.deaths and len(self._members) > 1:
            # It comes back as a new pod, and the group learns of its death later.
            dead = self._members[0]
            dead.dead_until = now + SESSION_TIMEOUT
            state.pods[state.pods.index(dead)] = self._new_pod(now + state.world.start)
        alive = [pod for pod in state.pods if pod.ready_at <= now]
        ghosts = [pod for pod in self._members if now < pod.dead_until]
        members = sorted(alive + ghosts, key=lambda pod: pod.ready_at)
        if members == self._members:
            return
        if self._members:
            state.paused_until = now + state.world.rebalance
            state.committed = state.read.copy()
        self._members = members
        if members:
            self._owner = np.arange(len(state.read)) % len(members)

    def read(self) -> None:
        """One second of reading, and the commits that fall into it."""
        state, now = self.state, self.state.now
        used = 0.0
        if self._members and now >= state.paused_until:
            speeds = [0.0 if now < pod.dead_until else pod.speed for pod in self._members]
            capacity = np.array(speeds) * self._pace[now]
            done = served(state.arrived[now] - state.read, self._owner, capacity)
            state.read += done
            used = float(done.sum() / max(capacity.sum(), 1e-9))
            due = (now + self._owner) % COMMIT == 0
            np.copyto(state.committed, state.read, where=due)
            np.copyto(state.told, self._told(), where=due)
        self._used = [*self._used[-14:], used]
        state.busy = sum(self._used) / len(self._used)

    def _told(self) -> Floats:
        """By partition, what its reader tells of its speed now."""
        state = self.state
        waiting = np.bincount(
            self._owner, state.arrived[state.now] - state.read, minlength=len(self._members)
        )
        for pod, messages in zip(self._members, waiting, strict=True):
            pod.measured |= bool(messages >= FULL_BATCH)
        benchmark = state.world.benchmark * state.world.rate
        rates = np.array([pod.speed if pod.measured else benchmark for pod in self._members])
        return rates[self._owner]

    def sync(self, policy: Policy) -> None:
        """One sync of the HPA."""
        state = self.state
        if self._hpa is not None:
            self._ask_for(self._hpa.step(state.now, state.asked, policy.wanted(state)))

    def express(self, policy: Policy) -> None:
        """What the policy asks for between two syncs: never less, and within the HPA's bounds."""
        wanted = policy.at_once(self.state)
        if self._hpa is not None and wanted is not None:
            self._ask_for(max(self.state.asked, min(wanted, self._hpa.maximum)))

    def _ask_for(self, asked: int) -> None:
        state, now = self.state, self.state.now
        if asked == state.asked:
            return
        self.directions.append(1 if asked > state.asked else -1)
        self.blind += asked < state.asked and state.unknown_for >= BLIND
        while len(state.pods) < asked:
            start = state.world.start * self._rng.uniform(0.9, 1.1)
            state.pods.append(self._new_pod(now + start))
        if len(state.pods) > asked:  # the youngest go first, as in a ReplicaSet
            state.pods = sorted(state.pods, key=lambda pod: pod.ready_at)[:asked]
        state.asked = asked


def _ages(arrived: Floats, reads: Floats) -> Floats:
    """Age of the oldest unread message in seconds, the worst partition's, by second."""
    now = np.arange(len(arrived))
    worst = np.zeros(len(arrived))
    for p in range(arrived.shape[1]):
        oldest = np.searchsorted(arrived[:, p], reads[:, p] + 1e-3, side="right")
        worst = np.maximum(worst, np.maximum(0, now - oldest))
    return worst
