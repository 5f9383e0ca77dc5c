"""The command `redrive`: send dead letters again. Runs in the environment of a model container."""

import argparse
import json
import math
import os
import sys
from collections.abc import Mapping

from textmod_model import log_lines, output
from textmod_model import settings as settings_module
from textmod_model.errors import ConfigurationError, ServingError, StreamError

Subparsers = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def add_command(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add `redrive`."""
    parser = subparsers.add_parser(
        "redrive", help="send dead letters again, each once; prints what it did as JSON"
    )
    parser.add_argument(
        "--to",
        choices=("input", "output"),
        default="input",
        help="input: back to the input topic. output: through the model, straight to the output."
        " Default: input",
    )
    parser.add_argument(
        "--reason",
        action="append",
        default=[],
        help="only letters of this reason, such as NotUtf8; may be repeated. Default: all",
    )
    parser.add_argument("--rate", type=float, help="at most so many letters a second")
    parser.add_argument(
        "--most-times",
        type=int,
        default=5,
        help="leave out letters that were sent again so often. Default: 5",
    )
    parser.add_argument("--dry-run", action="store_true", help="write nothing, only count")
    parser.set_defaults(run=lambda args: run(args, os.environ))


def run(args: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Redrive; returns the exit code."""
    from textmod_model.formats.message import RegistryUnavailable
    from textmod_model.stream import redrive
    from textmod_model.stream.brake import ModelBrokenError
    from textmod_model.stream.redrive_log import KafkaLog

    try:
        if args.rate is not None and not 0 < args.rate < math.inf:
            raise ConfigurationError("--rate must be a number above 0.")
        settings = settings_module.load({**environment, "TEXTMOD_STREAMING": "Native"})
        log_lines.configure(settings.log_level)
        answer = redrive.to_input(settings.input_topic)
        if args.to == "output" and not args.dry_run:
            from textmod_model.policies.allowance import NoAllowance
            from textmod_model.serving.cli import load_predictor, open_policies
            from textmod_model.serving.stream_parts import make_judge

            predictor = load_predictor(settings)
            policies = open_policies(settings, predictor)
            missing = None if policies is None else policies.missing()
            if missing is not None:
                raise ConfigurationError(missing)
            judge = make_judge(settings, predictor, NoAllowance())
            answer = redrive.through_model(
                lambda letters: judge.judge(letters).records,
                settings.output_topic,
                settings.dead_letter_topic,
            )
        plan = redrive.Plan(frozenset(args.reason), args.most_times)
        most = min(redrive.MOST_AT_ONCE, max(1, int(args.rate or redrive.MOST_AT_ONCE)))
        with KafkaLog(settings, most) as log:
            report = redrive.run(log, plan, answer, dry=args.dry_run, rate=args.rate)
    except ServingError as error:
        sys.stderr.write(f"{log_lines.escaped(str(error))}\n")
        return error.exit_code
    except (RegistryUnavailable, ModelBrokenError) as error:
        sys.stderr.write(f"{log_lines.escaped(str(error))}\n")
        return StreamError.exit_code
    output.say(json.dumps(report.as_json()))
    return 0
