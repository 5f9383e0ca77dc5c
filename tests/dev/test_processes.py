"""Processes end with whoever started them, and failures say what happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from textmod_dev.errors import LocalClusterError
from textmod_dev.guardian import MARKER, end_marked, marked
from textmod_dev.processes import ProcessKeeper, free_port, is_free, wait_until

FAMILY = ["/bin/sh", "-c", "sleep 300 & sleep 300"]


def ends(identity, timeout=10):
    deadline = time.monotonic() + timeout
    while marked(identity):
        assert time.monotonic() < deadline, "a process outlived its keeper"
        time.sleep(0.05)


def test_leaving_the_block_ends_children_and_grandchildren(tmp_path):
    with ProcessKeeper(tmp_path) as keeper:
        keeper.start("family", FAMILY)
        wait_until(lambda: len(marked(keeper.identity)) >= 3, "the family was there", timeout=10)
    assert marked(keeper.identity) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_so_does_the_death_of_the_keepers_process(tmp_path, number):
    program = (
        "import sys, time, pathlib\n"
        "from textmod_dev.processes import ProcessKeeper\n"
        "with ProcessKeeper(pathlib.Path(sys.argv[1])) as keeper:\n"
        f"    keeper.start('family', {FAMILY!r})\n"
        "    print(keeper.identity, flush=True)\n"
        "    time.sleep(300)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        identity = owner.stdout.readline().strip()
        wait_until(lambda: len(marked(identity)) >= 3, "the family was there", timeout=10)
        owner.send_signal(number)
    ends(identity)


def test_a_crashed_clusters_leftovers_can_be_ended_later(tmp_path):
    with subprocess.Popen(
        ["/bin/sleep", "300"], env={**os.environ, MARKER: "an-old-cluster"}
    ) as left:
        wait_until(lambda: marked("an-old-cluster") == [left.pid], "it was there", timeout=10)
        assert end_marked("an-old-cluster") == 1
        assert left.wait(5) == -signal.SIGKILL


def test_waiting_fails_at_once_when_the_process_ends(tmp_path):
    with ProcessKeeper(tmp_path) as keeper:
        process = keeper.start("broken", ["/bin/sh", "-c", "echo no such option; exit 2"])
        start = time.monotonic()
        with pytest.raises(LocalClusterError, match=r"(?s)exit code 2 .*no such option"):
            wait_until(lambda: False, "it was ready", process=process, timeout=30)
        assert time.monotonic() - start < 5


def test_a_command_that_is_not_there(tmp_path):
    with ProcessKeeper(tmp_path) as keeper, pytest.raises(LocalClusterError, match="ghost"):
        keeper.start("ghost", ["/no/such/program"])


def test_free_ports_are_free():
    port = free_port()
    assert 20_000 <= port < 32_000
    assert is_free(port)


def test_no_two_processes_get_the_same_port():
    """Or, between looking for one and listening on it, two servers would be given one port."""
    mine = {free_port() for _ in range(20)}
    assert len(mine) == 20
    script = (
        "from random import SystemRandom\n"
        "from textmod_dev import processes\n"
        f"wanted = iter({sorted(mine)} + [20_000 + n for n in range(12_000)])\n"
        "SystemRandom.randrange = lambda *_: next(wanted)\n"
        "print(processes.free_port())"
    )
    theirs = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(theirs.stdout) not in mine
