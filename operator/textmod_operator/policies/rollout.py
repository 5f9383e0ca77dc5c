"""How far a version of the policies has come among the replicas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from textmod_operator.policies.solved import Solution

LONG_SECONDS: Final = 60.0
"""The kubelet reads every volume again within about this time, whatever else happens."""


@dataclass(frozen=True)
class Rollout:
    """The replicas and the version that they are to have."""

    ready: int
    """Replicas that serve."""
    behind: tuple[str, ...]
    """Names of those that have not said that the version is in force there."""
    errors: tuple[tuple[str, str], ...] = ()
    """(pod, its words) of those that could not take it."""
    unreachable: bool = False
    """The operator could not ask the last one that it tried."""
    seconds: float = 0.0
    """Since the operator first asked for the version."""


@dataclass(frozen=True)
class PoliciesSeen:
    """What became of the policies of one object in one pass."""

    solution: Solution
    rate: float | None
    """Texts a second that arrive, None where it is not known."""
    version: str | None
    """In the ConfigMap; None: there is none yet."""
    rollout: Rollout | None = None
    """None: not looked at."""
    model_known: bool = True
    """Whether a pod has named its model since this operator began."""
