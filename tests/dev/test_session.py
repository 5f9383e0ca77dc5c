"""A run of tests leaves no process behind, however it ends, and says so where a test did."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from textmod_dev import guardian
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


WORKERS = pytest.mark.parametrize("workers", [0, 2], ids=["alone", "two workers"])


def inner(
    folder: Path, program: str, workers: int, **environment: str
) -> tuple[list[str], dict[str, str]]:
    """Return the command of a run of tests in a session of its own, and its environment."""
    file = folder / "test_inner.py"
    file.write_text(program)
    options = ["-q", "-p", "conftest", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    if workers:
        options += [f"--numprocesses={workers}", "--dist=loadfile"]
    command = [sys.executable, "-m", "pytest", *options, "-c", os.devnull, str(file)]
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != SESSION and not name.startswith("PYTEST_XDIST")
    }
    return command, kept | {"PYTHONPATH": str(TESTS), **environment}


@pytest.mark.slow
@WORKERS
def test_what_a_test_leaves_behind_fails_the_session_and_is_ended(
    tmp_path: Path, workers: int
) -> None:
    command, environment = inner(tmp_path, LEAVING, workers)
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    [line] = [line for line in done.stdout.splitlines() if "left behind" in line]
    pid = int(line.partition("left behind: ")[2].split()[0])
    assert "sleep 300" in line
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
@WORKERS
def test_a_run_ends_with_what_it_started_when_make_is_killed(tmp_path: Path, workers: int) -> None:
    """As the Makefile starts it: a child of make, which says that it ends with make."""
    identity = uuid.uuid4().hex
    command, environment = inner(tmp_path, HANGING, workers, TEXTMOD_END_WITH_PARENT="1")
    mark = "TEXTMOD_TEST_OF_A_SESSION"
    make = ["/bin/sh", "-c", '"$@" & wait', "sh", *command]

    def sleeps(identity: str) -> bool:
        found = (psutil.Process(pid) for pid in marked(identity, mark))
        with contextlib.suppress(psutil.Error):
            return any(process.name() == "sleep" for process in found)
        return False

    with subprocess.Popen(
        make, env=environment | {mark: identity}, stdout=subprocess.DEVNULL
    ) as parent:
        wait_until(lambda: sleeps(identity), "the test ran", timeout=60)
        parent.kill()
    wait_until(lambda: marked(identity, mark) == [], "everything had ended", timeout=30)


def test_a_process_that_just_executes_its_program_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the kernel has written the new program's environment, /proc shows an empty one."""
    processes = {name: tmp_path / name for name in ("7", "8", "9")}
    for folder in processes.values():
        folder.mkdir()
        (folder / "environ").touch()
    (processes["7"] / "exe").symlink_to("/bin/sleep")
    (processes["8"] / "exe").symlink_to("/bin/sleep")  # without an environment for good

    def executed(_seconds: float) -> None:
        (processes["7"] / "environ").write_bytes(b"A=1\0MARK=me\0")

    monkeypatch.setattr(guardian, "Path", lambda _path: tmp_path)
    monkeypatch.setattr(guardian.time, "sleep", executed)
    assert marked("me", "MARK") == [7]
