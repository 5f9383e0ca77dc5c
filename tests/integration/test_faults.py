"""A part of the fault campaign: what breaks most often, once for each delivery."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = ["worker-sigkill", "storm", "letters-refused", "poison"]

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_nothing_is_lost_and_every_stream_goes_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "faults", "--messages", "2000", "--out", tmp_path),
            *("--scenario", *SCENARIOS),
        ],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "RECORD"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["runs"] == 2 * len(SCENARIOS)
    assert results["messages"] >= 2000 * results["runs"]
    counts = ("lost", "duplicated_exactly_once", "order_breaks", "stalls")
    assert {name: results[name] for name in counts} == dict.fromkeys(counts, 0)
