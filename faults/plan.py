"""Choose the runs of a campaign: pure, and the same for the same seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import faults.groups
import faults.surroundings  # noqa: F401 - these two register their scenarios
from faults.pairs import pair_named, some_pairs
from faults.scenarios import SCENARIOS, Scenario

DELIVERIES: Final = ("AtLeastOnce", "ExactlyOnce")
TEXTMOD: Final = "textmod"
BARE: Final = "bare"
WORKERS: Final = (TEXTMOD, BARE)
"""The program under load: the stream worker, or a consumer and a producer alone."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Its choices follow from scenario, delivery and seed."""

    scenario: str
    """A name in `SCENARIOS`, or two of them with & between."""
    delivery: str
    seed: int
    messages: int
    """At least so many are sent."""
    worker: str = TEXTMOD

    def resolved(self) -> Scenario:
        """Return the scenario. Raises KeyError for an unknown name."""
        return SCENARIOS.get(self.scenario) or pair_named(self.scenario)

    def command(self) -> str:
        """Return the command that repeats it."""
        words = (
            f"--scenario '{self.scenario}' --delivery {self.delivery} --seed {self.seed}"
            f" --messages {self.messages}"
        )
        return f".venv/bin/python -m faults {words} --worker {self.worker}"


def plan(
    names: Sequence[str],
    deliveries: Sequence[str],
    *,
    seed: int,
    pairs: int,
    messages: int,
    runs: int = 0,
    worker: str = TEXTMOD,
) -> list[Run]:
    """Return the runs: every scenario and some pairs for a seed, then the same for the next seed.

    `runs` is how many; 0: those of one seed. `pairs` is how many pairs each seed adds.
    """
    if not (names or pairs):
        return []

    def every() -> Iterator[Run]:
        for number in itertools.count(seed):
            of_seed = [*names, *(pair.name for pair in some_pairs(number, pairs))]
            for name, delivery in itertools.product(of_seed, deliveries):
                yield Run(name, delivery, number, messages, worker)

    one_seed = (len(names) + len(some_pairs(seed, pairs))) * len(deliveries)
    return list(itertools.islice(every(), runs or one_seed))


def compared(runs: Sequence[Run]) -> list[Run]:
    """Return runs of the bare pair under the same faults, where those are Kafka's alone."""
    first: dict[tuple[str, str], Run] = {}
    for run in runs:
        if run.scenario in SCENARIOS and SCENARIOS[run.scenario].compared:
            first.setdefault((run.scenario, run.delivery), run)
    return [Run(one.scenario, one.delivery, one.seed, one.messages, BARE) for one in first.values()]
