"""Unix time that does not jump: it follows the monotonic clock from when the process started.

For ages, intervals and everything that is compared. Dates for people come from the wall clock.
"""

from __future__ import annotations

import time
from typing import Final

_STARTED: Final = time.time() - time.monotonic()


def steady_now() -> float:
    """Return the Unix time in seconds, as the wall clock would say had nobody set it since."""
    return _STARTED + time.monotonic()
