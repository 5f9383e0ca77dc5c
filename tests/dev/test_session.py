"""A run of tests leaves no process behind, however it ends, and says so where a test did."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from textmod_dev.guardian import SESSION, marked
from textmod_dev.processes import wait_until

TESTS = Path(__file__).parents[1]
LEAVING = """
import subprocess
def test_that_forgets():
    subprocess.Popen(["sleep", "300"], start_new_session=True)
"""
HANGING = """
import subprocess
def test_that_hangs():
    subprocess.run(["sleep", "300"], start_new_session=True)
"""


def inner(folder: Path, program: str, **environment: str) -> tuple[list[str], dict[str, str]]:
    """Return the command of a run of tests in a session of its own, and its environment."""
    file = folder / "test_inner.py"
    file.write_text(program)
    options = ["-q", "-p", "conftest", "-p", "no:cacheprovider", f"--rootdir={folder}", "-c"]
    command = [sys.executable, "-m", "pytest", *options, os.devnull, str(file)]
    kept = {name: value for name, value in os.environ.items() if name != SESSION}
    return command, kept | {"PYTHONPATH": str(TESTS), **environment}


def test_what_a_test_leaves_behind_fails_the_session_and_is_ended(tmp_path: Path) -> None:
    command, environment = inner(tmp_path, LEAVING)
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    [line] = [line for line in done.stdout.splitlines() if "left behind" in line]
    pid = int(line.partition("left behind: ")[2].split()[0])
    assert "sleep 300" in line
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_run_ends_with_what_it_started_when_make_is_killed(tmp_path: Path) -> None:
    """As the Makefile starts it: a child of make, which says that it ends with make."""
    identity = uuid.uuid4().hex
    command, environment = inner(tmp_path, HANGING, TEXTMOD_END_WITH_PARENT="1")
    mark = "TEXTMOD_TEST_OF_A_SESSION"
    make = ["/bin/sh", "-c", '"$@" & wait', "sh", *command]
    with subprocess.Popen(
        make, env=environment | {mark: identity}, stdout=subprocess.DEVNULL
    ) as parent:
        wait_until(lambda: len(marked(identity, mark)) >= 4, "the test ran", timeout=30)
        parent.kill()
    wait_until(lambda: marked(identity, mark) == [], "everything had ended", timeout=10)
