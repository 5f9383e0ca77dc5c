"""The decision in one sentence, and the condition that it is worth."""

from __future__ import annotations

import math

from textmod_operator.scaling.memory import Condition, Verdict
from textmod_operator.scaling.rates import SATURATED_SECONDS
from textmod_operator.scaling.view import View

BEHIND = "falling behind"
TOO_SLOW = "catching up too slowly"


def condition(verdict: Verdict, view: View) -> Condition | None:
    """What the user should know about besides the number."""
    if view.hot:
        return "HotPartition"
    stuck = verdict.desired >= view.sizes[-1] and view.asked >= view.sizes[-1]
    if stuck and verdict.outlook in (BEHIND, TOO_SLOW):
        return "AtMaximum"
    return None


def reason(verdict: Verdict, view: View) -> str:
    """One sentence, such as "12 of 12: 41k behind, 18 s to catch up"."""
    parts = [f"{_count(view.lag)} behind"] if view.lag else ["nothing waits"]
    if view.hot:
        names = ", ".join(map(str, view.hot))
        which = "partition" if len(view.hot) == 1 else "each of partitions"
        parts.append(f"{which} {names} is faster than one replica")
    return f"{verdict.desired} of {view.sizes[-1]}: {', '.join([*parts, verdict.outlook])}"


def outlook(view: View, replicas: int, smallest: int) -> str:
    """How it goes on with so many replicas; `smallest` are kept whatever arrives."""
    if view.arriving is None or view.rate is None:
        return "measuring the speed"
    if view.capacity(replicas) <= view.arriving:
        return BEHIND
    if view.wait(replicas, view.coming) > view.promise > 0:
        return TOO_SLOW
    if (view.age or 0.0) < SATURATED_SECONDS:
        ready = ", as many as stand ready while pods start slowly"
        kept = view.reserves and replicas == smallest > view.sizes[0]
        return f"{view.arriving:.0f} messages/s{ready if kept else ''}"
    return f"{math.ceil(view.backlog(replicas) / view.rate)} s to catch up"


def _count(messages: int) -> str:
    """41,230 → "41k": a figure that changes every second need not be exact."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if messages >= 10 * size:
            return f"{messages / size:.0f}{unit}"
        if messages >= size:
            return f"{messages / size:.1f}{unit}"
    return str(messages)
