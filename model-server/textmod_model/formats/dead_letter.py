"""The headers of a dead letter: the original ones, and one set of ours."""

from textmod_model.formats.message import Headers, Refused
from textmod_model.formats.moment import timestamp

ERROR_PREFIX = "textmod.error."
REDRIVE_COUNT = "textmod.redrive.count"
REDRIVE_TIMESTAMP = "textmod.redrive.timestamp"
"""Of the message before it was sent again."""


def is_error_header(name: str) -> bool:
    """Tell whether a header was written by `dead_letter_headers`."""
    return name.lower().startswith(ERROR_PREFIX)


def dead_letter_headers(
    original: Headers | None,
    refused: Refused,
    *,
    topic: str,
    partition: int,
    offset: int,
    milliseconds: int | None,
    model: str,
) -> Headers:
    """Return the original headers and, after them, where the message came from and what is wrong.

    Error headers of an earlier dead letter, from a message that was sent again, are replaced:
    consumers that take the first and consumers that take the last find the same.
    """
    error = {
        "reason": refused.reason,
        "message": refused.message,
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "timestamp": "" if milliseconds is None else timestamp(milliseconds / 1000),
        "model": model,
    }
    kept = [header for header in original or [] if not is_error_header(header[0])]
    return kept + [(ERROR_PREFIX + name, text.encode()) for name, text in error.items()]
