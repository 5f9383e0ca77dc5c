"""Memory and time of the worst texts: a real worker, the default limit of 512 MiB, 64 MiB topics.

    python bench/limits/memory.py [--sizes 1 8 64] [--copies 3]

For each size and kind of text a worker of its own gets copies of one message. `vmhwm_mib` is the
most that the process ever had resident, and what the process that scores for calls has of its own;
`slowest_text_seconds_per_mib` the CPU time of the worst text that was scored, not refused, for each
MiB. Size "largest" is nine tenths of the largest that is scored, which depends on the memory that a
process has at its start.
"""

import argparse
import random
import string
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from lane import BROKER, LIMIT, MIB, Lane, merge, own_mib, train

from textmod_dev.kafka_broker import KafkaBroker


def _words(size: int) -> str:
    source = random.Random(0)  # noqa: S311 - the same words in every run
    return " ".join("".join(source.choices(string.ascii_lowercase, k=7)) for _ in range(size // 8))


def _disguises(size: int) -> str:
    source = random.Random(0)  # noqa: S311 - the same words in every run
    letters = "a\u0430e\u0435o\u043e1@3$.-*_"
    words = " ".join("".join(source.choices(letters, k=7)) for _ in range(size // 8))
    return words.encode()[:size].decode(errors="ignore")


KINDS: dict[str, Callable[[int], str]] = {
    "quotes": lambda size: '"' * size,
    "digits": lambda size: "7" * size,
    "marks": lambda size: "!?.," * (size // 4),
    "apostrophes": lambda size: "'" * size,
    "words": _words,
    "letters": lambda size: "a " * (size // 2),
    "disguises": _disguises,
}


def measure(bootstrap: str, model: Path, text: str, copies: int) -> tuple[float, float, str]:
    """(VmHWM in MiB, CPU seconds a text, what became of it)."""
    lane = Lane(bootstrap, model)
    with lane.worker() as worker:
        process = psutil.Process(worker.pid)
        lane.send(b"a first one")
        lane.read()
        time.sleep(2)  # REST and gRPC come up behind it
        before = sum(process.cpu_times()[:2])
        for _ in range(copies):
            lane.send(text.encode())
        outcomes = set()
        for _ in range(copies):
            headers = dict(lane.read().headers() or [])
            outcomes.add(headers.get("textmod.error.reason", b"verdict").decode())
        took = (sum(process.cpu_times()[:2]) - before) / copies
        status = Path(f"/proc/{worker.pid}/status").read_text()
        beside = own_mib(worker.pid)
    lane.consumer.close()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024 + beside, took, "+".join(sorted(outcomes))


def largest_scored(bootstrap: str, model: Path) -> int:
    """What the worker says of a message that is too large for its limit."""
    lane = Lane(bootstrap, model)
    with lane.worker():
        lane.send(b"a" * (64 * MIB - 1000))
        sentence = dict(lane.read().headers() or [])["textmod.error.message"].decode()
    lane.consumer.close()
    return int(sentence.split("more than the ")[1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--model", type=Path, help="a packaged model; trained if left out")
    args = parser.parse_args()
    peaks: dict[str, dict[str, float]] = {}
    outcomes: dict[str, dict[str, str]] = {}
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = args.model or train(folder)
        with KafkaBroker(folder / "kafka", properties=BROKER) as broker:
            most = largest_scored(broker.bootstrap_servers, model)
            sizes = {"largest": most * 9 // 10} | {
                f"{size}": size * MIB - 1000 for size in args.sizes
            }
            for label, size in sizes.items():
                for kind, make in KINDS.items():
                    text = make(size)
                    peak, took, outcome = measure(
                        broker.bootstrap_servers, model, text, args.copies
                    )
                    peaks.setdefault(label, {})[kind] = round(peak, 1)
                    outcomes.setdefault(label, {})[kind] = outcome
                    if outcome == "verdict":
                        slowest = max(slowest, took * MIB / len(text.encode()))
                    print(
                        f"{label:8} {kind:12} {peak:7.1f} MiB {took:6.2f} s {outcome}", flush=True
                    )
    merge(
        {
            "memory_limit": LIMIT,
            "largest_scored_bytes": most,
            "vmhwm_mib": peaks,
            "text_outcomes": outcomes,
            "slowest_text_seconds_per_mib": round(slowest, 3),
        }
    )


if __name__ == "__main__":
    main()
