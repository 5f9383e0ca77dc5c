"""What fits into the container's memory limit: the largest message that is decoded and scored.

A larger one becomes a dead letter (or 413) before anything is made of it. What is handed over
whole, value and dead letter, takes a few times its size; scoring may take hundreds of times.

And how long scoring may take on the container's share of the CPU: whoever waits for it, such as the
liveness probe, must not end a process that is only slow. It would read the same message again.
"""

import contextlib
import ctypes
import math
import resource
from pathlib import Path
from typing import Final

from textmod_model.settings import Settings

MIB = 1 << 20

SCORING_BYTES = 512
"""Memory that scoring takes per byte of a text, of the worst kind known: apostrophes take 421
(1 MiB of them, recipe seed), words of seven letters 21, most others less than 10."""

SCORING_SECONDS: Final = 60.0
"""CPU time of scoring a mebibyte of the worst kind known: words of random letters of two scripts,
digits and signs, each of which is looked for in its disguise (38 to 51 s, recipe default). What
people write takes about one."""

UNLIMITED_CORES: Final = 0.25
"""What a container without a CPU limit has at least: half of what pods request by default."""

MEMO_BYTES = 24 * MIB
"""What the memo of chunks grows by (100,000 of about 200 bytes)."""

QUEUE_BYTES = 24 * MIB
"""librdkafka's consumer queue and one fetch (see `kafka_config`); the rest of it is small."""

CALLS_BYTES = 48 * MIB
"""What a process that scores for calls takes: it shares what is loaded, and has 40 MiB of its own
after the worst bodies (measured, recipe default)."""

REVIEW_BYTES = 32 * MIB
"""Texts of review requests on their way: of 32 batches, the most that wait to be written, if every
text is chosen."""

SPARE_BYTES = 32 * MIB
"""Fragmentation, connections, a scrape."""

LARGEST_VALUE = 64 * MIB
SMALLEST_VALUE = 64 * 1024
"""Scored even under a limit that leaves no room for it: a comment has to fit."""

ARENAS: Final = 2
"""Heaps of the C library, each of which keeps what was freed in it. It makes one for nearly every
thread, 16 on two cores; the clients of Kafka have a dozen threads and exchange them when brokers
come and go, so that a worker grew by 40 to 60 MiB within minutes."""
_M_ARENA_MAX: Final = -8
"""glibc's malloc.h."""

CGROUP_FILES = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
NO_LIMIT = 1 << 60
"""cgroup v1 says a number near 2**63 where there is no limit."""


def limit_arenas() -> None:
    """Let threads share a few heaps; call it before there are any. Another C library than glibc is
    left as it is."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


def largest_value(settings: Settings, *, calls_apart: bool = False) -> int:
    """Return the bytes of the largest message to score; call it once the model is loaded.

    With `calls_apart` there is a process that scores for calls.
    """
    limit = settings.memory_limit or cgroup_limit()
    if limit is None:
        return LARGEST_VALUE
    resident = peak_resident()
    more = calls_apart * CALLS_BYTES + bool(settings.review_topic) * REVIEW_BYTES
    return largest_within(limit, resident + more)


def scoring_seconds(size: int, cores: float) -> float:
    """Return the longest that scoring values of so many bytes may take.

    Args:
        size: bytes of all values.
        cores: the CPU limit; infinite: there is none. Scoring uses no more than one.
    """
    share = UNLIMITED_CORES if cores == math.inf else min(1.0, cores)
    return size / MIB * SCORING_SECONDS / share


def peak_resident(status: Path = Path("/proc/self/status")) -> int:
    """Return the most memory that this process ever had resident, in bytes.

    Not `ru_maxrss` where the kernel says better: that begins with the peak of the parent.
    """
    try:
        lines = status.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def largest_within(limit: int, resident: int) -> int:
    """Return the same for a limit and a process's memory before its first text, both in bytes."""
    room = limit - resident - MEMO_BYTES - QUEUE_BYTES - SPARE_BYTES
    return max(SMALLEST_VALUE, min(LARGEST_VALUE, room // SCORING_BYTES))


def cgroup_limit(files: tuple[Path, ...] = CGROUP_FILES) -> int | None:
    """Return the memory limit of this process's control group in bytes; None if there is none."""
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < NO_LIMIT:
            return int(text)
    return None
