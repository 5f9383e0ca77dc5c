"""The console's errors.

    ConsoleError              70  with an exit code, for a command that ends
    ├── ConfigurationError    78  the settings or the command line (EX_CONFIG)
    ├── DataError             65  a file, a chain or a database that is damaged (EX_DATAERR)
    ├── RecordError           75  Kafka or the database can't be used (EX_TEMPFAIL)
    └── DeskError                 a reviewer's request that can't be done now
        ├── NotFoundError             no such item or decision
        ├── ClaimedByAnotherError     somebody else holds the item
        ├── OutdatedError             the item changed since the card was made
        ├── TooLateError              the decision is published and can only be superseded
        └── InvalidAnswerError        the answer makes no sense for this item

A message is one sentence: what is wrong, where, and what to do. It never holds a user's text.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class ConsoleError(Exception):
    """A reason to stop the process or to refuse a request; `exit_code` is the process's own."""

    exit_code = 70


class ConfigurationError(ConsoleError):
    """A setting is missing or makes no sense."""

    exit_code = 78


class DataError(ConsoleError):
    """A file, a chain of records or a database is damaged."""

    exit_code = 65


class RecordError(ConsoleError):
    """Kafka or the database can't be used by this process."""

    exit_code = 75


class DeskError(ConsoleError):
    """A reviewer's request can't be done now."""


class NotFoundError(DeskError):
    """There is no such item or decision."""


class ClaimedByAnotherError(DeskError):
    """Somebody else holds the item."""


class OutdatedError(DeskError):
    """The item changed since the reviewer's card was made."""


class TooLateError(DeskError):
    """The decision is published, or its ten seconds have passed; it can only be superseded."""


class InvalidAnswerError(DeskError):
    """The answer makes no sense for this item."""


def sentences(error: "ValidationError") -> list[str]:
    """Return a sentence for each fault. Values are left out: any of them may be a secret."""
    found = []
    for fault in error.errors(include_input=False, include_url=False):
        what = fault["msg"].removeprefix("Value error, ")
        where = ".".join(str(part) for part in fault["loc"])
        subject = f"{where}: " if where else ""
        found.append(f"{subject}{what[:1].lower() if where else what[:1]}{what[1:]}.")
    return found
