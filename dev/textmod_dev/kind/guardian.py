"""Takes down the kind cluster and the private dockerd once the process that wanted them is gone.

Run as ``python -m textmod_dev.kind.guardian FILE`` with a pipe as standard input. The file holds
one JSON object, a `Task`, rewritten whenever something more is to be taken down; its folder goes
last. Reading the pipe to its end means that the other side was closed, which the kernel does for a
process however it dies; so a clean end and SIGKILL are cleaned up by the same code.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from textmod_dev.guardian import runs

STOP_SECONDS = 30


@dataclass
class Task:
    """What is to be taken down, in this order."""

    docker_host: str | None = None
    clusters: list[str] = field(default_factory=list)
    """Names of kind clusters: containers that carry kind's label with one of them."""
    dockerd: int | None = None
    """Process id of the dockerd that was started for this run; None: an engine was there."""
    interfaces: list[str] | None = None
    """Network interfaces from before dockerd came: its bridges, which it leaves behind, go. None:
    nobody looked, so all stay."""
    iptables: dict[str, str] = field(default_factory=dict)
    """Command (iptables-restore, ip6tables-restore) -> the rules from before dockerd came."""
    sysctls: dict[str, str] = field(default_factory=dict)
    """File below /proc/sys -> what it held before dockerd came."""

    def write(self, file: Path) -> None:
        """Replaces the file in one step, so that it is never half of it."""
        new = file.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)))
        new.replace(file)

    @classmethod
    def read(cls, file: Path) -> Task:
        """What `write` wrote."""
        return cls(**json.loads(file.read_text()))


def clean_up(task: Task) -> None:
    """Takes all of it down; what is gone already is no error."""
    for cluster in task.clusters:
        _remove_containers(task, cluster)
    if task.dockerd is None:
        return
    _stop(task.dockerd)
    for bridge in _bridges(Path("/sys/class/net")):
        if task.interfaces is not None and bridge not in task.interfaces:
            _quietly("ip", "link", "delete", bridge)
    for restore, rules in task.iptables.items():
        _quietly(restore, stdin=rules)
    for file, value in task.sysctls.items():
        with contextlib.suppress(OSError):
            Path(file).write_text(value)


def _bridges(interfaces: Path) -> list[str]:
    """Those that bear a name such as dockerd gives: docker0, and br-… for each network."""
    found = (path.parent.name for path in interfaces.glob("*/bridge"))
    return [name for name in found if name == "docker0" or name.startswith("br-")]


def _remove_containers(task: Task, cluster: str) -> None:
    environment = os.environ | ({"DOCKER_HOST": task.docker_host} if task.docker_host else {})
    label = f"label=io.x-k8s.kind.cluster={cluster}"
    found = _quietly("docker", "ps", "--all", "--quiet", "--filter", label, env=environment)
    if found.strip():
        _quietly("docker", "rm", "--force", "--volumes", *found.split(), env=environment)


def _stop(pid: int) -> None:
    """SIGTERM, at which dockerd ends its containers and its containerd; SIGKILL when it hangs."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while runs(pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        if runs(pid):
            os.killpg(pid, signal.SIGKILL)


def _quietly(*command: str, stdin: str = "", env: dict[str, str] | None = None) -> str:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            command, input=stdin, env=env, capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout
    return ""


def main() -> int:
    """Waits for the end of standard input, then cleans up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    file = Path(sys.argv[1])
    clean_up(Task.read(file))
    for mount in _mounts(file.parent):  # dockerd leaves a network namespace mounted
        _quietly("umount", mount)
    shutil.rmtree(file.parent, ignore_errors=True)
    return 0


def _mounts(folder: Path) -> list[str]:
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [point for point in points if Path(point).is_relative_to(folder)]


if __name__ == "__main__":
    sys.exit(main())
