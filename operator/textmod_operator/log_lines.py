"""Formats log records so that nothing a tenant chose can forge a line or control a terminal.

One log has the words of many: brokers that objects name, images that users run. Pure. The
model server and the console have the same formatter: the packages never import each other, and
tests/test_log_lines.py holds them together.
"""

import logging
import re
from types import TracebackType
from typing import Final

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# C0 and C1 controls, DEL, the line separators of Unicode, and what reverses the direction of text.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_INDENT: Final = "    "
QUIET: Final = ("httpx", "httpx2", "httpcore", "httpcore2")
"""HTTP clients. They log URLs and a server's words at INFO, and headers at DEBUG: a token may be in
each of them."""

_ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


def escaped(text: str) -> str:
    """Return the text on one line, with escapes for control characters."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class LineFormatter(logging.Formatter):
    """Write a record as one line, and the lines of its traceback indented."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = escaped(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802 - logging's name
        # Split at \n alone: other separators in an exception's text are escaped.
        lines = super().formatException(ei).split("\n")
        return "\n".join(_INDENT + escaped(line) for line in lines)


def configure(level: str | int) -> None:
    """Have every logger of the process write such lines to standard error, from a level on.

    Those of `QUIET` only warn.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler])
    for library in QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)
