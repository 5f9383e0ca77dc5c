"""`textmod-console settings`: the effective settings, secrets masked."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from textmod_console.commands import opening
from textmod_console.settings import Settings, describe

if TYPE_CHECKING:
    from textmod_console.commands import Subparsers


def add(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = subparsers.add_parser("settings", help="print the effective settings")
    parser.set_defaults(run=opening.command(_run))


def _run(_: argparse.Namespace, settings: Settings) -> int:
    sys.stdout.write(json.dumps(describe(settings), indent=2) + "\n")
    return 0
