"""The laws that are compared: ours, KEDA's, CPU, a fixed size, and two that cheat."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from statistics import median_low
from typing import Any

import numpy as np

from autoscaling.hpa import DEFAULT_BEHAVIOR, Hpa, average_value, utilization
from autoscaling.simulator import DELAY, SYNC, Policy, State, served
from autoscaling.traces import Floats
from textmod_operator.controller.streams import AT_ONCE_SECONDS
from textmod_operator.desired.autoscaler import default_behavior
from textmod_operator.scaling import law as scaling
from textmod_operator.state import LagReading, LagUnknown, PartitionLag

DECISION = 2
"""Seconds between two decisions of the operator (its setting `lag_interval`)."""


class Ours:
    """`textmod_operator.scaling.law.decide` itself, seeing what the operator would see."""

    name = "ours"

    def __init__(self) -> None:
        self._memory = scaling.Memory.empty()
        self._decision: scaling.Decision | None = None

    def hpa(self, minimum: int, maximum: int) -> Hpa:
        return Hpa(minimum, maximum, default_behavior(maximum))

    def observe(self, state: State) -> None:
        if state.now == 0:  # an operator has seen its pods start before
            self._memory = scaling.Memory.from_learned({"startSeconds": state.world.start})
        if state.now % DECISION == 0:
            self._decide(state, self._reading(state))

    def wanted(self, state: State) -> int | None:
        if self._decision is None or self._decision.condition == "LagUnknown":
            return None
        return average_value(self._decision.desired, 1.0, state.asked, 0.0)

    def at_once(self, state: State) -> int | None:  # noqa: ARG002 - Policy's own signature
        known = self._decision is not None and self._decision.condition != "LagUnknown"
        return self._decision.desired if known else None

    def _policy(self, state: State) -> scaling.Policy:
        return scaling.Policy(
            min_replicas=1,
            max_replicas=state.world.maximum or len(state.read),
            partitions=len(state.read),
            max_seconds_behind=state.world.promise,
            metric_seconds=AT_ONCE_SECONDS,
        )

    def _decide(self, state: State, reading: LagReading | LagUnknown) -> None:
        self._decision, self._memory = scaling.decide(
            reading,
            scaling.Workload(state.asked, state.ready),
            self._policy(state),
            self._memory,
            float(state.now),
        )

    def _reading(self, state: State) -> LagReading | LagUnknown:
        if not state.known:
            return LagUnknown(state.now, "The broker does not answer.")
        ends, committed = state.seen_arrivals(), state.committed
        lags = tuple(
            PartitionLag(p, 0, end, min(end, at))
            for p, (end, at) in enumerate(zip(_whole(ends), _whole(committed), strict=True))
        )
        reported = state.reported[state.reported > 0].tolist()
        rate = median_low(reported) if reported else None
        return LagReading(float(state.now), lags, _age(state, committed), told_rate=rate)


class OursPerfect(Ours):
    """Ours, with the true rates, positions and start time, without delay."""

    name = "ours, perfect information"

    def observe(self, state: State) -> None:
        if state.now % DECISION:
            return
        since = max(0, state.now - 60)
        ends, reads = state.arrived[state.now], state.read
        arriving = state.trace.arrivals[max(0, state.now - 3) : state.now + 1].sum(axis=1).mean()
        before = ends - state.trace.arrivals[since : state.now + 1].mean(axis=0) * 60
        scale = arriving * 60 / max(1e-9, (ends - before).sum())
        before = ends - (ends - before) * scale
        first = scaling.Sample(state.now - 60.0, _whole(before), _whole(reads), -1, -1)
        self._memory = replace(
            self._memory,
            samples=(first,),
            rate=state.world.rate,
            start_seconds=state.world.start,
        )
        lags = tuple(
            PartitionLag(p, 0, end, at)
            for p, (end, at) in enumerate(zip(_whole(ends), _whole(reads), strict=True))
        )
        self._decide(state, LagReading(float(state.now), lags, _age(state, reads)))


class _Patient:
    """A law that only its HPA acts on."""

    def at_once(self, state: State) -> int | None: ...


class Keda(_Patient):
    """KEDA's Kafka scaler with its HPA of defaults: ⌈min(lag, P·T)/T⌉, tolerance 0.1."""

    def __init__(self, threshold: float) -> None:
        self.name = f"KEDA {threshold:g}"
        self._threshold = threshold

    def hpa(self, minimum: int, maximum: int) -> Hpa:
        return Hpa(minimum, maximum, DEFAULT_BEHAVIOR)

    def observe(self, state: State) -> None: ...

    def wanted(self, state: State) -> int | None:
        if not state.known:
            return None
        lag = float(np.maximum(0, state.seen_arrivals() - state.committed).sum())
        most = len(state.read) * self._threshold
        return average_value(min(lag, most), self._threshold, state.asked, 0.1)


class KedaTuned(Keda):
    """KEDA with a stabilization window for going down that somebody chose, and, where `per_replica`
    is given, a second trigger: messages a second over the last minute, so many a replica."""

    def __init__(self, threshold: float, window: int, per_replica: float | None = None) -> None:
        super().__init__(threshold)
        rate = "" if per_replica is None else f", rate {per_replica:g}"
        self.name = f"KEDA {threshold:g}, window {window}{rate}"
        self._window, self._per_replica = window, per_replica

    def hpa(self, minimum: int, maximum: int) -> Hpa:
        return Hpa(minimum, maximum, _down_after(self._window))

    def wanted(self, state: State) -> int | None:
        wanted = super().wanted(state)
        if wanted is None or self._per_replica is None:
            return wanted
        before = state.arrived[max(0, state.now - DELAY - 60)]
        rate = float((state.seen_arrivals() - before).sum()) / 60
        return max(wanted, average_value(rate, self._per_replica, state.asked, 0.1))


class HpaOnLag(_Patient):
    """A plain HPA with the lag as a Value: as many times the replicas as the lag is of the target,
    from an adapter that reads every 15 s."""

    def __init__(self, target: float, window: int) -> None:
        self.name = f"HPA on lag {target:g}, window {window}"
        self._target, self._window = target, window

    def hpa(self, minimum: int, maximum: int) -> Hpa:
        return Hpa(minimum, maximum, _down_after(self._window))

    def observe(self, state: State) -> None: ...

    def wanted(self, state: State) -> int | None:
        if not state.known:
            return None
        lag = float(np.maximum(0, state.seen_arrivals() - state.committed).sum())
        ratio = lag / self._target
        return state.asked if abs(ratio - 1) <= 0.1 else math.ceil(ratio * max(1, state.ready))


def _down_after(window: int) -> dict[str, Any]:
    down = {**DEFAULT_BEHAVIOR["scaleDown"], "stabilizationWindowSeconds": window}
    return {**DEFAULT_BEHAVIOR, "scaleDown": down}


class Cpu(_Patient):
    """A plain HPA on CPU, 80 %, a metrics-server of 15 s."""

    name = "CPU 80 %"

    def hpa(self, minimum: int, maximum: int) -> Hpa:
        return Hpa(minimum, maximum, DEFAULT_BEHAVIOR)

    def observe(self, state: State) -> None: ...

    def wanted(self, state: State) -> int | None:
        usage = [state.busy] * state.ready
        return utilization(usage, state.asked - state.ready, 0.8, state.asked, 0.1)


class Fixed(_Patient):
    name = "fixed maximum"

    def hpa(self, minimum: int, maximum: int) -> None:  # noqa: ARG002 - Policy's own signature
        return None

    def observe(self, state: State) -> None: ...

    def wanted(self, state: State) -> int | None: ...


class Clairvoyant(_Patient):
    """Knows the arrivals of the next minute, every backlog and every speed, and takes the smallest
    size that, kept, holds the promise; if none does, the one that breaks it for the fewest seconds.

    It projects the next minute and, since pods that start now may come only after it, the time
    they need, during which the arrivals of the minute's last ten seconds go on. With `borrowing`
    it may leave that time with a backlog as old as the promise, for a future it does not know.
    """

    def __init__(self, *, borrowing: bool = False) -> None:
        self.name = "clairvoyant, borrowing" if borrowing else "clairvoyant"
        self._borrowing = borrowing

    def hpa(self, minimum: int, maximum: int) -> Hpa:
        return Hpa(minimum, maximum, default_behavior(maximum))

    def observe(self, state: State) -> None: ...

    def wanted(self, state: State) -> int | None:
        count = len(state.read)
        sizes = scaling.levels(count, 1, state.world.maximum or count)
        over, older = self._project(state, sizes)
        for n, seconds, worse in zip(sizes, over, older, strict=True):
            if seconds == 0 and (self._borrowing or not worse):
                return n
        fewest = min(over)
        return next(n for n, seconds in zip(sizes, over, strict=True) if seconds == fewest)

    def _known(self, state: State) -> Floats:
        """Cumulative arrivals from now on, as far as they are known."""
        return state.arrived[state.now : min(len(state.arrived), state.now + 60)]

    def _slope(self, state: State, known: Floats) -> Floats:  # noqa: ARG002 - see Prompt
        """Arrivals a second beyond that."""
        last = known[-min(10, len(known)) :]
        return (last[-1] - last[0]) / max(1, len(last) - 1)

    def _project(self, state: State, sizes: list[int]) -> tuple[list[float], list[bool]]:
        """For each size: what it costs in seconds over the promise, and whether the backlog ends up
        older than it is now. All sizes are projected at once, [size, partition]."""
        step = 3
        world, now, count = state.world, state.now, len(state.read)
        horizon = 60 + int(world.start + world.rebalance) + SYNC
        known = self._known(state)
        slope = self._slope(state, known)
        future = np.concatenate([known, known[-1] + slope * np.arange(1, horizon + 1)[:, None]])

        pods = sorted(pod.ready_at - now for pod in state.pods)
        members = np.empty((len(sizes), horizon // step + 1), dtype=np.int64)
        paused = np.zeros(members.shape, dtype=bool)
        at = step * np.arange(members.shape[1])
        for row, n in enumerate(sizes):
            ready_at = np.array(pods[:n] + [world.start] * (n - len(pods)))
            members[row] = np.maximum(1, (ready_at[:, None] <= at).sum(axis=0))
            pauses = [(j, j + world.rebalance) for j in set(ready_at.tolist()) if j > 0]
            pauses += [(0, world.rebalance)] if n < len(pods) else []
            for begin, end in [*pauses, (0, state.paused_until - now)]:
                paused[row] |= (begin <= at - step / 2) & (at - step / 2 < end)

        rate = 0.97 * world.rate * state.speed_ahead()
        speed = np.full(count * len(sizes), rate * step)
        read = np.tile(state.read, (len(sizes), 1))
        over = np.zeros(len(sizes))
        rows = count * np.arange(len(sizes))[:, None]
        for i in range(1, members.shape[1]):
            owner = np.arange(count) % members[:, i, None] + rows
            done = served((future[at[i]] - read).ravel(), owner.ravel(), speed)
            read += np.where(paused[:, i, None], 0.0, done.reshape(read.shape))
            due = self._arrived_by(state, future, at[i] - world.promise + step)
            late = np.maximum(0.0, due - read).sum(axis=1)
            over += step * (late > 1e-3)
        # What is over anyway ends soonest with the least left over.
        over += late / max(1.0, rate * count)
        allowed = max(self._age_now(state), world.promise / 4)
        left = self._arrived_by(state, future, at[-1] - allowed) - read
        return over.tolist(), (left > 1e-3).any(axis=1).tolist()

    def _arrived_by(self, state: State, future: Floats, second: float) -> Floats:
        """Cumulative arrivals at a second relative to now."""
        if second >= 0:
            return future[int(second)]
        past = state.now + int(second)
        return state.arrived[past] if past >= 0 else np.zeros(len(state.read))

    def _age_now(self, state: State) -> float:
        return _age(state, state.read)


class Prompt(Clairvoyant):
    """Knows all that the clairvoyant knows but the future: the true rates of this second, every
    backlog and every speed, and asks at once. What it loses, no law can save that does not pay for
    replicas before they are needed."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "prompt"

    def at_once(self, state: State) -> int | None:
        return self.wanted(state) if state.now % DECISION == 0 else None

    def _known(self, state: State) -> Floats:
        return state.arrived[state.now : state.now + 1]

    def _slope(self, state: State, known: Floats) -> Floats:  # noqa: ARG002 - the present's alone
        rate = state.trace.arrivals[max(0, state.now - 2) : state.now + 1].sum(axis=1).mean()
        share = state.trace.arrivals[max(0, state.now - 60) : state.now + 1].sum(axis=0)
        return rate * share / max(1.0, share.sum())


TUNED_THRESHOLDS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""For replicas that read 100 messages/s; others in proportion."""
TUNED_WINDOWS = (0, 60, 600)
"""Stabilization windows for going down, beside the default of 300 s."""


def rivals(rate: float) -> list[Policy]:
    """KEDA as installed, KEDA tuned and an HPA on lag, where a replica reads `rate` messages/s."""
    thresholds = [max(1.0, t * rate / 100) for t in TUNED_THRESHOLDS]
    found: list[Policy] = [Keda(t) for t in thresholds]
    found += [KedaTuned(t, window) for t, window in product(thresholds, TUNED_WINDOWS)]
    found += [
        KedaTuned(thresholds[i], window, part * rate)
        for i, window, part in product((3, 5, 7), (60, 300), (0.6, 0.8))
    ]
    found += [HpaOnLag(thresholds[i], window) for i, window in product((3, 6, 8), (60, 300))]
    return found


def _whole(offsets: Floats) -> tuple[int, ...]:
    return tuple(offsets.astype(np.int64).tolist())


def _age(state: State, position: Floats) -> float:
    """Seconds behind as LagMonitor reckons them: since when the end was beyond the position."""
    ends = state.seen_arrivals()
    behind = ends > position + 1e-3
    if not behind.any():
        return 0.0
    back = 60
    while True:
        first = max(0, state.now - back)
        past = state.arrived[first : state.now]
        beyond = past[:, behind] > position[behind] + 1e-3
        if not len(past) or first == 0 or not beyond[0].any():
            break
        back *= 4
    if not len(past):
        return 0.0
    return float(state.now - (first + beyond.argmax(axis=0).min()))
