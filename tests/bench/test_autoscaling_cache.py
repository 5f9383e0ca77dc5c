"""A bench that was stopped goes on where it was."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))  # no package of ours: see the bench

from autoscaling import __main__ as bench


class Here:
    """Workers that work in this process."""

    def map(self, function: Any, jobs: Any, **_: Any) -> Any:
        return map(function, jobs)


def test_variants_that_were_run_are_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[bench.Variant] = []

    def run(job: bench.Variant) -> bench.Cell:
        if job[1] == 13 and len(ran) < 2:
            raise KeyboardInterrupt
        ran.append(job)
        return bench.Cell(job[0], job[1], 60.0, "ours", len(ran), 1.5, 2, 0)

    monkeypatch.setattr(bench, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(bench, "run_variant", run)
    jobs: list[bench.Variant] = [("step", 12, 600.0, True), ("step", 13, 1e9, False)]
    with pytest.raises(KeyboardInterrupt):
        bench.Runs(Here()).of_variants(jobs)  # type: ignore[arg-type]
    ran.append(("another", 1, 1.0, True))
    cells = bench.Runs(Here()).of_variants(jobs)  # type: ignore[arg-type]
    assert [cell.over for cell in cells] == [1, 3]
    assert ran == [jobs[0], ("another", 1, 1.0, True), jobs[1]]
