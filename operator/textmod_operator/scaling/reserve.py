"""Replicas that are kept for what may come: the recent peak, the hour of the day, a rush."""

from __future__ import annotations

import math
from dataclasses import replace

from textmod_operator.scaling.memory import HOURS, Memory
from textmod_operator.scaling.rates import blend
from textmod_operator.scaling.view import View

PEAK_HALF_LIFE_SECONDS = 600.0
"""The recent peak is forgotten by half in this time."""
USUAL_SECONDS = 600.0
"""Time constant of the usual rate, by which the size of a rush is guessed."""
RUSH = 2.0
"""A rush is guessed at RUSH·(R - d)^¼ replicas, R and d in seconds, for a stream that keeps one
busy: the later replicas would come for it, the more seconds the reserve may save."""
RUSH_GROWTH = 0.16
"""… and at usual^RUSH_GROWTH times that for a larger one: it varies less for its size. Below one
replica it goes by the root (a trickle's rush is small too)."""
KEEP_PART = 1.07
"""Where so many times the guess would ask for the present size, it is kept: a guess that wavers
about what one size carries must not change the size again and again."""
LOPSIDED = 2.0
"""A partition with so many times its part of λ is beyond what more replicas help."""
HOUR = 3600.0


def remember(view: View, memory: Memory) -> Memory:
    """Take λ into the peaks. A rush that no size could answer, such as a backfill, is none to be
    ready for."""
    arriving = view.arriving or 0.0
    if view.rate and arriving > 1.5 * view.capacity(view.sizes[-1]):
        arriving = 0.0
    since = max(0.0, view.now - memory.peak_at)
    kept_part = 0.5 ** (since / PEAK_HALF_LIFE_SECONDS)
    faded, faded_hot = memory.peak * kept_part, memory.hot_peak * kept_part
    weight = 1 - math.exp(-since / USUAL_SECONDS)
    usual = memory.usual
    if view.arriving is not None:
        usual = blend(usual, view.arriving, weight)
    memory = _turned(memory, int(view.now // HOUR))
    return replace(
        memory,
        peak=max(faded, arriving),
        hot_peak=max(faded_hot, view.top_share * arriving),
        peak_at=view.now,
        usual=usual,
        busiest=max(memory.busiest, arriving),
    )


def _turned(memory: Memory, hour: int) -> Memory:
    """Close the hour that has passed, if it has."""
    if memory.hour == hour:
        return memory
    return replace(memory, hours=memory.hours_so_far(), hour=hour, busiest=0.0)


def shown(view: View, memory: Memory) -> float:
    """The rate that the stream has shown and that may come back before replicas could: of late, or
    at this hour of the days before."""
    if not memory.hours:
        return memory.peak
    hours = {int(at // HOUR) % HOURS for at in (view.now, view.now + 2 * view.reaction)}
    return max(memory.peak, *(memory.hours[hour] for hour in hours))


def kept(view: View, memory: Memory) -> int:
    """The smallest size to keep. Where R ≤ d nothing needs to stand ready.

    Where R > d, a rush to λ is answered in time from C = λ·(1 - d/R) only. At this hour the days
    before may have shown one; of one that was never seen nothing is known, and it is guessed.
    """
    if not view.reserves or not view.rate or view.late <= 0:
        return view.sizes[0]
    if view.top_share * view.partitions > LOPSIDED:
        return view.sizes[0]  # that partition's replica is the limit, however many stand by
    usual = (memory.usual or 0.0) / view.rate
    rush = RUSH * (view.reaction - view.promise) ** 0.25
    rush *= math.sqrt(usual) if usual < 1 else usual**RUSH_GROWTH
    hour = shown(view, replace(memory, peak=0.0))
    most = view.capacity(view.sizes[-1])

    def size_for(guess: float) -> int:
        return view.smallest_for(min(most, max(hour, guess) * view.late))

    guess = rush * view.rate
    return min(max(view.asked, size_for(guess)), size_for(KEEP_PART * guess))


def answers(view: View, memory: Memory, replicas: int) -> bool:
    """Whether this size could answer the return of the peaks in time: of all messages, and of the
    busiest partition, which only one replica reads.

    A peak counts as far as the largest size could answer it.
    """
    most, rate, hot = view.sizes[-1], shown(view, memory), memory.hot_peak
    if view.late * min(rate, view.capacity(most)) > view.capacity(replicas):
        return False
    if hot * view.partitions <= LOPSIDED * memory.peak:
        return True  # no partition was hot, so the rate of all messages is enough to judge by
    answerable = min(hot, view.hot_speed(most, rate, hot))
    return view.late * answerable <= view.hot_speed(replicas, rate, hot)
