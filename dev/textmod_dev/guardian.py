"""Ends every process that carries a marker once the process that started them is gone.

Run as ``python -m textmod_dev.guardian IDENTITY`` with a pipe as standard input: reading it to its
end means that the other side was closed, which the kernel does for a process however it dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

MARKER = "TEXTMOD_LOCAL_CLUSTER"


def marked(identity: str) -> list[int]:
    """Process ids whose environment holds the marker with this identity, never this one's own."""
    wanted = f"{MARKER}={identity}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        # A process may end meanwhile, or be another user's: neither is ours to end.
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def end_marked(identity: str, timeout: float = 20) -> int:
    """SIGKILL to all that carry the marker, until none is left; returns how many there were."""
    ended: set[int] = set()
    deadline = time.monotonic() + timeout
    while (pids := marked(identity)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended.update(pids)
        time.sleep(0.05)
    return len(ended)


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
    clean_up(sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
