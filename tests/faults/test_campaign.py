"""Runs follow from a seed; rows on disk let a campaign go on; figures add up what is there."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from faults.__main__ import _parser
from faults.plan import BARE, DELIVERIES, TEXTMOD, Run, compared, plan
from faults.report import BEGIN, END, write_report
from faults.rows import FAILED, Rows, of, results
from faults.scenarios import SCENARIOS

COMMIT = "0123abc"


def some(names: list[str], **options: Any) -> list[Run]:
    return plan(names, DELIVERIES, **{"seed": 1, "pairs": 0, "messages": 10} | options)


def row(run: Run, **found: Any) -> dict[str, Any]:
    well = {
        "messages": 10,
        "lost": 0,
        "duplicated": 0,
        "order_breaks": 0,
        "altered": 0,
        "invented": 0,
        "ahead": 0,
        "requests": 3,
        "unreviewed": 0,
        "asked_again": 0,
        "stalled": False,
        "recovery_seconds": 1.0,
        "broken": [],
    }
    return of(run) | well | found


def test_one_seed_has_every_scenario_with_both_deliveries() -> None:
    runs = some(["none", "storm"])
    assert [(run.scenario, run.delivery, run.seed) for run in runs] == [
        ("none", "AtLeastOnce", 1),
        ("none", "ExactlyOnce", 1),
        ("storm", "AtLeastOnce", 1),
        ("storm", "ExactlyOnce", 1),
    ]


def test_more_runs_than_a_seed_has_go_on_with_the_next_seeds() -> None:
    runs = some(["none", "storm"], runs=9, seed=3)
    assert len(set(runs)) == len(runs) == 9
    assert [run.seed for run in runs] == [3] * 4 + [4] * 4 + [5]


def test_every_seed_has_pairs_of_its_own() -> None:
    runs = some(["none"], pairs=2, runs=12)
    assert [run.scenario.count("&") for run in runs] == [0, 0, 1, 1, 1, 1] * 2
    assert {run.scenario for run in runs[:6]} != {run.scenario for run in runs[6:]}
    assert runs == some(["none"], pairs=2, runs=12)


def test_a_run_finds_its_scenario_by_name() -> None:
    pair = Run("worker-sigkill&broker-freeze", "AtLeastOnce", 1, 10).resolved()
    assert pair.cluster == (3, False)
    assert Run("classic-storm", "AtLeastOnce", 1, 10).resolved().cluster == (1, True)


@pytest.mark.parametrize("name", ["storm", "worker-sigkill&broker-freeze"])
def test_the_command_of_a_run_repeats_it(name: str) -> None:
    run = Run(name, "ExactlyOnce", 7, 4000)
    python, module, campaign, *words = shlex.split(run.command())
    assert (python, module, campaign) == (".venv/bin/python", "-m", "faults")
    args = _parser().parse_args(words)
    again = plan(
        args.scenario,
        [*args.delivery],
        seed=args.seed,
        pairs=args.pairs,
        messages=args.messages,
        worker=args.worker,
    )
    assert again == [run]


def test_a_scenario_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("flood", "storm&flood", ""):
        with pytest.raises(SystemExit):
            _parser().parse_args(["--scenario", name])
        assert "no scenario" in capsys.readouterr().err


def test_nothing_asked_for_is_no_run() -> None:
    assert some([], runs=5) == []


def test_the_bare_pair_goes_through_faults_of_kafka_once() -> None:
    runs = compared(some(["poison", "storm"], runs=12))
    assert [(run.scenario, run.delivery, run.seed, run.worker) for run in runs] == [
        ("storm", "AtLeastOnce", 1, BARE),
        ("storm", "ExactlyOnce", 1, BARE),
    ]


def test_no_scenario_about_dead_letters_or_models_is_compared() -> None:
    for one in SCENARIOS.values():
        if one.compared:
            assert not (one.bare or one.policies)
            assert one.name not in {"model-rolled", "poison"}


def test_a_campaign_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    runs = some(["none", "storm"])
    rows = Rows(tmp_path / "rows.jsonl", COMMIT)
    rows.add(row(runs[0]))
    rows.add(row(runs[2], broken=["lost"], lost=1))
    again = Rows(tmp_path / "rows.jsonl", COMMIT)
    assert again.left(runs) == [runs[1], runs[3]]  # what broke is not tried until it holds
    assert again.all() == rows.all()


def test_rows_of_another_commit_do_not_count(tmp_path: Path) -> None:
    runs = some(["none"])
    Rows(tmp_path / "rows.jsonl", COMMIT).add(row(runs[0]))
    assert Rows(tmp_path / "rows.jsonl", "456def").left(runs) == runs


def test_nothing_is_known_of_changes_that_are_not_committed(tmp_path: Path) -> None:
    runs = some(["none"])
    Rows(tmp_path / "rows.jsonl", f"{COMMIT}-dirty").add(row(runs[0]))
    assert Rows(tmp_path / "rows.jsonl", f"{COMMIT}-dirty").left(runs) == runs


def test_figures_add_up() -> None:
    at_least, exactly = some(["storm"])
    rows = [
        row(at_least, duplicated=7, recovery_seconds=3.04),
        row(exactly, duplicated=2, lost=1, stalled=True, broken=["lost", "duplicated", "stalled"]),
        row(Run("storm", "ExactlyOnce", 2, 10), recovery_seconds=None),
    ]
    found = results(rows, COMMIT)
    assert found["commit"] == COMMIT
    assert (found["runs"], found["messages"], found["runs_failed"]) == (3, 30, 0)
    assert (found["lost"], found["duplicated_exactly_once"], found["stalls"]) == (1, 2, 1)
    assert (found["review_requests"], found["unreviewed"]) == (9, 0)
    assert found["slowest_recovery_seconds"] == 3.0
    assert [(one["delivery"], one["runs"], one["duplicated"]) for one in found["scenarios"]] == [
        ("AtLeastOnce", 1, 7),
        ("ExactlyOnce", 2, 2),
    ]


def test_the_bare_pair_is_compared_and_not_counted() -> None:
    runs = some(["storm"], runs=1)
    rows = [row(runs[0]), row(compared(runs)[0], lost=5, recovery_seconds=9.0, broken=["lost"])]
    found = results(rows, COMMIT)
    assert (found["runs"], found["lost"], found["slowest_recovery_seconds"]) == (1, 0, 1.0)
    assert found["scenarios"][0]["bare_recovery_seconds"] == 9.0


def test_a_run_that_failed_itself_is_counted_apart() -> None:
    runs = some(["storm"])
    rows = [row(runs[0]), of(runs[1]) | {"broken": [FAILED], "error": "no broker"}]
    found = results(rows, COMMIT)
    assert (found["runs"], found["runs_failed"], found["messages"]) == (2, 1, 10)


def test_the_report_keeps_what_people_wrote(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text(f"# Mine\n\nbefore\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    runs = some(["storm"])
    write_report(results([row(runs[0], worker=TEXTMOD)], COMMIT), file, file)
    text = file.read_text()
    assert text.startswith("# Mine\n\nbefore\n\n")
    assert text.endswith(f"{END}\n\nafter\n")
    assert "old" not in text
    assert "| storm | AtLeastOnce | 1 | 10 | 0 | 0 | 0 | 0 | 1.0 | – |" in text
    assert f"Commit `{COMMIT}`" in text


def test_rows_are_lines_that_say_their_commit(tmp_path: Path) -> None:
    file = tmp_path / "beside" / "rows.jsonl"
    Rows(file, COMMIT).add(row(some(["none"])[0]))
    assert json.loads(file.read_text())["commit"] == COMMIT
