"""The tables of the results' page come from the recorded figures."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))  # no package of ours: see the bench

from autoscaling import tables

ROOT = Path(__file__).parents[2]
PAGE = """# Results
<!-- autoscaling: prompt -->
old
<!-- autoscaling: end -->
between
<!-- autoscaling: slow start -->
<!-- autoscaling: end -->
after
"""
FIGURES = {
    "beyond_prompt_by_start_seconds": {
        "2": {
            "prompt_beyond_clairvoyant": 59,
            "ours_beyond_clairvoyant": 1035,
            "keda_best_beyond_clairvoyant": 416,
        }
    },
    "totals_by_start_seconds": {"60": {"clairvoyant": {"seconds_over": 10, "replica_hours": 100}}},
    "by_start_seconds": {"60": {"avoidable_seconds_over_keda_best": 20000}},
    "start_60_frontier": [
        {"half_life_seconds": 600.0, "reserve": True, "seconds_over": 30, "replica_hours": 120}
    ],
}


def test_marked_tables_are_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text(PAGE)
    tables.write(page, FIGURES)
    text = page.read_text()
    assert "old" not in text
    assert "| 2 s | 59 | 1,035 | 416 |" in text
    assert "| reserve, 600 s | 20 | 1.20 |" in text
    assert text.startswith("# Results\n")
    assert "\nbetween\n" in text
    assert text.endswith("after\n")
    tables.write(page, FIGURES)
    assert page.read_text() == text


def test_a_table_without_figures_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text(PAGE)
    with pytest.raises(KeyError):
        tables.write(page, {})
    assert page.read_text() == PAGE


def test_every_table_has_its_place() -> None:
    page = (ROOT / "bench" / "RESULTS.md").read_text()
    assert {*re.findall(r"<!-- autoscaling: ([\w -]+) -->", page)} == {*tables.TABLES, "end"}
