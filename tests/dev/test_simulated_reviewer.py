"""The example program that reviews by the true labels, with mistakes."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from textmod_dev.paths import repository_root

FILE = repository_root() / "examples" / "simulated_reviewer.py"
SPEC = importlib.util.spec_from_file_location("simulated_reviewer", FILE)
assert SPEC is not None
assert SPEC.loader is not None
program = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = program
SPEC.loader.exec_module(program)


class Queue:
    """A console whose cards are dealt one after the other."""

    def __init__(self, *texts: str, status: int = 200) -> None:
        self.cards = [
            {"item": f"in/0/{number}", "text": text, "version": 1}
            for number, text in enumerate(texts)
        ]
        self.status = status
        self.calls: list[tuple[str, Any]] = []

    def call(self, path: str, body: object = None) -> tuple[int, Any]:
        self.calls.append((path, body))
        if not path.startswith("/api/next"):
            return self.status, {}
        if self.status != 200:
            return self.status, "no"
        return (200, self.cards.pop(0)) if self.cards else (204, None)

    def decided(self) -> list[str]:
        return [body["decision"] for path, body in self.calls if path.endswith("/decision")]


LABELS = {"bad": True, "good": False}


def review(queue: Queue, mistakes: float, times: int) -> Any:
    tally, chance = program.Tally(), random.Random(1)  # noqa: S311
    for _ in range(times):
        program.review_one(queue, LABELS, mistakes, chance, tally)
    return tally


def test_it_decides_by_the_true_labels() -> None:
    queue = Queue("bad", "good")
    tally = review(queue, 0.0, 3)
    assert queue.decided() == ["Remove", "Approve"]
    assert (tally.decided, tally.mistakes) == (2, 0)
    assert queue.calls[1][0] == "/api/items/in/0/0/decision"
    assert queue.calls[1][1]["version"] == 1


def test_it_makes_mistakes_and_counts_them() -> None:
    queue = Queue(*["bad"] * 400)
    tally = review(queue, 0.25, 400)
    assert queue.decided().count("Approve") == tally.mistakes
    assert 70 <= tally.mistakes <= 130


def test_a_text_that_it_does_not_know_is_given_back_and_skipped() -> None:
    queue = Queue("unheard of", "good")
    tally = review(queue, 0.0, 2)
    assert queue.calls[1][0] == "/api/items/in/0/0/release"
    assert "skip=in%2F0%2F0" in queue.calls[2][0]
    assert (tally.decided, tally.skipped) == (1, {"in/0/0"})


def test_a_refused_token_ends_it_and_a_restart_does_not() -> None:
    with pytest.raises(SystemExit, match="refuses the token"):
        review(Queue(status=403), 0.0, 1)
    assert review(Queue(status=503), 0.0, 1).decided == 0
    assert review(Queue(status=0), 0.0, 1).decided == 0


def test_the_labels_are_read_and_what_is_missing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "comments.csv"
    file.write_text('BODY,REMOVED\n"a, b",1\nc,0\n', encoding="cp1252")
    assert program.true_labels(file, "BODY", "REMOVED", "cp1252") == {"a, b": True, "c": False}
    with pytest.raises(SystemExit, match="no columns BODY and label"):
        program.true_labels(file, "BODY", "label", "cp1252")
    with pytest.raises(SystemExit, match="cannot be read"):
        program.true_labels(tmp_path / "none.csv", "BODY", "REMOVED", "cp1252")
