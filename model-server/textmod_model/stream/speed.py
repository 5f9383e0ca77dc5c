"""How many messages a second this replica can read, reported for autoscaling.

The figure travels as the metadata of every committed offset, so that a reader of the group's
offsets, which needs them for the lag, gets the speed without another request.
"""

import math
from pathlib import Path

FULL_PART = 0.5
"""A turn counts when its batch is at least this full: small ones cost more a message, and show how
little there was to do."""
ENOUGH_SECONDS = 1.0
"""So much busy time makes a figure; until then the artifact's benchmark stands."""
REMEMBERED_SECONDS = 20.0
"""Of busy time: what is older weighs ever less."""

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


class Speed:
    """Messages a second while there is always more to do.

    Args:
        benchmark: messages/s of one core, measured when the model was packaged; None: not measured.
        cores: the CPUs that this container may use; the loop uses no more than one.
        full: messages of a full batch.
    """

    def __init__(self, benchmark: float | None, cores: float, full: int) -> None:
        self._prior = None if benchmark is None else benchmark * min(1.0, cores)
        self._enough = max(1, math.ceil(FULL_PART * full))
        self._messages = 0.0
        self._seconds = 0.0

    def note(self, messages: int, seconds: float, *, more_waits: bool = False) -> None:
        """Take in a turn of the loop: so many messages were worked on for so many seconds.

        A batch of few but large messages counts if it was cut short while `more_waits`.
        """
        if messages < self._enough and not more_waits:
            return
        kept = math.exp(-seconds / REMEMBERED_SECONDS)
        self._messages = kept * self._messages + messages
        self._seconds = kept * self._seconds + seconds

    @property
    def rate(self) -> float | None:
        """Messages a second; None when nothing has been measured, here or at packaging."""
        if self._seconds < ENOUGH_SECONDS:
            return self._prior
        return self._messages / self._seconds

    @property
    def metadata(self) -> str:
        """The figure as an offset's metadata, such as ``rate=812.5``; empty when there is none."""
        rate = self.rate
        return "" if rate is None else f"rate={rate:.1f}"


def usable_cores(cpu_max: Path = CPU_MAX) -> float:
    """The container's CPU limit (cgroup v2, `cpu.max`); infinite where there is none to be read."""
    try:
        quota, period = cpu_max.read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return math.inf
