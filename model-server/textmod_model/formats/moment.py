"""Moments in headers: RFC 3339 in UTC with milliseconds."""

from datetime import UTC, datetime
from functools import lru_cache


def timestamp(seconds: float) -> str:
    """Write seconds since the epoch; "" for a moment that the calendar doesn't have."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp_of(milliseconds: int) -> bytes:
    """Write milliseconds since the epoch. Cheap: one a message, and many in the same second."""
    seconds, rest = divmod(milliseconds, 1000)
    second = _second(seconds)
    return b"%b.%03dZ" % (second, rest) if second else b""


@lru_cache(maxsize=4096)
def _second(seconds: int) -> bytes:
    return timestamp(seconds).partition(".")[0].encode()
