"""The command `textmod-console`."""

import argparse
import sys
from collections.abc import Sequence

DESCRIPTION = "Review texts, keep decisions, and measure the model by them."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    from textmod_console import commands

    parser = argparse.ArgumentParser(prog="textmod-console", description=DESCRIPTION)
    commands.add_to(parser.add_subparsers(required=True, metavar="COMMAND"))
    args = parser.parse_args(arguments)
    return int(args.run(args))


if __name__ == "__main__":
    sys.exit(main())
