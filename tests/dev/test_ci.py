"""`.ci/run` says what it skips, and fails when anything that it runs fails."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / ".ci" / "run"


@pytest.fixture
def ci(tmp_path):
    """Runs it with stand-ins for every command that it calls, which note that they were called."""

    def run(**commands: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        asked = tmp_path / "asked"
        asked.write_text("")
        there = ("make", "java", "mvn", "go", "promtool", "docker", "id", "apt-get")
        for name in there:
            program = tmp_path / name
            script = commands.get(name.replace("-", "_"), "true")
            program.write_text(f'#!/bin/sh\necho "{name} $*" >>{asked}\n{script}\n')
            program.chmod(0o755)
        done = subprocess.run(
            [RUN], capture_output=True, text=True, check=False,
            env=os.environ | {"PATH": f"{tmp_path}:/usr/bin:/bin"},
        )  # fmt: skip
        return done, asked.read_text().splitlines()

    return run


def test_both_run_where_an_engine_answers(ci):
    done, asked = ci()
    assert done.returncode == 0
    assert [line for line in asked if line.startswith("make")] == ["make test", "make e2e"]


def test_without_an_engine_it_skips_and_says_so(ci):
    done, asked = ci(docker="exit 1", id="echo 1000")
    assert done.returncode == 0
    assert "skipped the end-to-end test: no Docker engine answers, and only root" in done.stdout
    assert "make e2e" not in asked


def test_where_nothing_can_be_installed_it_skips_and_says_so(ci):
    done, asked = ci(docker="exit 1", id="echo 0", apt_get="exit 1")
    if "docker.io could not be installed" not in done.stdout:
        assert "make e2e" in asked  # this machine has all of it already
    assert done.returncode == 0


@pytest.mark.parametrize("failing", ["test", "e2e"])
def test_a_failure_is_a_failure(ci, failing):
    done, asked = ci(make=f'[ "$1" != {failing} ]')
    assert done.returncode != 0
    assert asked[-1] == f"make {failing}"
