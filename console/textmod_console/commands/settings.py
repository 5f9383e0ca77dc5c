"""`textmod-console settings`: the effective settings, secrets masked."""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from textmod_console import settings
from textmod_console.errors import ConfigurationError

if TYPE_CHECKING:
    from textmod_console.commands import Subparsers


def add(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = subparsers.add_parser("settings", help="print the effective settings")
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    try:
        found = settings.load(os.environ)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(settings.describe(found), indent=2) + "\n")
    return 0
