"""A Docker engine: the one that is there, or a private dockerd for as long as it is needed.

The private one has its images in the cache, so that a second run builds nothing; its socket, its
log and its process are this run's, and `guardian` takes them down however the run ends. Nothing of
an engine that was there before is touched but what these tools make in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from textmod_dev.build import kind_tool
from textmod_dev.errors import LocalClusterError
from textmod_dev.kind.guardian import Task
from textmod_dev.paths import cache_dir
from textmod_dev.processes import wait_until
from textmod_dev.progress import Progress

DAEMON_NEEDS = ("dockerd", "docker", "iptables", "ip")
PULL_SECONDS = 600
REGISTRY_SECONDS = 20
KEPT_UNNAMED = "72h"
LOCK_SECONDS = 90  # what the guardian of a run that was killed may need
FORWARDING = "/proc/sys/net/ipv4/ip_forward"
# The tables that dockerd writes to, as they are when nobody has; restoring a table empties it.
EMPTY_TABLES = {
    "*filter": ":INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n",
    "*nat": ":PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n",
}


class NoEngineError(LocalClusterError):
    """This machine has no Docker engine and cannot start one: the reason to skip, not to fail."""


class Engine:
    """Use as a context manager: ``with Engine(progress) as engine: engine.run("ps")``.

    Args:
        private: start a dockerd even when an engine is there.
    """

    def __init__(self, progress: Progress, *, private: bool = False) -> None:
        self._progress = progress
        self._private = private
        self._can_pull: bool | None = None
        self._task = Task()
        self._daemon: subprocess.Popen[bytes] | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        start = self._private or not _answers(os.environ)
        with contextlib.ExitStack() as stack:
            lock = None
            if start:
                _can_start()
                lock = stack.enter_context(_alone(cache_dir() / "docker.lock"))
            self._folder = Path(
                tempfile.mkdtemp(prefix="textmod-docker-")
            )  # goes with the guardian
            self._file = self._folder / "task.json"
            stack.callback(self._reap)
            self._guard(stack, lock)
            if start:
                self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which docker and kind find this engine."""
        host = {"DOCKER_HOST": self._task.docker_host} if self._task.docker_host else {}
        # Engines without the buildx plugin know the classic builder only.
        builder = {} if self._has_buildx() else {"DOCKER_BUILDKIT": "0"}
        return {**os.environ, **builder, **host}

    def run(self, *arguments: str, stdin: str | None = None, timeout: float | None = None) -> str:
        """Runs docker; returns what it printed.

        Raises:
            LocalClusterError: it failed; the message ends with docker's own last line.
        """
        try:
            done = subprocess.run(
                ["docker", *arguments],
                env=self.environment, input=stdin, timeout=timeout,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise LocalClusterError(
                f"docker {arguments[0]} did not end within {timeout:.0f} s."
            ) from None
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no reason given"]
            raise LocalClusterError(f"docker {' '.join(arguments[:3])}: {lines[-1]}")
        return done.stdout

    def has(self, image: str) -> bool:
        """Whether the engine holds the image."""
        with contextlib.suppress(LocalClusterError):
            self.run("image", "inspect", image)
            return True
        return False

    def inspect(self, image: str) -> dict[str, Any]:
        """What the engine knows of an image; sizes in bytes."""
        return dict(json.loads(self.run("image", "inspect", image))[0])

    def pull(self, image: str) -> bool:
        """Pulls an image if its registry can be reached; whether the engine has it now.

        After the first registry that cannot be, no other is tried.
        """
        if self.has(image):
            return True
        if self._can_pull is None:
            self._can_pull = self._tries(REGISTRY_SECONDS, "manifest", "inspect", image)
            if not self._can_pull:
                self._progress.step("No image registry can be reached: building from packages")
        return self._can_pull and self._tries(PULL_SECONDS, "pull", "--quiet", image)

    def take_down_cluster(self, name: str) -> None:
        """Has the guardian remove a kind cluster at the end, however that comes."""
        self._task.clusters.append(name)
        self._task.write(self._file)

    def _tries(self, seconds: float, *arguments: str) -> bool:
        """Whether docker succeeds. Some networks answer for any host and let a client hang."""
        with contextlib.suppress(LocalClusterError):
            self.run(*arguments, timeout=seconds)
            return True
        return False

    def _has_buildx(self) -> bool:
        found = subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False)
        return found.returncode == 0

    def _start(self) -> None:
        self._progress.step("Starting a private dockerd")
        self._task.docker_host = f"unix://{self._folder}/docker.sock"
        self._task.iptables = _rules()
        self._task.sysctls = {FORWARDING: Path(FORWARDING).read_text()}
        self._task.interfaces = [path.name for path in Path("/sys/class/net").iterdir()]
        log = self._folder / "dockerd.log"
        with log.open("wb") as output:
            daemon = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self._daemon = daemon
        self._task.dockerd = daemon.pid
        self._task.write(self._file)
        try:
            wait_until(
                lambda: daemon.poll() is not None or _answers(self.environment),
                "dockerd answered",
            )
        except LocalClusterError as error:
            raise NoEngineError(f"dockerd does not answer: {_reason(log)}") from error
        if daemon.returncode is not None:
            raise NoEngineError(f"dockerd does not run on this machine: {_reason(log)}")
        # Images that builds have left without a name serve the next build, but not for ever.
        self.run("image", "prune", "--force", f"--filter=until={KEPT_UNNAMED}")

    def _command(self) -> list[str]:
        assert self._task.docker_host is not None  # noqa: S101 - set just before
        command = [
            "dockerd",
            f"--data-root={cache_dir() / 'docker'}",
            f"--exec-root={self._folder / 'exec'}",
            f"--pidfile={self._folder / 'docker.pid'}",
            f"--host={self._task.docker_host}",
            f"--mtu={_mtu()}",  # kind copies the default bridge's
        ]
        if _capabilities_are_bounded():
            # `--privileged`, which kind's node has, asks for every capability, and runc fails when
            # the machine cannot grant one of them.
            bounded = kind_tool("runc-bounded", self._progress)
            command += [f"--add-runtime=bounded={bounded}", "--default-runtime=bounded"]
        return command

    def _reap(self) -> None:
        """Takes note of dockerd's end, which the guardian has brought about."""
        if self._daemon is not None:
            self._daemon.wait()

    def _guard(self, stack: contextlib.ExitStack, lock: int | None = None) -> None:
        """Starts the guardian; the stack's end tells it to clean up, and waits for that."""
        self._task.write(self._file)
        guardian = subprocess.Popen(
            [sys.executable, "-m", "textmod_dev.kind.guardian", str(self._file)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is not for it
            pass_fds=[] if lock is None else [lock],  # held until all is down
        )
        assert guardian.stdin is not None  # noqa: S101 - asked for with PIPE
        stack.callback(guardian.wait)
        stack.callback(guardian.stdin.close)


def _can_start() -> None:
    if os.geteuid() != 0:
        raise NoEngineError("No Docker engine answers, and only root can start one.")
    missing = [command for command in DAEMON_NEEDS if shutil.which(command) is None]
    if missing:
        raise NoEngineError(
            f"No Docker engine answers, and {', '.join(missing)} is not installed "
            "(Debian: apt-get install docker.io iptables iproute2)."
        )


def _answers(environment: Mapping[str, str]) -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(
            ["docker", "version"], env=environment, capture_output=True, check=False, timeout=10
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


@contextlib.contextmanager
def _alone(file: Path) -> Any:  # noqa: ANN401 - a context manager's own type
    """Holds a lock for as long as any process has what this yields, its file descriptor."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            wait_until(lambda: _locked(lock), "the lock was free", timeout=LOCK_SECONDS)
        except LocalClusterError:
            raise LocalClusterError(
                f"Another run holds {file}: wait for its end, or set TEXTMOD_CACHE to a folder of "
                "your own."
            ) from None
        os.set_inheritable(lock.fileno(), True)
        yield lock.fileno()


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _capabilities_are_bounded() -> bool:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    lines = Path("/proc/self/status").read_text().splitlines()
    bounding = next(line.split()[1] for line in lines if line.startswith("CapBnd:"))
    return int(bounding, 16) != (1 << (last + 1)) - 1


def _mtu() -> int:
    """The smallest of this machine's interfaces that lead out, less room for a tunnel."""
    sizes = [
        int((interface / "mtu").read_text())
        for interface in Path("/sys/class/net").iterdir()
        if interface.name != "lo" and (interface / "mtu").exists()
    ]
    return min([1500, *sizes])


def _rules() -> dict[str, str]:
    """The packet filter's rules now, for the guardian to restore: dockerd leaves its own behind."""
    saved = {}
    for save in ("iptables-save", "ip6tables-save"):
        with contextlib.suppress(OSError):
            done = subprocess.run([save], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                empty = [
                    f"{table}\n{chains}COMMIT\n"
                    for table, chains in EMPTY_TABLES.items()
                    if table not in done.stdout.splitlines()
                ]
                saved[save.replace("save", "restore")] = "".join([done.stdout, *empty])
    return saved


def _reason(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason."


def build_arguments(arguments: Mapping[str, str]) -> Sequence[str]:
    """``--build-arg`` options of docker build."""
    return [f"--build-arg={name}={value}" for name, value in arguments.items()]
