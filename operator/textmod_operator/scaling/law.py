"""The scaling law: how many replicas keep the promise in seconds, and why.

`decide` is a pure function: no clock, no I/O, no randomness. It is called every few seconds for
each TextModeration; everything it must remember between two calls travels in `Memory`.

Symbols, as in queueing theory:

====  ==========================================================================================
λ     messages a second that arrive
μ     messages a second that one busy replica reads
L     unread messages
P, n  partitions, replicas; the busiest replica reads k = ⌈P/n⌉ partitions, so that more replicas
      help only at the sizes {⌈P/k⌉}
C(n)  messages a second that n replicas keep up with: μ over the busiest replica's share
D     the promise: `max_seconds_behind`; d is three quarters of it
R     reaction: seconds from a decision until the replicas that it asked for read
====  ==========================================================================================

The law:

1. Hold. While λ > C, the wait of new messages grows by 1 - C/λ seconds a second. A size is kept as
   long as acting one decision later would still be in time: age + (1 - C/λ)·R ≤ d. Here and in (2)
   d is at most D less 5 s: what the law can't see takes as long, however short the promise is.
2. Up. Otherwise take the smallest size whose busiest replica keeps up with λ and reads what it has
   waiting, and what gathers during R, within d. Where R > d, a rise that four intervals of 4 s have
   shown, to rates beyond all that is remembered, counts as λ: 16 s ahead, and at most 2·λ.
3. Down. Every size is tried on the record of arrivals, as if it had been the size all along. When a
   smaller one would never have come near the promise for a window, take it; the window is longer
   for a size that fails again and again. None below C = λₚₑₐₖ·(1 - d/R): from less than that, the
   return of the recent peak could not be answered in time, however fast the decision. Nor one whose
   busiest replica could not answer the return of the busiest partition's own peak. When the law
   leaves a size for a larger one, that counts as a failure of the smaller, whatever its trial says;
   for ten minutes it is taken only when λ is at most 0.95 of the λ at which it was left. Unless a
   partition stands still beside others that are read: a dead consumer is no size that is too small.
4. Surges. A size that has survived two surges in a row waits for the end of the next one, as long
   as it is like those before: what comes by the minute is learned, not chased. Each time it has to
   be left all the same, it must survive twice as many before the next is waited for.
5. Reserve. Where R > d, a rush can't be answered in time. Kept ready is what this hour of the days
   before would need, or else a guess at a rush, which grows by the root of the stream and of R - d.
6. What is not known (`LagUnknown`) shrinks nothing, and the window of (3) starts anew.
"""

from __future__ import annotations

from dataclasses import replace

from textmod_operator.scaling import explain
from textmod_operator.scaling.memory import (
    Condition,
    Decision,
    Memory,
    Policy,
    Rates,
    Sample,
    Workload,
)
from textmod_operator.scaling.rates import take
from textmod_operator.scaling.reserve import remember
from textmod_operator.scaling.size import judge
from textmod_operator.scaling.view import levels, look
from textmod_operator.state import LagReading, LagUnknown

__all__ = [
    "Condition",
    "Decision",
    "Memory",
    "Policy",
    "Rates",
    "Sample",
    "Workload",
    "decide",
    "levels",
]


def decide(
    reading: LagReading | LagUnknown,
    workload: Workload,
    policy: Policy,
    memory: Memory,
    now: float,
) -> tuple[Decision, Memory]:
    """The replicas to ask for now. `now` is Unix time in seconds; calls may come at any rhythm."""
    if isinstance(reading, LagUnknown) or not reading.partitions:
        why = reading.why if isinstance(reading, LagUnknown) else "The topic has no partitions."
        held = replace(memory, known_since=None, idle_since=None)
        return Decision(workload.replicas, why, "LagUnknown"), held
    policy = replace(policy, prior_rate=reading.told_rate or policy.prior_rate)
    memory = take(reading, workload, policy, memory, now)
    view = look(reading, workload, policy, memory, now)
    verdict = judge(reading, view, policy, remember(view, memory))
    rates = None
    if view.arriving is not None:
        rates = Rates(view.arriving, view.reading, view.rate)
    decision = Decision(
        verdict.desired,
        explain.reason(verdict, view),
        explain.condition(verdict, view),
        rates,
        view.age,
    )
    return decision, verdict.memory
