"""What is costly to read is read seldom, and nobody waits for it but the first."""

import threading

from textmod_console.store.database_desk import COST, Kept


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
    kept = Kept(5, source.read, lambda: source.now)
    assert kept.value() == kept.value() == 1
    source.now += 5.1
    assert kept.value() == 2


def test_a_costly_value_is_kept_longer() -> None:
    source = Source(1.0)
    kept = Kept(5, source.read, lambda: source.now)
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

    kept = Kept(5, read, lambda: now)
    assert kept.value() == 1
    now = 6.0
    thread = threading.Thread(target=kept.value)
    thread.start()
    assert reading.wait(20)
    assert kept.value() == 1
    go_on.set()
    thread.join()
    assert kept.value() == 2


def test_a_failed_read_is_tried_again() -> None:
    answers = iter([OSError(), 7])

    def read() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    kept = Kept(5, read, lambda: 0.0)
    try:
        kept.value()
    except OSError:
        assert kept.value() == 7
