"""Budgets a day over replicas that come, go and are killed, on the traces of the scaling law.

    cd bench && python -m policies.budget

An hour of a trace stands for a day, and comes three times. `DEMAND` times as many texts as the
budget are over the rule's score, spread over time and partitions as the trace's messages are. Every
quarter of an hour or so the group changes: either the number of replicas changes, or all of them
are killed, and the next reader of each partition judges the uncommitted texts again.

- `budget_overshoot`: the most texts under review in any 24 hours, over the budget, less 1;
- `budget_used`: the least part of a budget that was spent in a whole day, by budget: what a replica
  has left when others have none is lost, most of all of budgets below the number of partitions;
- `budget_overshoot_forgetful`: the first, if nothing were written beside the offsets.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from autoscaling.streams import SHAPE_PLACES, SHAPES, stream
from autoscaling.traces import RATES, SECONDS, trace

from textmod_dev.figures import figures_dir, merge_figures
from textmod_model.policies.allowance import DAY, Allowance
from textmod_model.policies.solved import PolicySet, parse, version_of

RESULTS = Path(__file__).parents[1] / "results"
PARTITIONS = 12
DAYS = 3
STRETCH = DAY // SECONDS
"""Seconds that a second of a trace stands for."""
BUDGETS = (5, 20, 200, 2_000)
DEMAND = 3.0
CHANGE_SECONDS = 900.0
COMMIT_SECONDS = 0.5
"""Between two commits, as in `kafka_config`."""
START = 1_764_000_000


def policies_of(budget: int) -> PolicySet:
    """Return one policy with one rule that has a budget."""
    rule = {"action": "Review", "hold": False, "atLeast": 0.5, "budgetPerDay": budget}
    document = {"policies": [{"name": "p", "label": None, "rules": [rule]}]}
    return parse(json.dumps({**document, "version": version_of(document)}).encode())


@dataclass
class Group:
    """Replicas of one group; what is committed outlives them."""

    policies: PolicySet
    forgetful: bool = False
    """Whether nothing is written beside the offsets."""
    now: int = START
    notes: list[str] = field(default_factory=lambda: [""] * PARTITIONS)
    reviewed: dict[tuple[int, int, int, bool], int] = field(default_factory=dict)
    """Text → when it was first given to reviewers."""

    def deal(self, replicas: int) -> None:
        """Share the partitions out; every replica begins with what is committed."""
        self.replicas = []
        for number in range(replicas):
            owned = range(number, PARTITIONS, replicas)
            one = Allowance(lambda owned=owned: owned, lambda: PARTITIONS, lambda: self.now)
            for partition in owned:
                one.load(partition, self.notes[partition])
            self.replicas.append(one)

    def judge(self, texts: np.ndarray, *, late: bool = False) -> None:
        """Judge `texts[p]` texts of each partition p, as one batch of each replica.

        late: the batch is the second one within the same second.
        """
        takes = [one.for_batch(self.policies) for one in self.replicas]
        for partition in np.flatnonzero(texts).tolist():
            take = takes[partition % len(takes)]
            for number in range(int(texts[partition])):
                if take("p", 0, partition):
                    self.reviewed.setdefault((self.now, partition, number, late), self.now)

    def commit(self) -> None:
        """Write what was spent beside the offsets."""
        if not self.forgetful:
            for partition in range(PARTITIONS):
                replica = self.replicas[partition % len(self.replicas)]
                self.notes[partition] = replica.note(partition)


def simulate(
    arrivals: np.ndarray, budget: int, seed: int, *, forgetful: bool = False
) -> np.ndarray:
    """Return the times at which texts were given to reviewers, in order."""
    rng = np.random.default_rng(seed)
    share = arrivals / arrivals.sum()
    group = Group(policies_of(budget), forgetful)
    group.deal(1)
    change_at = 0.0
    for second in range(DAYS * SECONDS):
        group.now = START + second * STRETCH
        texts = rng.poisson(DEMAND * budget * share[second % SECONDS])
        late = rng.binomial(texts, COMMIT_SECONDS / STRETCH)
        group.judge(texts - late)
        group.commit()
        group.judge(late, late=True)
        if group.now - START >= change_at:
            change_at = group.now - START + rng.exponential(CHANGE_SECONDS)
            replicas = int(rng.integers(1, PARTITIONS + 1))
            if rng.random() < 0.5:  # all killed before their last commit
                group.deal(replicas)
                group.judge(late, late=True)
            else:
                group.commit()
                group.deal(replicas)
        group.commit()
    return np.sort(np.fromiter(group.reviewed.values(), dtype=np.int64))


def overshoot(times: np.ndarray, budget: int) -> float:
    """Return by how much of the budget the fullest 24 hours are over it."""
    within = np.arange(1, len(times) + 1) - np.searchsorted(times, times - DAY, side="right")
    return max(0.0, float(within.max(initial=0)) / budget - 1)


def used(times: np.ndarray, budget: int) -> float:
    """Return the least part of the budget that a whole day had, the first day left out."""
    days = np.bincount((times - START) // DAY, minlength=DAYS)[1:DAYS]
    return float(days.min()) / budget


def traces() -> dict[str, np.ndarray]:
    """Return messages by second and partition, by the trace's name."""
    found = {name: trace(name, PARTITIONS).arrivals for name in RATES}
    return found | {name: stream("shape", name, 0, SHAPE_PLACES[0]).arrivals for name in SHAPES}


def main() -> None:
    """Run all traces with all budgets, and write the figures."""
    worst: dict[str, tuple[float, str]] = {}
    spent = dict.fromkeys(BUDGETS, 1.0)
    for name, arrivals in traces().items():
        for budget in BUDGETS:
            case = f"{name}, {budget} a day"
            times = simulate(arrivals, budget, seed=budget)
            forgot = simulate(arrivals, budget, seed=budget, forgetful=True)
            figures = {
                "budget_overshoot": overshoot(times, budget),
                "budget_overshoot_forgetful": overshoot(forgot, budget),
            }
            spent[budget] = min(spent[budget], used(times, budget))
            for figure, value in figures.items():
                worst[figure] = max(worst.get(figure, (-1.0, "")), (value, case))
            print(case, {figure: round(value, 4) for figure, value in figures.items()}, flush=True)
    for figure, (value, case) in worst.items():
        print(f"{figure}: {value:.4f} ({case})", file=sys.stderr)
    merge_figures(
        figures_dir(RESULTS) / "policies.json",
        {
            "budget_overshoot": round(worst["budget_overshoot"][0], 4),
            "budget_overshoot_forgetful": round(worst["budget_overshoot_forgetful"][0], 4),
            "budget_used": {str(budget): round(part, 4) for budget, part in spent.items()},
        },
    )


if __name__ == "__main__":
    main()
