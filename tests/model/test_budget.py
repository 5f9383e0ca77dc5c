"""What fits into a memory limit."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from textmod_model import budget
from textmod_model.budget import LARGEST_VALUE, MIB, SMALLEST_VALUE, largest_value, largest_within
from textmod_model.errors import ConfigurationError
from textmod_model.settings import load

QUANTITIES = {
    "512Mi": 512 * MIB,
    "1.5G": 1_500_000_000,
    "4096": 4096,
    "1k": 1000,
    "64Ki": 65536,
    "2048000m": 2048,
}


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_limit_is_a_quantity(quantity):
    assert load({"TEXTMOD_MEMORY_LIMIT": quantity}).memory_limit == QUANTITIES[quantity]


@pytest.mark.parametrize("quantity", ["512mb", "-1", "Mi", "1e3x"])
def test_a_limit_that_is_none_is_told(quantity):
    with pytest.raises(ConfigurationError, match="TEXTMOD_MEMORY_LIMIT"):
        load({"TEXTMOD_MEMORY_LIMIT": quantity})


@pytest.mark.parametrize("limit", [128, 256, 512, 1024, 65_536])
@pytest.mark.parametrize("resident", [60, 110, 200])
def test_scoring_the_largest_value_stays_below_the_limit(limit, resident):
    largest = largest_within(limit * MIB, resident * MIB)
    assert SMALLEST_VALUE <= largest <= LARGEST_VALUE
    if largest > SMALLEST_VALUE:
        used = resident * MIB + largest * budget.SCORING_BYTES
        assert used + budget.MEMO_BYTES + budget.QUEUE_BYTES < limit * MIB


def test_the_default_limit_takes_a_long_comment():
    assert largest_within(512 * MIB, 150 * MIB) > 500_000


def test_the_peak_is_the_process_own_and_not_its_parents(tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t  153600 kB\nVmRSS:\t  100 kB\n")
    assert budget.peak_resident(status) == 150 * MIB
    assert budget.peak_resident(tmp_path / "none") > MIB
    program = "from textmod_model import budget; print(budget.peak_resident())"
    large = bytearray(b"1") * (300 * MIB)
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert int(ran.stdout) < len(large)


def test_a_process_for_calls_takes_its_part(monkeypatch):
    monkeypatch.setattr(budget, "peak_resident", lambda: 150 * MIB)
    settings = load({"TEXTMOD_MEMORY_LIMIT": "512Mi"})
    alone, beside = (largest_value(settings, calls_apart=apart) for apart in (False, True))
    assert alone - beside == budget.CALLS_BYTES // budget.SCORING_BYTES


def test_texts_on_their_way_to_people_take_their_part(monkeypatch):
    monkeypatch.setattr(budget, "peak_resident", lambda: 150 * MIB)
    limit, review = {"TEXTMOD_MEMORY_LIMIT": "512Mi"}, {"TEXTMOD_REVIEW_TOPIC": "review"}
    without, reviewed = (largest_value(load(limit | more)) for more in ({}, review))
    assert without - reviewed == budget.REVIEW_BYTES // budget.SCORING_BYTES


@pytest.mark.parametrize(
    ("cores", "minutes"), [(4.0, 1), (1.0, 1), (0.5, 2), (0.05, 20), (math.inf, 4)]
)
def test_the_time_of_a_mebibyte_follows_the_share_of_a_core(cores, minutes):
    assert budget.scoring_seconds(MIB, cores) == pytest.approx(60 * minutes)


@pytest.mark.parametrize(
    ("content", "limit"),
    [("536870912\n", 512 * MIB), ("max\n", None), ("9223372036854771712", None)],
)
def test_reads_the_control_groups_limit(tmp_path, content, limit):
    file = tmp_path / "memory.max"
    file.write_text(content)
    assert budget.cgroup_limit((Path("/does/not/exist"), file)) == limit


HEAPS = """
import ctypes, os, tempfile, threading
from textmod_model import budget
if {limited}:
    budget.limit_arenas()
library = ctypes.CDLL(None)
library.malloc.restype = library.fopen.restype = ctypes.c_void_p
together = threading.Barrier(8)
def allocate():
    together.wait()
    library.malloc(1000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(library.fopen(file.name.encode(), b"w"))
    library.malloc_info(0, stream)
    library.fclose(stream)
    print(file.read().count(b"<heap nr="))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
def test_threads_share_a_few_heaps():
    """Each heap keeps what was freed in it."""

    def heaps(*, limited):
        command = [sys.executable, "-c", HEAPS.format(limited=limited)]
        return int(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)

    assert heaps(limited=True) <= budget.ARENAS < heaps(limited=False)
