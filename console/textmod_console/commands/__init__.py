"""The subcommands of `textmod-console`, one file each."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # its only name


def add_to(subparsers: "Subparsers") -> None:
    """Add every subcommand; each sets `run`, a function of its arguments to an exit code."""
    from textmod_console.commands import erase, exchange, rebuild, serve, settings, verify

    for command in (serve, rebuild, verify, exchange, erase, settings):
        command.add(subparsers)
