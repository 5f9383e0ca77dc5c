"""The size to ask for: hold, up, down."""

from __future__ import annotations

import math
from dataclasses import replace

from textmod_operator.scaling.explain import outlook
from textmod_operator.scaling.memory import Memory, Policy, Verdict
from textmod_operator.scaling.rates import sample_before, stands_still
from textmod_operator.scaling.reserve import answers, kept
from textmod_operator.scaling.trials import (
    DECISION_SECONDS,
    as_before,
    carries,
    has_held,
    left,
    seconds_to_hold,
    trial_of,
    tried,
    trusted,
)
from textmod_operator.scaling.view import View
from textmod_operator.state import LagReading

PATIENCE = 1.2
"""A size that was chosen to work off its backlog within d is given this much more to do it, lest a
little noise asks for the next size while its replicas are on their way."""
KEEP_UP = 0.95
"""Busiest replica's utilisation at which a size counts as keeping up when growing to it; shrinking
to it takes `trials.COMFORT`, and the gap between the two stops flapping."""


def judge(reading: LagReading, view: View, policy: Policy, memory: Memory) -> Verdict:
    """The first rule that has something to say."""
    smallest, top = view.sizes[0], view.sizes[-1]
    if policy.min_replicas == 0 and (idle := _idle(view, policy, memory)):
        return Verdict(0, idle, memory)
    if policy.max_seconds_behind is None:
        larger, smaller, memory = _by_messages(view, policy, memory)
    elif view.rate is None or view.arriving is None:
        return Verdict(min(max(view.asked, smallest), top), "measuring the speed", memory)
    else:
        memory = tried(view, memory)
        smallest = kept(view, memory)
        larger, smaller = _larger(view, memory), _need(view, memory)
        if larger is not None and larger > view.asked and not stands_still(memory.samples):
            memory = left(view, memory)
    if reading.rebalancing and smallest <= view.asked <= top:
        return Verdict(view.asked, "the consumer group is rebalancing", memory)
    if larger is None and _may_shrink(view, memory) and smaller < view.asked:
        seconds = seconds_to_hold(view, trial_of(memory, smaller))
        return Verdict(smaller, f"enough for all of the last {seconds:.0f} s", memory)
    desired = min(max(view.asked, smallest, larger or 0), max(top, larger or 0))
    surging = view.capacity(desired) <= (view.arriving or 0.0)
    trial = trial_of(memory, desired)
    if larger is None and surging and as_before(trial, view.age or 0.0):
        return Verdict(desired, f"a surge like the last {trial.survived}", memory)
    return Verdict(desired, outlook(view, desired, smallest), memory)


def _by_messages(view: View, policy: Policy, memory: Memory) -> tuple[int | None, int, Memory]:
    """The simple threshold: the larger size or None, the smaller one, and what to remember."""
    wanted = math.ceil(view.lag / (policy.messages_per_replica or 1))
    need = next((n for n in view.sizes if n >= wanted), view.sizes[-1])
    memory = replace(memory, needs=_windowed(memory.needs, need, view))
    return need if need > view.asked else None, max(n for _, n in memory.needs), memory


def _idle(view: View, policy: Policy, memory: Memory) -> str | None:
    """Why nothing is to run, or None."""
    if view.lag:
        return None
    if view.asked == 0:
        return "idle"
    if memory.idle_since is not None and view.now - memory.idle_since >= policy.idle_seconds:
        return f"no message for {policy.idle_seconds:.0f} s"
    return None


def _larger(view: View, memory: Memory) -> int | None:
    """Rules 1 and 2: the larger size to ask for now, or None while the present one will do. The
    present one once more means that nothing more can be done."""
    if view.asked > 0 and _holds(view, memory):
        return None
    fits = (
        n
        for n in view.sizes
        if n > view.asked
        and (view.forecast <= KEEP_UP * view.capacity(n) or trusted(trial_of(memory, n)))
        and view.wait(n, view.reaction) <= view.acting
    )
    return max(view.asked, next(fits, view.best_effort(view.reaction)))


def _holds(view: View, memory: Memory) -> bool:
    """Rule 1: whether the present size keeps the promise if the next decision acts."""
    age, slope = view.age or 0.0, view.falling_behind(view.asked)
    if slope > 0 and not as_before(trial_of(memory, view.asked), age):
        if view.falling_behind(view.sizes[-1]) > 0 and view.asked < view.hardly_slower():
            return False  # no size works off what gathers meanwhile
        soon = view.falling_behind(view.ready) * view.coming
        later = slope * (view.reaction + DECISION_SECONDS - view.coming)
        return age + soon + later <= view.acting
    patience = view.acting * PATIENCE
    return view.wait(view.asked, view.coming) <= patience and not _disproved(view, memory)


def _disproved(view: View, memory: Memory) -> bool:
    """Whether the present size has had its time, and the age says that it does not catch up."""
    age = view.age or 0.0
    if age <= view.acting or view.now - memory.asked_at < view.reaction:
        return False
    before = sample_before(memory.samples, 20.0).age
    return before is not None and age >= before - 5


def _need(view: View, memory: Memory) -> int:
    """Rule 3: the smallest size that is enough, in comfort, for all that its window has shown."""
    most_waiting = (view.rate or 0.0) * view.promise / 2
    smallest = kept(view, memory)
    fits = (
        n
        for n in view.sizes
        if n >= smallest
        and view.steady <= carries(view, trial_of(memory, n))
        and answers(view, memory, n)
        and has_held(view, trial_of(memory, n))
        and view.backlog(n) <= most_waiting
    )
    return next(fits, view.hardly_slower())


def _may_shrink(view: View, memory: Memory) -> bool:
    """Not while messages are late, and not before this size and the lag were seen for a window."""
    if view.age is None or view.age > view.promise / 2:
        return False
    known_since = view.now if memory.known_since is None else memory.known_since
    return view.now - max(known_since, memory.asked_at) >= view.shrink_seconds


def _windowed(
    needs: tuple[tuple[float, int], ...], need: int, view: View
) -> tuple[tuple[float, int], ...]:
    """A running maximum: only what no later, larger need outdoes is kept."""
    oldest = view.now - view.shrink_seconds
    return (*((at, n) for at, n in needs if n > need and at > oldest), (view.now, need))
