"""The kernel ends a leader that does not renew: real processes, stopped and continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

LEADER = """
import os, sys, threading
from textmod_operator.kube.lease import dead_man
dead_man(float(sys.argv[1]))
def act():
    while True:
        os.write(1, b".")
        if sys.argv[2] == "quiet":
            threading.Event().wait(60)
for _ in range(4):
    threading.Thread(target=act, daemon=True).start()
if sys.argv[2] == "stuck":
    sum(range(10**12))  # the interpreter's lock is held for hours
threading.Event().wait(60)
"""
WaitFor = Callable[[Callable[[], object], float, str], None]


@pytest.fixture
def leader() -> Iterator[Callable[[float, str], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(seconds: float, how: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", LEADER, str(seconds), how]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.read(1) == b"."
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def alarm_is_pending(pid: int) -> bool:
    """Whether the timer has run out on a stopped process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, mask = line.partition(":")
        if name == "ShdPnd":
            return bool(int(mask, 16) & 1 << (signal.SIGALRM - 1))
    return False


def test_a_process_that_was_stopped_is_ended_when_it_is_continued(
    leader: Callable[[float, str], subprocess.Popen[bytes]], wait_for: WaitFor
) -> None:
    """What its other threads do in the moment until then is refused (`lease`, rule 4)."""
    process = leader(1.0, "acts")
    os.kill(process.pid, signal.SIGSTOP)
    wait_for(lambda: alarm_is_pending(process.pid), 10, "the timer ran out")
    assert process.poll() is None
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(10) == signal.SIGALRM, "ended by the handler, with the signal's number"


@pytest.mark.parametrize("how", ["quiet", "stuck"])
def test_a_process_that_is_stuck_is_ended(
    leader: Callable[[float, str], subprocess.Popen[bytes]], how: str
) -> None:
    assert leader(0.5, how).wait(20) == signal.SIGALRM


def test_a_timer_that_was_called_off_ends_nothing() -> None:
    code = (
        "import time\n"
        "from textmod_operator.kube.lease import dead_man\n"
        "dead_man(0.2); dead_man(0); time.sleep(0.5); print('alive')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True)
    assert run.stdout == b"alive\n"
