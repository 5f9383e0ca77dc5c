"""The HPA controller's own arithmetic (kubernetes 1.36, pkg/controller/podautoscaler), as a value.

What is here is held against the real controller-manager by recorded scenarios (`scenarios/`,
`tests/bench/test_hpa_scenarios.py`). Times are seconds on any clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

DEFAULT_BEHAVIOR: dict[str, Any] = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 300,
        "selectPolicy": "Max",
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    },
}


@dataclass
class Hpa:
    """One HorizontalPodAutoscaler with AverageValue and Resource metrics.

    `step` is one sync: it takes what the metrics ask for and returns the new spec.replicas.
    """

    minimum: int
    maximum: int
    behavior: dict[str, Any] = field(default_factory=lambda: DEFAULT_BEHAVIOR)
    _recommendations: list[tuple[float, int]] = field(default_factory=list)
    _events: dict[str, list[tuple[float, int]]] = field(
        default_factory=lambda: {"scaleUp": [], "scaleDown": []}
    )

    def step(self, now: float, replicas: int, wanted: int | None) -> int:
        """The new replica count. `wanted` is the largest of the metrics' counts, None when the
        metrics could not be read (then nothing happens)."""
        if replicas == 0 and self.minimum != 0:
            return 0  # disabled
        if not self._recommendations:
            self._recommendations.append((now, replicas))
        if replicas > self.maximum:
            new = self.maximum
        elif replicas < self.minimum:
            new = self.minimum
        elif wanted is None:
            return replicas
        else:
            new = self._stabilized(now, replicas, wanted)
            new = self._limited(now, replicas, new)
        if new != replicas:
            way = "scaleUp" if new > replicas else "scaleDown"
            self._events[way].append((now, abs(new - replicas)))
            longest = max(p["periodSeconds"] for p in self.behavior[way]["policies"])
            self._events[way] = [e for e in self._events[way] if e[0] > now - longest]
        return new

    def _stabilized(self, now: float, replicas: int, wanted: int) -> int:
        up_after = now - self.behavior["scaleUp"]["stabilizationWindowSeconds"]
        down_after = now - self.behavior["scaleDown"]["stabilizationWindowSeconds"]
        up = min([wanted, *(n for at, n in self._recommendations if at > up_after)])
        down = max([wanted, *(n for at, n in self._recommendations if at > down_after)])
        oldest = min(up_after, down_after)
        self._recommendations = [r for r in self._recommendations if r[0] >= oldest]
        self._recommendations.append((now, wanted))
        return min(max(replicas, up), down)

    def _limited(self, now: float, replicas: int, wanted: int) -> int:
        if wanted > replicas:
            most = max(replicas, self._limit("scaleUp", now, replicas))
            return min(wanted, self.maximum, most)
        if wanted < replicas:
            least = min(replicas, self._limit("scaleDown", now, replicas))
            return max(wanted, self.minimum, least)
        return wanted

    def _limit(self, way: str, now: float, replicas: int) -> int:
        rules = self.behavior[way]
        choose = rules.get("selectPolicy", "Max")
        if choose == "Disabled":
            return replicas
        proposed = []
        for policy in rules["policies"]:
            since = now - policy["periodSeconds"]
            added = sum(n for at, n in self._events["scaleUp"] if at > since)
            removed = sum(n for at, n in self._events["scaleDown"] if at > since)
            start, value = replicas - added + removed, policy["value"]
            if way == "scaleUp":
                percent = math.ceil(start * (1 + value / 100))
                proposed.append(start + value if policy["type"] == "Pods" else percent)
            else:
                percent = int(start * (1 - value / 100))
                proposed.append(start - value if policy["type"] == "Pods" else percent)
        furthest = max if (way == "scaleUp") == (choose == "Max") else min
        return furthest(proposed)


def average_value(usage: float, target: float, replicas: int, tolerance: float) -> int:
    """What an External metric with AverageValue asks for. `replicas` is status.replicas."""
    if replicas > 0 and abs(usage / (target * replicas) - 1.0) <= tolerance:
        return replicas
    return math.ceil(usage / target)


def utilization(
    usage: list[float], unready: int, target: float, replicas: int, tolerance: float
) -> int:
    """What a Resource metric with averageUtilization asks for.

    `usage` is that of the ready pods as parts of their request, `target` likewise. Pods that are
    not ready count as using nothing when scaling up, and not at all when scaling down.
    """
    if not usage:
        return replicas
    ratio = sum(usage) / len(usage) / target
    if not (unready and ratio > 1.0):
        return replicas if abs(ratio - 1.0) <= tolerance else math.ceil(ratio * len(usage))
    count = len(usage) + unready
    damped = sum(usage) / count / target
    if abs(damped - 1.0) <= tolerance or damped < 1.0:
        return replicas
    new = math.ceil(damped * count)
    return max(new, replicas)
