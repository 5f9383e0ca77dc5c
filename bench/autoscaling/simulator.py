"""The stream, its consumers and the HPA on a virtual clock of one second.

What is modelled: arrivals per partition; consumers that join and leave a group, which pauses all of
it for `rebalance` seconds each time; partitions dealt to consumers in turn, so that the busiest one
reads ⌈P/n⌉; consumers of uneven and unsteady speed; pods that cost from the moment they are asked
for and read only `start` seconds later; offsets that are committed every second (the model
server's: every half) and read 1 s late;
lag that can't be read for a while; a consumer that dies without leaving its group; texts whose
length changes, and with it the speed of every consumer; the HPA's sync.

Seconds over the promise are seconds in which the oldest unread message of any partition is older
than the promise, reckoned from what was read, not from what was committed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autoscaling.hpa import Hpa
from autoscaling.traces import Floats, Trace

SYNC = 15
"""Seconds between two syncs of the HPA."""
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
    reported: Floats
    """The speed that was reported with each partition's last commit; 0 before the first."""
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

    def speed_ahead(self) -> float:
        """The mean speed of the next minute beside the usual one: the future."""
        speed = self.trace.speed
        return 1.0 if speed is None else float(speed[self.now : self.now + 60].mean())

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
    return simulate_all(trace, world, [policy], minimum, begin)[0]


def simulate_all(
    trace: Trace,
    world: World,
    policies: Sequence[Policy],
    minimum: int = 1,
    begin: int | None = None,
) -> list[Run]:
    """`simulate` for many policies in step, which takes little longer than for one."""
    consumers = _Consumers(trace, world, len(policies))
    groups = [_Group(consumers, row, policy, minimum, begin) for row, policy in enumerate(policies)]
    seconds = len(trace.arrivals)
    reads = np.empty((seconds, *consumers.read.shape))
    replicas = np.empty((seconds, len(groups)), dtype=np.int64)
    ready = np.empty_like(replicas)
    for now in range(seconds):
        for group in groups:
            group.meet(now)
        consumers.step(now, groups)
        for group in groups:
            group.decide(now)
        reads[now] = consumers.read
        replicas[now] = [group.state.asked for group in groups]
        ready[now] = [group.ready for group in groups]
    return [
        group.run(reads[:, row], replicas[:, row].copy(), ready[:, row].copy())
        for row, group in enumerate(groups)
    ]


class _Consumers:
    """What every member of every simulated group reads, in arrays [group, partition]."""

    def __init__(self, trace: Trace, world: World, groups: int) -> None:
        count = trace.arrivals.shape[1]
        seconds = len(trace.arrivals)
        self.trace, self.world = trace, world
        self.arrived = np.cumsum(trace.arrivals, axis=0)
        self.read, self.committed, self.reported = np.zeros((3, groups, count))
        self.busy = np.zeros(groups)
        self.regroup = True
        """A group's members changed, or died."""
        rng = np.random.default_rng([world.seed, count, int(world.start)])
        self._pace = np.clip(1 + 0.05 * rng.standard_normal(seconds), 0.7, 1.3)
        self.after_pace = rng.bit_generator.state
        if trace.speed is not None:
            self._pace = self._pace * trace.speed
        self._used = np.zeros((15, groups))
        self._paused = np.zeros(groups)

    def step(self, now: int, groups: list[_Group]) -> None:
        """One second of reading, and the commits that fall into it."""
        if self.regroup:
            self._regroup(now, groups)
        shape, world = self.read.shape, self.world
        active = now >= self._paused
        capacity = np.where(active[self._group], self._speeds * self._pace[now], 0.0)
        waiting = (self.arrived[now] - self.read).ravel()
        done = served(waiting, self._owner, capacity)
        self.read += done.reshape(shape)
        read = np.add.reduceat(done, np.arange(0, done.size, shape[1]))
        total = np.bincount(self._group, capacity, minlength=shape[0])
        self._used[now % 15] = read / np.maximum(total, 1e-9)
        self.busy = self._used[: now + 1].mean(axis=0)
        left = np.bincount(self._owner, waiting - done, minlength=len(capacity))
        self._measured |= active[self._group] & (left >= FULL_BATCH)
        reported = np.where(self._measured, self._speeds, world.benchmark * world.rate)
        if self.trace.speed is not None:
            reported = reported * np.where(self._measured, self.trace.speed[now], 1.0)
        active = active & self._manned
        np.copyto(self.committed, self.read, where=active[:, None])
        np.copyto(self.reported, reported[self._owner].reshape(shape), where=active[:, None])

    def _regroup(self, now: int, groups: list[_Group]) -> None:
        """Deal every group's partitions to its members."""
        if hasattr(self, "_pods"):
            for pod, measured in zip(self._pods, self._measured.tolist(), strict=True):
                pod.measured = measured
        count = self.read.shape[1]
        owners, rows, pods = [], [], []
        for row, group in enumerate(groups):
            # A group without members has one that reads nothing.
            members = group.members or [Pod(0.0, 0.0)]
            owners.append(len(pods) + np.arange(count) % len(members))
            rows += [row] * len(members)
            pods += members
        self._pods = pods
        self._owner = np.concatenate(owners)
        self._group = np.array(rows)
        self._speeds = np.array([0.0 if now < pod.dead_until else pod.speed for pod in pods])
        self._measured = np.array([pod.measured for pod in pods])
        self._manned = np.array([bool(group.members) for group in groups])
        self._paused = np.array([group.state.paused_until for group in groups])
        self.regroup = False


class _Group:
    """One consumer group, its pods and its HPA."""

    def __init__(
        self,
        consumers: _Consumers,
        row: int,
        policy: Policy,
        minimum: int,
        begin: int | None,
    ) -> None:
        self._consumers, self._row, self._policy = consumers, row, policy
        trace, world = consumers.trace, consumers.world
        count = trace.arrivals.shape[1]
        self._rng = np.random.default_rng()
        self._rng.bit_generator.state = consumers.after_pace
        maximum = min(world.maximum or count, count)
        self._hpa = policy.hpa(minimum, maximum)
        arrays = (a[row] for a in (consumers.read, consumers.committed, consumers.reported))
        self.state = State(0, world, trace, consumers.arrived, *arrays)
        self.members: list[Pod] = []
        self.ready = 0
        self._directions: list[int] = []
        """+1 and -1 for each change of size."""
        self._blind = 0
        self._changes_at = 0.0
        """No member joins or leaves before."""
        speed = 1.0 if trace.speed is None else float(trace.speed[0])
        first = int(np.ceil(trace.arrivals[:60].sum() / 60 / (0.9 * world.rate * speed)))
        first = first if begin is None else begin
        asked = maximum if self._hpa is None else min(max(first, minimum, 1), maximum)
        self.state.asked = asked
        self.state.pods = [self._new_pod(0) for _ in range(asked)]

    def _new_pod(self, ready_at: float) -> Pod:
        world = self.state.world
        speed = world.rate * (1 + world.uneven * self._rng.standard_normal())
        return Pod(ready_at, max(0.5 * world.rate, speed))

    def meet(self, now: int) -> None:
        """Pods that became ready join, those that left are gone; each change is a rebalance."""
        state = self.state
        state.now = now
        if now in state.trace.deaths and len(self.members) > 1:
            # It comes back as a new pod, and the group learns of its death later.
            dead = self.members[0]
            dead.dead_until = now + SESSION_TIMEOUT
            state.pods[state.pods.index(dead)] = self._new_pod(now + state.world.start)
            self._consumers.regroup = True
        elif now < self._changes_at:
            return
        alive = [pod for pod in state.pods if pod.ready_at <= now]
        ghosts = [pod for pod in self.members if now < pod.dead_until]
        members = sorted(alive + ghosts, key=lambda pod: pod.ready_at)
        self.ready = len(alive)
        self._changes_at = min(
            [
                *(pod.ready_at for pod in state.pods if pod.ready_at > now),
                *(pod.dead_until for pod in ghosts),
            ],
            default=math.inf,
        )
        if members == self.members:
            return
        if self.members:
            state.paused_until = now + state.world.rebalance
            state.committed[:] = state.read
        self.members = members
        self._consumers.regroup = True

    def decide(self, now: int) -> None:
        """What the policy makes of this second."""
        state, policy = self.state, self._policy
        state.busy = float(self._consumers.busy[self._row])
        policy.observe(state)
        if self._hpa is None:
            return
        if now % SYNC == 0:
            self._ask_for(self._hpa.step(now, state.asked, policy.wanted(state)))
        # Between two syncs: never less, and within the HPA's bounds.
        wanted = policy.at_once(state)
        if wanted is not None:
            self._ask_for(max(state.asked, min(wanted, self._hpa.maximum)))

    def _ask_for(self, asked: int) -> None:
        state, now = self.state, self.state.now
        if asked == state.asked:
            return
        self._directions.append(1 if asked > state.asked else -1)
        self._blind += asked < state.asked and state.unknown_for >= BLIND
        while len(state.pods) < asked:
            start = state.world.start * self._rng.uniform(0.9, 1.1)
            state.pods.append(self._new_pod(now + start))
        if len(state.pods) > asked:  # the youngest go first, as in a ReplicaSet
            state.pods = sorted(state.pods, key=lambda pod: pod.ready_at)[:asked]
        state.asked = asked
        self._changes_at = 0.0

    def run(self, reads: Floats, replicas: NDArray[np.int64], ready: NDArray[np.int64]) -> Run:
        """What has become of it."""
        arrived, world = self.state.arrived, self.state.world
        age = _ages(arrived, reads)
        return Run(
            trace=self.state.trace.name,
            policy=self._policy.name,
            partitions=reads.shape[1],
            start=world.start,
            age=age,
            lag=(arrived - reads).sum(axis=1),
            replicas=replicas,
            ready=ready,
            over=int((age > world.promise).sum()),
            replica_hours=float(replicas.sum() / 3600),
            reversals=sum(a != b for a, b in pairwise(self._directions)),
            blind_scale_downs=self._blind,
        )


def _ages(arrived: Floats, reads: Floats) -> Floats:
    """Age of the oldest unread message in seconds, the worst partition's, by second."""
    now = np.arange(len(arrived))
    worst = np.zeros(len(arrived))
    for p in range(arrived.shape[1]):
        oldest = np.searchsorted(arrived[:, p], reads[:, p] + 1e-3, side="right")
        worst = np.maximum(worst, np.maximum(0, now - oldest))
    return worst
