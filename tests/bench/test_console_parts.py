"""A run of the console's benchmark continues where it was interrupted."""

from pathlib import Path
from typing import Any

from bench.console.parts import Kept, of_kills, of_speed


def run(**given: Any) -> dict[str, Any]:
    return {
        "decisions": 100,
        "kills": 3,
        "decisions_lost": 0,
        "published_twice": 0,
        "decided_twice": 0,
        "rebuild_same": True,
        **given,
    }


def test_a_part_is_known_once_it_was_run_as_asked(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "new")
    assert kept.read("kills-1", {"scale": 1.0}) is None
    kept.write("kills-1", {"scale": 1.0}, run())
    assert kept.read("kills-1", {"scale": 1.0}) == run()
    assert kept.read("kills-1", {"scale": 0.1}) is None
    assert kept.read("kills-2", {"scale": 1.0}) is None


def test_runs_with_kills_add_up() -> None:
    found = of_kills([run(), run(decisions_lost=1, rebuild_same=False)])
    assert (found["decisions"], found["kills"], found["decisions_lost"]) == (200, 6, 1)
    assert found["rebuild_same"] is False


def test_the_slower_database_stands_for_the_promise() -> None:
    fast = {"decision_p99_ms": 10.0, "next_card_p99_ms": 30.0, "memory_mib": 90.0}
    slow = {"decision_p99_ms": 20.0, "next_card_p99_ms": 5.0, "memory_mib": 80.0}
    found = of_speed({"sqlite": fast, "postgres": slow}, 1000)
    assert (found["decision_p99_ms"], found["next_card_p99_ms"]) == (20.0, 30.0)
    assert found["memory_mib"] == 90.0
