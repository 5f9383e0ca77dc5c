"""The fault campaign.

    python -m faults [--scenario NAME …] [--delivery AtLeastOnce|ExactlyOnce] [--seed 1]
                     [--runs 300] [--pairs 16] [--messages 7000] [--compare] [--minutes M]

Each run is a stream of its own under load, broken by one scenario and one seed, and judged by the
checker. Exit code 1 if a property did not hold; what then happened is in a folder of its own
(history, workers' logs). Figures go to .state/faults/results.json, with RECORD=1 to faults/.

A run that is done is a row in .state/faults/rows.jsonl with the commit; the same command goes on
where it was stopped, as long as nothing that git tracks has changed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from faults.lanes import Place, carry_out_all
from faults.plan import DELIVERIES, TEXTMOD, WORKERS, Run, compared, plan
from faults.report import write_report
from faults.rows import Row, Rows, commit, results
from faults.scenarios import SCENARIOS
from textmod_dev.figures import figures_dir
from textmod_dev.model_image import trained_model, training_data
from textmod_dev.paths import repository_root
from textmod_dev.progress import Progress

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run what was asked for; 1 if anything was broken."""
    args = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    deadline = time.monotonic() + args.minutes * 60
    out: Path = args.out or figures_dir(HERE)
    beside: Path = args.out or repository_root() / ".state" / HERE.name
    state = commit()
    rows = Rows(beside / "rows.jsonl", state)
    wanted = plan(
        args.scenario,
        args.delivery,
        seed=args.seed,
        pairs=args.pairs,
        messages=args.messages,
        runs=args.runs,
        worker=args.worker,
    )
    if args.compare:
        wanted += compared(wanted)
    left = rows.left(wanted)
    _say(f"{len(wanted)} runs, {len(left)} of them to do, on {state}")
    model = trained_model(training_data(None, Progress()), Progress())
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        carry_out_all(
            left,
            Place(Path(folder), model, beside / "bundles"),
            {1: args.lanes[0], 3: args.lanes[-1]},
            lambda row: _finished(row, rows),
            lambda: time.monotonic() < deadline,
        )
    if rows.left(wanted):
        _say(f"time is up; {len(rows.left(wanted))} runs are left out")
    return _report(rows, state, out)


def _finished(row: Row, rows: Rows) -> None:
    rows.add(row)
    _say(
        f"{row['scenario']:36} {row['delivery']:11} seed {row['seed']} {row['worker']}:"
        f" {row['broken'] or 'held'} ({row.get('error') or _counts(row)})"
    )


def _counts(row: Row) -> str:
    return f"{row['messages']} messages, {row['duplicated']} repeated, {row['seconds']} s"


def _report(rows: Rows, state: str, out: Path) -> int:
    found = results(rows.all(), state)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "results.json"
    file.write_text(json.dumps(found, indent=1) + "\n")
    write_report(found, HERE / "RESULTS.md", out / "RESULTS.md")
    _say(json.dumps({name: value for name, value in found.items() if name != "scenarios"}))
    _say(f"written to {file}")
    return int(any(row["broken"] for row in rows.all() if row["worker"] == TEXTMOD))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--scenario",
        nargs="*",
        type=_known,
        default=list(SCENARIOS),
        metavar="NAME",
        help="or two with & between, at once",
    )
    parser.add_argument("--pairs", type=int, default=0, help="of faults at once, for each seed")
    parser.add_argument("--delivery", nargs="+", choices=DELIVERIES, default=list(DELIVERIES))
    parser.add_argument(
        "--worker",
        choices=WORKERS,
        default=TEXTMOD,
        help="bare: a consumer and a producer alone",
    )
    parser.add_argument(
        "--compare", action="store_true", help="the bare pair too, once for each of Kafka's faults"
    )
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument(
        "--runs", type=int, default=0, help="seed after seed; 0: all scenarios for one seed"
    )
    parser.add_argument(
        "--lanes",
        type=int,
        nargs=2,
        default=[2, 1],
        help="runs at once: those on one broker, those on three",
    )
    parser.add_argument("--messages", type=int, default=7000, help="of each run, at least")
    parser.add_argument("--out", type=Path, default=None, help="folder of rows and results")
    parser.add_argument("--minutes", type=float, default=1000, help="begin no run after these")
    return parser


def _known(name: str) -> str:
    """Return the name of a scenario or of a pair. Raises ArgumentTypeError."""
    try:
        Run(name, "", 0, 0).resolved()
    except (KeyError, ValueError) as error:
        message = f"no scenario {name}; there are {', '.join(SCENARIOS)}"
        raise argparse.ArgumentTypeError(message) from error
    return name


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
