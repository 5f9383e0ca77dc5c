"""The targets of fuzzing hold what they promise, on all inputs that are kept in the tree."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from faults import keep
from faults.fuzz import CORPUS, TARGETS
from faults.poison import payload

INPUTS = [
    pytest.param(target, file, id=f"{target}-{file.name}")
    for target in TARGETS
    for file in sorted((CORPUS / target).glob("*"))
]


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_takes_hostile_bytes(target: str) -> None:
    random = Random(1)  # noqa: S311 - nothing secret
    for value in [b"", *(payload(random)[0] or b"" for _ in range(60))]:
        TARGETS[target](value[:4096])


@pytest.mark.parametrize(("target", "file"), INPUTS)
def test_kept_inputs(target: str, file: Path) -> None:
    TARGETS[target](file.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_what_fuzzing_grew(target: str) -> None:
    for data in keep.kept(target):
        TARGETS[target](data)


def test_few_inputs_are_kept_that_cover_the_same() -> None:
    covered = {
        b"long but the same": frozenset("abc"),
        b"short": frozenset("abc"),
        b"rare": frozenset("d"),
        b"nothing new": frozenset("ab"),
        b"refused": frozenset(),
    }
    assert keep.chosen(covered) == [b"rare", b"short"]


def test_coverage_differs_where_our_code_branches() -> None:
    values = (b'{"body": "fine"}', b"[", b"{")
    keep.coverage("message-json", values[0])  # imports and caches
    good, bad, worse = (keep.coverage("message-json", value) for value in values)
    assert bad == worse
    assert len(good) > len(bad) > 0


def test_a_target_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    from textmod_operator.kafka import backlog

    monkeypatch.setattr(backlog, "reported_rate", lambda _notes: -1.0)
    with pytest.raises(AssertionError):
        TARGETS["reported-rate"](b"rate=1")
