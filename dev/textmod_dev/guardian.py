"""Ends every process that carries a marker once the process that started them is gone.

Run as ``python -m textmod_dev.guardian IDENTITY [MARKER]`` with a pipe as standard input: reading
it to its end means that the other side was closed, which the kernel does for a process however it
dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

MARKER = "TEXTMOD_LOCAL_CLUSTER"
"""The environment variable that the processes of a local cluster carry."""
SESSION = "TEXTMOD_TEST_SESSION"
"""The same for all that a run of tests has started, by whatever means."""


def marked(identity: str, marker: str = MARKER) -> list[int]:
    """Process ids whose environment holds the marker with this identity, never this one's own."""
    wanted = f"{marker}={identity}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        # A process may end meanwhile, or be another user's: neither is ours to end.
        with contextlib.suppress(OSError):
            if wanted in _environment(entry).split(b"\0"):
                found.append(int(entry.name))
    return found


_LOOKS = 5
"""At an environment that is empty, 10 ms apart."""


def _environment(process: Path) -> bytes:
    """Read the environment of a process, given its folder in /proc.

    The environment is empty for a moment while the process executes another program, even after
    its parent has learned of the success.

    Raises:
        OSError: the process has ended, is the kernel's, or belongs to another user.
    """
    for _ in range(_LOOKS):
        if found := (process / "environ").read_bytes():
            return found
        (process / "exe").readlink()  # only what runs a program has one
        time.sleep(0.01)
    return b""


def end_marked(identity: str, timeout: float = 20, marker: str = MARKER) -> int:
    """SIGKILL to all that carry the marker, until none is left; returns how many there were."""
    ended: set[int] = set()
    deadline = time.monotonic() + timeout
    while (pids := marked(identity, marker)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended.update(pids)
        time.sleep(0.05)
    return len(ended)


def runs(pid: int) -> bool:
    """Whether a process has not ended yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # a zombie has ended: its parent has yet to wait for it


def start(identity: str, marker: str = MARKER) -> subprocess.Popen[bytes]:
    """Start a guardian. It acts when its standard input is closed or this process ends.

    It carries no marker itself, so that no other guardian ends it before its work is done.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "textmod_dev.guardian", identity, marker],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # a terminal's Ctrl-C is not for it
        env={name: value for name, value in os.environ.items() if name not in {MARKER, SESSION}},
    )


def clean_up(identity: str) -> int:
    """Ends all that carry the marker and removes their cgroups; returns how many they were."""
    from textmod_dev.process_node.cpu import remove_groups

    ended = end_marked(identity)
    remove_groups(identity)
    return ended


def main() -> int:
    """Waits for the end of standard input, then cleans up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    identity, marker = (*sys.argv[1:], MARKER)[:2]
    if marker == MARKER:
        clean_up(identity)
    else:
        end_marked(identity, marker=marker)
    return 0


if __name__ == "__main__":
    sys.exit(main())
