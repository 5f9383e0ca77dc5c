"""Add up a soak, and write it as tables. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Final

from faults.growth import Growth, Sample, judge
from faults.report import line, shown
from faults.rows import Row
from faults.sampling import GroupSample

SOAK_BEGIN: Final = "<!-- soak: python -m faults.soak writes this -->"
SOAK_END: Final = "<!-- end of the soak -->"
COUNTS: Final = (
    "messages", "lost", "order_breaks", "altered", "invented", "ahead", "requests", "unreviewed",
)  # fmt: skip
BARS: Final = "▁▂▃▄▅▆▇█"
WIDTH: Final = 40
"""Characters of a plot."""


def figures(
    pieces: Mapping[str, Sequence[Row]],
    groups: Mapping[str, Sequence[GroupSample]],
    samples: Mapping[str, Sequence[Sample]],
    *,
    faults: Sequence[str],
    failures: Sequence[str],
    ended: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the figures of a soak; `pieces` and `groups` are by delivery, `samples` by worker."""
    rows = [row for each in pieces.values() for row in each]
    exactly = pieces.get("ExactlyOnce", [])
    growths = {name: judge(seen) for name, seen in samples.items() if seen}
    lives = [_life(name, growth, samples[name]) for name, growth in growths.items()]
    lives.sort(key=lambda life: -life["minutes"])
    recoveries = [row["recovery_seconds"] for row in rows if row["recovery_seconds"] is not None]
    judged = [life for life in lives if life["slope_mib_a_minute"] is not None]
    return {
        "pieces": max((len(each) for each in pieces.values()), default=0),
        **{name: sum(row[name] for row in rows) for name in COUNTS},
        "duplicated_exactly_once": sum(row["duplicated"] for row in exactly),
        "repeated_at_least_once": sum(row["duplicated"] for row in pieces.get("AtLeastOnce", [])),
        "asked_again_exactly_once": sum(row["asked_again"] for row in exactly),
        "stalls": sum(bool(row["stalled"]) for row in rows),
        "slowest_recovery_seconds": round(max(recoveries), 1) if recoveries else None,
        "broken": [
            f"{row['delivery']} piece {row['piece']}: {', '.join(row['broken'])}"
            for row in rows
            if row["broken"]
        ],
        "capacity_per_second": {
            name: round(median(row["capacity_per_second"] for row in each))
            for name, each in pieces.items()
            if each
        },
        "workers": len(lives),
        "workers_judged": len(judged),
        "steepest_mib_a_minute": max((life["slope_mib_a_minute"] for life in judged), default=None),
        "grows": [
            *(f"{life['worker']}: {', '.join(life['grows'])}" for life in lives if life["grows"]),
            *(said for name, seen in groups.items() for said in _groups(name, seen)),
        ],
        "faults": dict(sorted(Counter(faults).items())),
        "faults_that_broke_off": list(failures),
        "ended": list(ended),
        "lives": [life for life in lives if life["slope_mib_a_minute"] is not None] or lives[:4],
        "by_piece": rows,
    }


def _life(name: str, growth: Growth, samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "worker": name,
        "minutes": growth.minutes,
        "first_mib": growth.first_mib,
        "last_mib": growth.last_mib,
        "most_mib": growth.most_mib,
        "slope_mib_a_minute": growth.slope_mib_a_minute,
        "descriptors": growth.descriptors,
        "threads": growth.threads,
        "queued": growth.queued,
        "grows": growth.grows,
        "memory": plot([one.memory for one in samples]),
    }


def _groups(name: str, seen: Sequence[GroupSample]) -> list[str]:
    """Return what is more at a quiet moment than it must be."""
    found = []
    known = [(one.members, one.workers) for one in seen if one.members is not None]
    if wrong := [one for one in known if one[0] > one[1]]:
        members, workers = wrong[-1]
        found.append(f"{name}: {members} members of {workers} workers")
    topics = [one.topics for one in seen if one.topics is not None]
    if topics and topics[-1] != topics[0]:
        found.append(f"{name}: topics {', '.join(sorted(topics[-1] ^ topics[0]))}")
    return found


def plot(values: Sequence[float]) -> str:
    """Return the values over time as bars from 0; each is the median of its share of the time."""
    if not values or max(values) <= 0:
        return ""
    size = max(1, -(-len(values) // WIDTH))
    parts = [median(values[at : at + size]) for at in range(0, len(values), size)]
    top = max(parts)
    return "".join(BARS[min(len(BARS) - 1, int(part / top * len(BARS)))] for part in parts)


def tables(found: Mapping[str, Any]) -> str:
    """Return the totals, the lives that were judged, and the pieces."""
    names = (
        "minutes", "pieces", "messages", "lost", "duplicated_exactly_once",
        "repeated_at_least_once", "order_breaks", "altered", "invented", "ahead", "requests",
        "unreviewed", "asked_again_exactly_once", "stalls", "slowest_recovery_seconds", "workers",
        "workers_judged", "steepest_mib_a_minute",
    )  # fmt: skip
    totals = "".join(f"| `{name}` | {shown(found[name])} |\n" for name in names)
    capacity = ", ".join(
        f"{name} {shown(rate)}" for name, rate in found["capacity_per_second"].items()
    )
    faults = ", ".join(f"{name} {count}" for name, count in found["faults"].items())
    text = (
        f"Commit `{found['commit']}`, seed {found['seed']}.\n\n| | |\n|---|---|\n{totals}"
        f"| messages a second in a burst, median | {capacity} |\n| faults | {faults or '–'} |\n"
        f"| faults that broke off | {len(found['faults_that_broke_off'])} |\n"
        f"| workers that ended by themselves and were restarted | {len(found['ended'])} |\n"
        f"| did not hold | {_said(found['broken'])} |\n| grows | {_said(found['grows'])} |\n\n"
    )
    head = (
        "worker", "minutes", "MiB, first", "last", "most", "MiB a minute", "descriptors",
        "threads", "queued", "memory",
    )  # fmt: skip
    text += line(head) + line("---" for _ in head)
    for life in found["lives"]:
        text += line(
            [
                life["worker"],
                *(shown(life[name]) for name in ("minutes", "first_mib", "last_mib", "most_mib")),
                shown(life["slope_mib_a_minute"]),
                *(_range(life[name]) for name in ("descriptors", "threads", "queued")),
                f"`{life['memory']}`",
            ]
        )
    return text


def _said(sentences: Iterable[str]) -> str:
    return "; ".join(sentences) or "–"


def _range(values: Sequence[int]) -> str:
    """Return the first value, the last one, and the bounds of all."""
    if not values:
        return "–"
    return f"{values[0]} → {values[-1]} ({min(values)} to {max(values)})"
