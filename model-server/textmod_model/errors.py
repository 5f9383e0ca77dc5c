"""The errors that end the model server, each with the exit code that says whose turn it is.

    ServingError
    ├── ConfigurationError   78  the settings or the command line (EX_CONFIG)
    ├── ArtifactRefused      65  the artifact is damaged or isn't the one asked for (EX_DATAERR)
    ├── OutputError          74  standard output cannot be written (EX_IOERR)
    └── StreamError          75  Kafka took the stream away; a restart may get it back (EX_TEMPFAIL)

A message is one sentence: what is wrong, where, and what to do.
"""

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pydantic import ValidationError


class ServingError(Exception):
    """A reason to stop the process; `exit_code` is the process's own."""

    exit_code = 70


class ConfigurationError(ServingError):
    """A setting is missing or makes no sense."""

    exit_code = 78


class ArtifactRefused(ServingError):  # noqa: N818 - a refusal is what the user is told about
    """The artifact is damaged, foreign, or not the one whose digest was asked for."""

    exit_code = 65


class OutputError(ServingError):
    """What a command prints cannot be written."""

    exit_code = 74

    @classmethod
    def of(cls, error: OSError) -> Self:
        """Return the sentence for what writing to standard output raised."""
        return cls(f"cannot write to standard output: {error.strerror}.")


class StreamError(ServingError):
    """The stream can't go on in this process."""

    exit_code = 75


def sentences(error: "ValidationError") -> list[str]:
    """Return a sentence for each fault. Values are left out: any of them may be a secret."""
    found = []
    for fault in error.errors(include_input=False, include_url=False):
        what = fault["msg"].removeprefix("Value error, ")
        where = ".".join(str(part) for part in fault["loc"])
        subject = f"{where}: " if where else ""
        found.append(f"{subject}{what[:1].lower() if where else what[:1]}{what[1:]}.")
    return found
