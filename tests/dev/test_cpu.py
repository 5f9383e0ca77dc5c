"""CPU of containers: limits in cgroups of both versions, and without; usage by session."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from textmod_dev.images import ImageTable
from textmod_dev.process_node.cpu import CpuLimits, Meter, usage_by_session


def test_a_quota_of_cgroup_version_1(tmp_path):
    parent = tmp_path / "cpu" / "textmod-abcdef"
    parent.mkdir(parents=True)
    (parent / "cpu.cfs_quota_us").touch()  # as the kernel does for each new group
    limits = CpuLimits("abcdef", tmp_path)
    limits.apply(42, 0.25)
    group = parent / "42"
    assert (group / "cpu.cfs_period_us").read_text() == "100000"
    assert (group / "cpu.cfs_quota_us").read_text() == "25000"
    assert (group / "cgroup.procs").read_text() == "42"


def test_a_quota_of_cgroup_version_2(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    group = tmp_path / "textmod-abcdef" / "42"
    group.mkdir(parents=True)
    (group / "cpu.max").touch()
    limits = CpuLimits("abcdef", tmp_path)
    assert (tmp_path / "textmod-abcdef" / "cgroup.subtree_control").read_text() == "+cpu"
    limits.apply(42, 1.5)
    assert (group / "cpu.max").read_text() == "150000 100000"
    assert (group / "cgroup.procs").read_text() == "42"


@pytest.fixture
def burning():
    with subprocess.Popen(
        [sys.executable, "-c", "while True: pass"], start_new_session=True
    ) as process:
        yield process.pid
        process.kill()


def cores(session, seconds):
    before = usage_by_session()[session]
    time.sleep(seconds)
    after = usage_by_session()[session]
    return (after.cpu_seconds - before.cpu_seconds) / (after.at - before.at)


@pytest.mark.slow
def test_without_cgroups_the_processes_stop_and_go_on(tmp_path, burning):
    async def measure():
        limits = CpuLimits("abcdef", tmp_path)  # an empty folder: no cgroups here
        limits.apply(burning, 0.2)
        try:
            return await asyncio.to_thread(cores, burning, 2.0)
        finally:
            limits.forget(burning)

    assert 0 < asyncio.run(measure()) < 0.4  # a busy machine gives it less than its limit


@pytest.mark.slow
def test_usage_counts_children(tmp_path):
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    with subprocess.Popen([sys.executable, "-c", program], start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 20
            while usage_by_session()[process.pid].cpu_seconds < 0.5:
                assert time.monotonic() < deadline, "the child's CPU was not counted"
                time.sleep(0.1)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_rate_needs_two_samples(burning):
    async def sample(meter, seconds):
        task = asyncio.create_task(meter.run())
        await asyncio.sleep(seconds)
        task.cancel()

    meter = Meter(window_seconds=2, every_seconds=0.2)
    asyncio.run(sample(meter, 0.1))
    assert meter.rate(burning) is None
    asyncio.run(sample(meter, 1))
    measured, memory, window = meter.rate(burning)
    assert 0 < measured < 1.1
    assert memory > 1_000_000
    assert 0.2 < window < 2.5


def test_images_are_added_changed_and_taken_away(tmp_path):
    table = ImageTable(tmp_path / "images.json")
    assert table.get("a:1") is None
    table.set("a:1", ["run"], {"X": "1"}, use_args=True)
    table.set("a:2", ["other"])
    table.set("a:2", ["another"])
    assert table.get("a:1").env == {"X": "1"}
    assert table.get("a:1").use_args is True
    assert table.get("a:2").command == ("another",)
    assert table.names() == ["a:1", "a:2"]
    table.remove("a:1")
    assert ImageTable(tmp_path / "images.json").get("a:1") is None
    assert table.names() == ["a:2"]
