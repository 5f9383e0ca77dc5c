"""What is periodic is learned: every size is tried on the record of arrivals.

For each size worth having a queue is kept as it would be, had that been the size all along. A size
that never would have broken the promise is large enough, whatever the rate did in between: bursts
by the minute, or a rate that flips, need no chase.
"""

from __future__ import annotations

import math
from dataclasses import replace

from textmod_operator.scaling.memory import Memory, Trial
from textmod_operator.scaling.view import View

COMFORT = 0.9
"""Busiest replica's utilisation at which a size counts as keeping up when shrinking to it."""
DECISION_SECONDS = 5.0
"""Between two decisions, at most."""
TRUSTED = 2
"""A size is trusted once it has survived so many surges in a row. The next one like them is waited
for, though by its beginning it might go on."""
MOST_DOUBT = 6
"""A size that had to be left although its trial saw no need is trusted only after twice as many
surges as before, up to so many doublings."""
LEFT_SECONDS = 600.0
LEFT_PART = 0.95
"""For so many seconds after it was left, a size counts as enough only for this part of the lowest
rate at which that happened."""
LIKE_BEFORE = 1.2
LIKE_BEFORE_SECONDS = 2.0
"""A surge is like those before until it makes messages wait longer by this factor, and so much."""
GAP_FACTOR = 1.25
"""A size that fails again and again is not taken until it has held for so many times the gap."""
KEEP_SECONDS = 200.0
KEEP_LATE_SECONDS = 600.0
"""… but for no longer than this: from then on replicas that are not needed cost more than changing
the size. Where R > d, going down too soon costs the promise, not only a change."""


def tried(view: View, memory: Memory) -> Memory:
    """Try every size on what has arrived since the last reading."""
    if len(memory.ends) < 2 or memory.tried_at == memory.ends[-1][0]:
        return memory
    (before, old), (at, new) = memory.ends[-2:]
    known = {trial.replicas: trial for trial in memory.trials}
    trials = (_try(known.get(n, Trial(n)), view, at - before, new - old) for n in view.sizes)
    return replace(memory, trials=tuple(trials), tried_at=at)


def _try(trial: Trial, view: View, seconds: float, arrived: float) -> Trial:
    n = trial.replicas
    capacity = view.capacity(n)
    delay = trial.delay + arrived / (COMFORT * max(capacity, 1e-9)) - seconds
    delay = max(0.0, delay)
    longer = max(0.0, 1 - COMFORT * capacity / max(view.forecast, 1e-9))
    broken = delay > view.promise
    risky = delay + longer * (view.reaction + DECISION_SECONDS) > view.promise
    surge, crest, survived = trial.surge, trial.crest, trial.survived
    relied_on = trusted(trial)
    if broken:  # the law would have added replicas by now: no more than that would wait
        delay, surge, crest, survived = view.promise, 0.0, 0.0, 0
    elif risky:
        surge = max(surge, delay, 0.1)
    elif surge:
        surge, crest, survived = 0.0, max(0.9 * crest, surge), survived + 1
    failed_at, gap = trial.failed_at, trial.gap
    if broken or (risky and not relied_on):
        helpless = view.falling_behind(view.sizes[-1]) > 0
        if not helpless:
            gap = _gap(view, trial)
        if not helpless or n < view.hardly_slower():  # else no size would do better
            failed_at = view.now
    return replace(
        trial,
        delay=delay,
        failed_at=failed_at,
        gap=gap,
        surge=surge,
        crest=crest,
        survived=survived,
    )


def trial_of(memory: Memory, replicas: int) -> Trial:
    """The trial of this size; an empty one if it is not worth having."""
    return next((t for t in memory.trials if t.replicas == replicas), Trial(replicas))


def trusted(trial: Trial) -> bool:
    """Whether the size has survived the surges of late."""
    return trial.survived >= (TRUSTED << trial.doubt)


def left(view: View, memory: Memory) -> Memory:
    """Record that the present size is too small, whatever its trial says: messages waited longer
    than the trial accounts for, because of commits, rebalances or uneven replicas. If it was
    trusted, trust it less."""
    if view.coming or view.falling_behind(view.sizes[-1]) > 0:
        return memory  # not all its replicas have read yet, or no size would have been enough
    trial = trial_of(memory, view.asked)
    rate = max(view.steady, view.arriving or 0.0)
    if _left_recently(view, trial):
        rate = min(rate, trial.left_rate)
    failed = replace(
        trial, failed_at=view.now, gap=_gap(view, trial), left_rate=rate, left_at=view.now
    )
    if as_before(trial, 0.0):
        doubt = min(MOST_DOUBT, trial.doubt + 1)
        failed = replace(failed, surge=0.0, crest=0.0, survived=0, doubt=doubt)
    trials = tuple(failed if t is trial else t for t in memory.trials)
    return replace(memory, trials=trials)


def _gap(view: View, trial: Trial) -> float | None:
    """Seconds between the size's failures, if it fails now; one within the window of rule 3 is the
    same failure."""
    since = view.now - trial.failed_at
    return since if view.shrink_seconds < since < math.inf else trial.gap


def carries(view: View, trial: Trial) -> float:
    """Arrivals a second that the size carries in comfort: by the speed of its replicas, and below
    the rate at which it was recently left."""
    most = COMFORT * view.capacity(trial.replicas)
    return min(most, LEFT_PART * trial.left_rate) if _left_recently(view, trial) else most


def _left_recently(view: View, trial: Trial) -> bool:
    return view.now - trial.left_at <= LEFT_SECONDS


def as_before(trial: Trial, age: float) -> bool:
    """Whether the size is trusted, and the surge that goes on is like those that it survived."""
    longest = LIKE_BEFORE * trial.crest + LIKE_BEFORE_SECONDS
    return trusted(trial) and max(age, trial.delay) <= longest


def has_held(view: View, trial: Trial) -> bool:
    """Whether the size has not failed for as long as must be seen before it is taken."""
    return view.now - trial.failed_at >= seconds_to_hold(view, trial)


def seconds_to_hold(view: View, trial: Trial) -> float:
    """The window of rule 3 for this size: longer where it has failed again and again."""
    recurring = GAP_FACTOR * (trial.gap or math.inf)
    if recurring > (KEEP_LATE_SECONDS if view.late else KEEP_SECONDS):
        return view.shrink_seconds
    return max(view.shrink_seconds, recurring)
