import math

import pytest

from textmod_model.stream.speed import Speed, usable_cores


def test_until_enough_was_worked_off_the_benchmark_stands():
    speed = Speed(2000, math.inf, full=256)
    assert speed.metadata == "rate=2000.0"
    speed.note(256, 0.5)
    assert speed.rate == 2000
    speed.note(256, 0.6)
    assert speed.rate == pytest.approx(512 / 1.1, rel=0.02)


def test_a_part_of_a_core_does_a_part_of_the_benchmark():
    assert Speed(2000, 0.25, full=256).rate == 500
    assert Speed(2000, 4, full=256).rate == 2000


def test_small_batches_say_nothing():
    speed = Speed(None, math.inf, full=256)
    for _ in range(100):
        speed.note(127, 1.0)
    assert speed.rate is None
    assert speed.metadata == ""


def test_what_was_long_ago_weighs_little():
    speed = Speed(None, math.inf, full=100)
    for _ in range(100):
        speed.note(100, 0.2)
    assert speed.rate == pytest.approx(500, rel=0.01)
    for _ in range(100):
        speed.note(100, 1.0)
    assert speed.rate == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize(
    ("content", "cores"), [("50000 100000\n", 0.5), ("max 100000\n", math.inf), ("?", math.inf)]
)
def test_the_cpu_limit_is_the_cgroup_s(tmp_path, content, cores):
    (tmp_path / "cpu.max").write_text(content)
    assert usable_cores(tmp_path / "cpu.max") == cores


def test_no_cgroup_is_no_limit(tmp_path):
    assert usable_cores(tmp_path / "cpu.max") == math.inf


def test_a_few_large_messages_count_while_more_wait():
    speed = Speed(None, math.inf, full=256)
    speed.note(3, 1.5, more_waits=True)
    assert speed.rate == pytest.approx(2)
