"""The fast figures of a status: lag, rates and scaling, rounded so that noise is no change."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from textmod_operator.state import LagUnknown, Manifest, ScalingSeen

FIGURES: Final = ("lag", "rates", "scaling")
"""The parts of the status that change by themselves, and are written at a limited rate."""


def figures(scaling: ScalingSeen | None) -> Manifest:
    """Lag, rates and scaling: the fast figures, rounded so that noise is no change.

    A lag that can't be read has no figure (None takes the old one out of the status).
    """
    if scaling is None:
        return {"lag": None, "rates": None, "scaling": None}
    decided = {"desiredReplicas": scaling.desired, "reason": scaling.reason}
    if scaling.observed_by is not None:
        read = datetime.fromtimestamp(scaling.reading.at, UTC)
        decided |= {
            "observedAt": read.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "observedBy": scaling.observed_by,
        }
    if isinstance(scaling.reading, LagUnknown):
        return {"lag": None, "rates": None, "scaling": decided}
    behind = scaling.seconds_behind
    lag = {
        "messages": _rounded(scaling.reading.messages),
        "secondsBehind": None if behind is None else _rounded(math.ceil(behind)),
        "perPartitionMax": _rounded(scaling.reading.per_partition_max),
    }
    rates = {
        "inPerSecond": _significant(scaling.in_per_second),
        "outPerSecond": _significant(scaling.out_per_second),
        "perReplicaPerSecond": _significant(scaling.per_replica_per_second),
    }
    return {
        "lag": {key: value for key, value in lag.items() if value is not None},
        "rates": {key: value for key, value in rates.items() if value is not None} or None,
        "scaling": decided,
    }


def _rounded(count: int) -> int:
    """Two significant digits: 41,237 messages are 41,000."""
    if count < 100:
        return count
    unit = 10 ** (len(str(count)) - 2)
    return int(round(count / unit) * unit)


def _significant(rate: float | None) -> float | None:
    if rate is None:
        return None
    return float(f"{rate:.2g}")
