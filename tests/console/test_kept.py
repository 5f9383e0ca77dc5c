"""A value that is costly to read is read seldom, and only the first caller waits for it."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from textmod_console.errors import RecordError
from textmod_console.store.kept import COST, Kept


class Source:
    def __init__(self, seconds: float) -> None:
        self.now = 0.0
        self.reads = 0
        self.seconds = seconds

    def read(self) -> int:
        self.now += self.seconds
        self.reads += 1
        return self.reads


def test_a_value_is_read_again_when_it_is_old() -> None:
    source = Source(0.01)
    kept = Kept(5, source.read, monotonic=lambda: source.now)
    assert kept.value() == kept.value() == 1
    source.now += 5.1
    assert kept.value() == 2


def test_a_costly_value_is_kept_longer() -> None:
    source = Source(1.0)
    kept = Kept(5, source.read, monotonic=lambda: source.now)
    kept.value()
    source.now += COST - 0.1
    assert kept.value() == 1
    source.now += 0.2
    assert kept.value() == 2


def test_while_one_reads_the_others_get_the_old_value() -> None:
    reading, go_on = threading.Event(), threading.Event()
    values = iter([1, 2])
    now = 0.0

    def read() -> int:
        value = next(values)
        if value == 2:
            reading.set()
            assert go_on.wait(20)
        return value

    kept = Kept(5, read, monotonic=lambda: now)
    assert kept.value() == 1
    now = 6.0
    thread = threading.Thread(target=kept.value)
    thread.start()
    assert reading.wait(20)
    assert kept.value() == 1
    go_on.set()
    thread.join()
    assert kept.value() == 2


def test_a_first_read_that_fails_is_tried_again() -> None:
    answers: list[int | Exception] = [RecordError("the database is away."), 7]
    kept = Kept(5, lambda: said(answers.pop(0)), monotonic=lambda: 0.0)
    with pytest.raises(RecordError):
        kept.value()
    assert kept.value() == 7


def test_a_value_that_could_not_be_read_again_is_not_kept() -> None:
    source = Source(0.0)
    answers: list[int | Exception] = [1, *[RecordError("the database is away.")] * 2, 2]
    kept = Kept(5, lambda: said(answers.pop(0)), monotonic=lambda: source.now)
    assert kept.value() == 1
    source.now = 6.0
    assert kept.value() == 1  # it was new a moment ago; the next call says what is wrong
    with pytest.raises(RecordError):
        kept.value()
    assert kept.value() == 2


def test_an_old_value_is_not_given_for_ever_after_a_fault() -> None:
    """It is read again in a thread, whose exception nobody sees."""
    source = Source(0.0)
    answers: list[int | Exception] = [1, OverflowError(), OverflowError(), 2]

    def thread(work: Callable[[], None]) -> None:
        with suppress(OverflowError):
            work()

    kept = Kept(5, lambda: said(answers.pop(0)), monotonic=lambda: source.now, run=thread)
    assert kept.value() == 1
    source.now = 6.0
    assert kept.value() == 1
    with pytest.raises(OverflowError):
        kept.value()
    assert kept.value() == 2


def said(answer: int | Exception) -> int:
    if isinstance(answer, Exception):
        raise answer
    return answer
