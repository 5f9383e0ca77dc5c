"""The command `textmod-model`."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from textmod_model import log_lines
from textmod_model.errors import OutputError

DESCRIPTION = "Train, package and serve a text moderation model."
_BY_SIGNAL = 128
"""Added to a signal's number it is the exit code of what the signal ended, as in shells."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    A serving command doesn't load the training commands: its first verdict is due in two seconds.
    """
    _open_closed_streams()
    try:
        args = _parser(sys.argv[1:] if arguments is None else arguments).parse_args(arguments)
        return _finished(int(args.run(args)))
    except BrokenPipeError:  # `| head -1`: its reader has seen enough
        _drop_output()
        return _BY_SIGNAL + signal.SIGPIPE
    except OutputError as error:
        _drop_output()
        sys.stderr.write(f"textmod-model: {log_lines.escaped(str(error))}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("textmod-model: interrupted.\n")
        return _BY_SIGNAL + signal.SIGINT


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    from textmod_model.serving import cli as serving_cli
    from textmod_model.serving import redrive_cli

    parser = argparse.ArgumentParser(prog="textmod-model", description=DESCRIPTION)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    serving_cli.add_commands(subparsers)
    redrive_cli.add_command(subparsers)
    if not arguments or arguments[0] not in ("serve", "stream", "redrive"):
        from textmod_model.training import cli as training_cli

        training_cli.add_commands(subparsers)
    return parser


def _finished(code: int) -> int:
    """Write what standard output still holds, so that a failure has a sentence and an exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError.of(error) from error
    return code


def _open_closed_streams() -> None:
    """Discard what is written to a standard stream that the caller has closed (`>&-`)."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  # for the process's life
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115


def _drop_output() -> None:
    """Discard what standard output still holds; the interpreter would fail to write it at its end.

    Only of a real file: a test's stream has no descriptor.
    """
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())
