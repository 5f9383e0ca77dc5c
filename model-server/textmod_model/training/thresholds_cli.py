"""The command `thresholds`: thresholds of another service's score, mapped to this model's."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from textmod_model import output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `thresholds`."""
    parser.add_argument(
        "scores", type=Path, help="CSV, JSON Lines or Parquet file with both scores of each text"
    )
    parser.add_argument(
        "--from", dest="old", default="perspective", help="column of the old score (perspective)"
    )
    parser.add_argument("--to", dest="new", default="ours", help="column of the new score (ours)")
    parser.add_argument(
        "--threshold",
        type=_share,
        action="append",
        required=True,
        help="threshold of the old score, from 0 to 1; may be given again",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the threshold that flags as many texts, for each that was asked.

    Raises DatasetError.
    """
    from textmod_model.training import thresholds

    pairs = thresholds.read(args.scores, args.old, args.new)
    mapping = [thresholds.mapped(pairs, old) for old in args.threshold]
    if args.json:
        rows = [asdict(one) | {"hint": one.hint} for one in mapping]
        found = {"texts": len(pairs.old), "blank": pairs.blank, "thresholds": rows}
        output.say(json.dumps(found, indent=2))
    else:
        output.say(thresholds.table(pairs, mapping, args.old, args.new))
    return 0


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        message = f"{text[:40]!r} is not a number from 0 to 1"
        raise argparse.ArgumentTypeError(message)
    return value
