"""`textmod-console verify` and `digest`: is the audit chain whole, and what is the state?"""

import argparse
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from textmod_console.commands import opening
from textmod_console.settings import Settings
from textmod_console.store import auditing
from textmod_console.store.digest import digest

if TYPE_CHECKING:
    from textmod_console.commands import Subparsers


def add(subparsers: "Subparsers") -> None:
    """Add both commands."""
    verify = subparsers.add_parser(
        "verify", help="check the audit chain: exit code 65 if a record was changed or dropped"
    )
    verify.set_defaults(run=opening.command(_verify))
    state = subparsers.add_parser(
        "digest", help="print a digest of items, decisions and appeals, the same after a rebuild"
    )
    state.set_defaults(run=opening.command(_digest))


def _verify(_: argparse.Namespace, settings: Settings) -> int:
    with closing(opening.database(settings)) as database, database.read() as connection:
        records = auditing.verify(connection)
    sys.stdout.write(f"the audit chain is whole: {records} records\n")
    return 0


def _digest(_: argparse.Namespace, settings: Settings) -> int:
    with closing(opening.database(settings)) as database, database.read() as connection:
        sys.stdout.write(f"{digest(connection)}\n")
    return 0
