"""CPU of containers: how much they used, and no more than their limit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
PERIOD_SECONDS = 0.1  # of throttling: the kernel's and the kubelet's default


@dataclass(frozen=True)
class Usage:
    """CPU seconds since the start, resident bytes, and when that was (monotonic)."""

    cpu_seconds: float
    resident_bytes: int
    at: float


def usage_by_session() -> dict[int, Usage]:
    """The usage of every session on this machine, from one pass over /proc.

    A container is a session, its leader the container's first process, so its children count too;
    those that it has waited for are in its own figures.
    """
    sums: dict[int, tuple[int, int]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            stat = Path(entry.path, "stat").read_text()
        except OSError:  # it ended meanwhile
            continue
        # The second field, the command, may hold anything but ends with the last parenthesis.
        fields = stat[stat.rindex(")") + 2 :].split()
        session = int(fields[3])
        ticks, pages = sums.get(session, (0, 0))
        sums[session] = (ticks + sum(map(int, fields[11:15])), pages + int(fields[21]))
    now = time.monotonic()
    return {
        session: Usage(ticks / _TICKS, pages * _PAGE, now)
        for session, (ticks, pages) in sums.items()
    }


class Meter:
    """CPU rates over a sliding window, for every session that is asked about."""

    def __init__(self, window_seconds: float = 15, every_seconds: float = 5) -> None:
        self.window = window_seconds
        self._every = every_seconds
        self._samples: deque[dict[int, Usage]] = deque()

    async def run(self) -> None:
        """Samples for ever."""
        while True:
            self._samples.append(usage_by_session())
            while len(self._samples) > self.window / self._every + 1:
                self._samples.popleft()
            await asyncio.sleep(self._every)

    def rate(self, session: int) -> tuple[float, int, float] | None:
        """(cores, resident bytes, window seconds), or None until it has been seen twice."""
        seen = [sample[session] for sample in self._samples if session in sample]
        if len(seen) < 2:
            return None
        first, last = seen[0], seen[-1]
        cores = (last.cpu_seconds - first.cpu_seconds) / (last.at - first.at)
        return max(0.0, cores), last.resident_bytes, last.at - first.at


class CpuLimits:
    """Keeps each container within its ``limits.cpu``.

    By a cgroup's quota (version 1 or 2) where one can be made, as a kubelet does; otherwise by
    stopping the container's processes for the rest of each period, which is coarser: an idle
    process waits too, and one with many threads still uses many cores in its share of the time.
    """

    def __init__(self, identity: str, mount: Path = Path("/sys/fs/cgroup")) -> None:
        self._parent = _cgroup_parent(mount, _group_name(identity))
        self._groups: dict[int, Path] = {}
        self._stopping: dict[int, asyncio.Task[None]] = {}
        if self._parent is None:
            log.info("no cpu cgroup can be made here: CPU limits stop and continue processes")

    def apply(self, session: int, cores: float) -> None:
        """Limits a container that has just started."""
        if self._parent is not None:
            try:
                self._groups[session] = _limited_group(self._parent, session, cores)
            except OSError as error:
                log.warning("cgroup of %d: %s; stopping and continuing it instead", session, error)
            else:
                return
        if cores < 1:
            self._stopping[session] = asyncio.create_task(_duty_cycle(session, cores))

    def forget(self, session: int) -> None:
        """Call once the container has ended."""
        if task := self._stopping.pop(session, None):
            task.cancel()
        if group := self._groups.pop(session, None):
            with contextlib.suppress(
                OSError
            ):  # a process of it still ends; `remove_groups` comes after
                group.rmdir()


def remove_groups(identity: str, mount: Path = Path("/sys/fs/cgroup")) -> None:
    """Removes what `CpuLimits` made, once all processes of the cluster have ended."""
    name = _group_name(identity)
    for parent in (mount / "cpu" / name, mount / name):
        if parent.is_dir():
            for group in [*filter(Path.is_dir, parent.iterdir()), parent]:
                with contextlib.suppress(OSError):  # the last of its processes still ends
                    group.rmdir()


def _group_name(identity: str) -> str:
    return f"textmod-{identity[:12]}"


def _cgroup_parent(mount: Path, name: str) -> Path | None:
    """A new group for all containers, or None where this user can make none with a CPU quota."""
    try:
        if (mount / "cpu" / "cpu.cfs_quota_us").exists() or (mount / "cpu").is_dir():
            parent = mount / "cpu" / name
            parent.mkdir(exist_ok=True)
            if (parent / "cpu.cfs_quota_us").exists():
                return parent
        elif "cpu" in (mount / "cgroup.controllers").read_text().split():
            parent = mount / name
            parent.mkdir(exist_ok=True)
            (parent / "cgroup.subtree_control").write_text("+cpu")
            return parent
    except OSError:
        pass
    return None


def _limited_group(parent: Path, session: int, cores: float) -> Path:
    group = parent / str(session)
    group.mkdir(exist_ok=True)
    period = int(PERIOD_SECONDS * 1_000_000)
    quota = max(1000, int(cores * period))  # the kernel's least quota is one millisecond
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text(f"{quota} {period}")
    else:
        (group / "cpu.cfs_period_us").write_text(str(period))
        (group / "cpu.cfs_quota_us").write_text(str(quota))
    (group / "cgroup.procs").write_text(str(session))
    return group


async def _duty_cycle(session: int, cores: float) -> None:
    try:
        while True:
            await asyncio.sleep(PERIOD_SECONDS * cores)
            os.killpg(session, signal.SIGSTOP)
            await asyncio.sleep(PERIOD_SECONDS * (1 - cores))
            os.killpg(session, signal.SIGCONT)
    except ProcessLookupError:
        return
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session, signal.SIGCONT)
