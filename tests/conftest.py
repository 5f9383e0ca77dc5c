"""For every test: untimed property tests, and a session that leaves no process behind."""

from __future__ import annotations

import ctypes
import os
import signal
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from textmod_dev import guardian
from textmod_dev.guardian import SESSION

# Property tests judge what is returned, not how fast a busy machine returns it.
settings.register_profile(
    "untimed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
settings.load_profile("untimed")

END_WITH_PARENT = "TEXTMOD_END_WITH_PARENT"
"""Set by the Makefile: end when make does, even when make is killed."""
PR_SET_PDEATHSIG = 1  # prctl(2)
SLOW = ("integration", "slow")
"""Markers of tests that take seconds to minutes."""
LONGEST = [
    Path(__file__).parent / "integration" / name
    for name in ("test_faults.py", "test_membership.py", "test_stream.py")
]
"""Files that take more than two minutes; one that is begun last keeps the others waiting."""
LINGER_SECONDS = 5.0
"""How long a process may take to end after the tests have."""

_guardian = pytest.StashKey["guardian.subprocess.Popen[bytes]"]()


def pytest_configure(config: pytest.Config) -> None:
    """Mark all that the session will start, and have it ended however the session ends."""
    if os.environ.pop(END_WITH_PARENT, None):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if SESSION not in os.environ:
        os.environ[SESSION] = uuid.uuid4().hex
        config.stash[_guardian] = guardian.start(os.environ[SESSION], SESSION)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session whose tests left processes behind, and name them."""
    if _guardian not in session.config.stash:
        return
    deadline = time.monotonic() + LINGER_SECONDS
    while (left := _left_behind()) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.stash[_left] = left


_left = pytest.StashKey[list[str]]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name the processes that were left behind."""
    for line in config.stash.get(_left, []):
        terminalreporter.write_line(f"ERROR left behind: {line}", red=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the guardian end what is left."""
    if (process := config.stash.get(_guardian, None)) is not None:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first, where pytest-xdist has several workers.

    The files of unit tests, many and short, come last and keep all workers busy to the end.
    """
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if any(map(item.get_closest_marker, SLOW))}
        items.sort(key=lambda item: (item.path not in LONGEST, item.path not in slow))


def _left_behind() -> list[str]:
    """Return the command lines of what the session has started and still runs."""
    found = []
    for pid in guardian.marked(os.environ[SESSION], SESSION):
        if pid == os.getpid():
            continue
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - no path to keep
                command = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if command:  # none: a zombie, which has ended
            found.append(f"{pid} {command[:120]}")
    return found
