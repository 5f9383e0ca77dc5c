"""The command `textmod-model`."""

import argparse
import sys
from collections.abc import Sequence

DESCRIPTION = "Train, package and serve a text moderation model."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    A serving command doesn't load the training commands: its first verdict is due in two seconds.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    from textmod_model.serving import cli as serving_cli
    from textmod_model.serving import redrive_cli

    parser = argparse.ArgumentParser(prog="textmod-model", description=DESCRIPTION)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    serving_cli.add_commands(subparsers)
    redrive_cli.add_command(subparsers)
    if not arguments or arguments[0] not in ("serve", "stream", "redrive"):
        from textmod_model.training import cli as training_cli

        training_cli.add_commands(subparsers)
    args = parser.parse_args(arguments)
    return int(args.run(args))


if __name__ == "__main__":
    sys.exit(main())
