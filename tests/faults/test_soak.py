"""A soak's pieces, groups and lives add up to figures and a table."""

from __future__ import annotations

import csv
import math
import random
from pathlib import Path
from typing import Any

from faults.growth import MIB, Sample
from faults.sampling import GroupSample, write_samples
from faults.scenarios import SCENARIOS
from faults.soak import OF_ALL, OF_WORKERS, _values
from faults.soak_figures import figures, plot, tables

TOPICS = frozenset({"in", "out"})


def piece(delivery: str, number: int = 1, **found: Any) -> dict[str, Any]:
    well = {
        "piece": number,
        "delivery": delivery,
        "messages": 100,
        "lost": 0,
        "duplicated": 0,
        "order_breaks": 0,
        "altered": 0,
        "invented": 0,
        "ahead": 0,
        "requests": 5,
        "unreviewed": 0,
        "asked_again": 0,
        "stalled": False,
        "recovery_seconds": 2.0,
        "capacity_per_second": 1000,
        "broken": [],
    }
    return well | found


def life(minutes: int, slope: float = 0.0) -> list[Sample]:
    return [
        Sample(60 * at, int((200 + slope * at) * MIB), 40, 12, 0, quiet=True)
        for at in range(minutes + 1)
    ]


def some(
    pieces: dict[str, list[dict[str, Any]]] | None = None,
    groups: dict[str, list[GroupSample]] | None = None,
    samples: dict[str, list[Sample]] | None = None,
) -> dict[str, Any]:
    found = figures(
        pieces or {"AtLeastOnce": [piece("AtLeastOnce")], "ExactlyOnce": [piece("ExactlyOnce")]},
        groups or {},
        samples or {"worker-1": life(60)},
        faults=["storm", "net-cut", "storm"],
        failures=[],
        ended=["worker-9: exit code 1: fenced"],
    )
    return {"commit": "0123abc", "seed": 1, "minutes": 60.0} | found


def test_every_fault_of_the_soak_is_one_of_the_campaign() -> None:
    assert {*OF_WORKERS, *OF_ALL} <= SCENARIOS.keys()
    for name in (*OF_WORKERS, *OF_ALL):
        one = SCENARIOS[name]
        assert not one.classic, f"{name}: the soak's brokers know the new group protocol"
        assert one.kind != "permission", f"{name}: three brokers have no rules"


def test_pieces_add_up() -> None:
    found = some(
        {
            "AtLeastOnce": [piece("AtLeastOnce", duplicated=7), piece("AtLeastOnce", 2)],
            "ExactlyOnce": [
                piece("ExactlyOnce", duplicated=1, broken=["duplicated"], recovery_seconds=9.04),
                piece("ExactlyOnce", 2, stalled=True, broken=["stalled"], recovery_seconds=None),
            ],
        }
    )
    assert (found["pieces"], found["messages"], found["requests"]) == (2, 400, 20)
    assert (found["duplicated_exactly_once"], found["repeated_at_least_once"]) == (1, 7)
    assert (found["stalls"], found["slowest_recovery_seconds"]) == (1, 9.0)
    assert found["broken"] == ["ExactlyOnce piece 1: duplicated", "ExactlyOnce piece 2: stalled"]
    assert found["faults"] == {"net-cut": 1, "storm": 2}


def test_lives_are_judged_and_short_ones_only_counted() -> None:
    found = some(samples={"long": life(60), "short": life(5, 9.0), "leaks": life(30, 1.0)})
    assert (found["workers"], found["workers_judged"]) == (3, 2)
    assert [one["worker"] for one in found["lives"]] == ["long", "leaks"]
    assert found["grows"] == ["leaks: memory"]
    assert found["steepest_mib_a_minute"] == 1.0


def test_without_a_life_that_is_long_enough_nothing_is_claimed() -> None:
    found = some(samples={"short": life(5)})
    assert found["workers_judged"] == 0
    assert found["steepest_mib_a_minute"] is None
    assert "| `steepest_mib_a_minute` | – |" in tables(found)


def test_members_and_topics_that_stay_behind_are_told() -> None:
    well = GroupSample(3, 3, TOPICS)
    assert some(groups={"AtLeastOnce": [well, well]})["grows"] == []
    assert some(groups={"AtLeastOnce": [well, GroupSample(None, 3, None)]})["grows"] == []
    assert some(groups={"AtLeastOnce": [well, GroupSample(4, 3, TOPICS), well]})["grows"] == [
        "AtLeastOnce: 4 members of 3 workers"
    ]
    more = GroupSample(3, 3, TOPICS | {"in-retry"})
    assert some(groups={"AtLeastOnce": [well, more]})["grows"] == ["AtLeastOnce: topics in-retry"]


def test_the_table_has_a_row_and_a_plot_for_each_life() -> None:
    text = tables(some(samples={"worker-1": life(60, 2.0)}))
    assert "Commit `0123abc`, seed 1." in text
    assert "| `lost` | 0 |" in text
    assert "| worker-1 | 60.0 | 205.0 | 319.0 | 320.0 | 2.0 | 40 → 40 (40 to 40) |" in text
    assert "█`" in text
    assert "| grows | worker-1: memory |" in text
    assert "| workers that ended by themselves and were restarted | 1 |" in text


def test_a_plot_begins_at_zero_and_is_bounded() -> None:
    assert plot([1, 1, 1]) == "███"
    assert plot([0, 50, 100]) == "▁▅█"
    assert len(plot([math.sin(at) + 2 for at in range(1000)])) <= 40
    assert plot([]) == plot([0, 0]) == ""


def test_texts_are_new_in_every_piece_and_the_same_for_a_seed() -> None:
    def values(seed: int) -> list[bytes]:
        return _values(random.Random(seed))  # noqa: S311 - nothing secret

    first = values(1)
    assert first == values(1)
    assert not {*first} & {*values(2)}
    assert len({*first}) == len(first)


def test_samples_are_kept_as_a_table_for_a_person(tmp_path: Path) -> None:
    taken = life(1)
    write_samples(tmp_path / "samples.csv", {"one": taken, "two": taken[:2]})
    with (tmp_path / "samples.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["worker"] for row in rows] == ["one"] * len(taken) + ["two"] * 2
    assert [int(row["memory"]) for row in rows[: len(taken)]] == [one.memory for one in taken]
