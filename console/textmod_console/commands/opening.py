"""The frame of every command: settings, the migrated database, exit codes."""

import argparse
import getpass
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Final

from textmod_console import log_lines, settings
from textmod_console.errors import ConsoleError, RecordError
from textmod_console.record.leader import is_caught_up
from textmod_console.settings import Settings
from textmod_console.store import migrations
from textmod_console.store.engine import Database

PATIENCE_SECONDS: Final = 60.0
"""How long to wait for a database that starts at the same time."""


def command(
    work: Callable[[argparse.Namespace, Settings], int],
) -> Callable[[argparse.Namespace], int]:
    """Return `work` with the settings, and with errors as one sentence and an exit code."""

    def run(arguments: argparse.Namespace) -> int:
        try:
            found = settings.load(os.environ)
            log_lines.configure(found.log_level)
            logging.getLogger("alembic").setLevel(logging.WARNING)
            return work(arguments, found)
        except ConsoleError as error:
            sys.stderr.write(f"textmod-console: {log_lines.escaped(str(error))}\n")
            _leave_message(error)
            return error.exit_code

    return run


def _leave_message(error: ConsoleError) -> None:
    """Write the sentence to the container's termination message."""
    path = os.environ.get("TEXTMOD_TERMINATION_LOG")
    if path:
        try:
            with open(path, "w") as file:  # noqa: PTH123 - may be a device
                file.write(str(error))
        except OSError:
            return


def add_actor(parser: argparse.ArgumentParser) -> None:
    """Add the option `--actor` of a command that is in the audit."""
    parser.add_argument("--actor", help="who does it, for the audit", default=None)


def actor(arguments: argparse.Namespace) -> str:
    """Return the name that the audit records for the command."""
    if arguments.actor:
        return str(arguments.actor)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def database(
    found: Settings, patience: float = PATIENCE_SECONDS, *, beside: bool = True
) -> Database:
    """Open the database and bring it to this version.

    Args:
        found: the settings.
        patience: seconds.
        beside: whether a console may be serving from it in another process.

    Raises:
        ConfigurationError: its URL or its folder is wrong.
        RecordError: it did not answer within `patience` seconds.
    """
    opened = Database(found.database_url, beside=beside)
    end = time.monotonic() + patience
    while True:
        try:
            migrations.upgrade(opened)
        except RecordError as error:
            if time.monotonic() > end:
                opened.close()
                raise
            logging.getLogger(__name__).warning("%s retrying in 1 s", error)
            time.sleep(1)
        else:
            return opened


def whole_database(found: Settings) -> Database:
    """Open a database that has been read from the topics to their ends, as a console that serves.

    In another one texts and decisions are missing, and a record in its audit would take the number
    of one that is still to be read.

    Raises:
        ConfigurationError: its URL or its folder is wrong.
        RecordError: it does not answer, or does not hold everything yet.
    """
    opened = database(found)
    if not is_caught_up(opened):
        opened.close()
        message = (
            "the database does not hold everything that is in the topics yet: wait until the"
            " console is ready, and try again."
        )
        raise RecordError(message)
    return opened
