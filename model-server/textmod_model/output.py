"""Prints what a command found, on standard output."""

import sys

from textmod_model.errors import OutputError


def say(line: str) -> None:
    """Write a line.

    Raises OutputError if it cannot be written, BrokenPipeError if nobody reads any more.
    """
    try:
        sys.stdout.write(line + "\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError.of(error) from error
