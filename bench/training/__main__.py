"""Measure a training: time, CPU time and memory by the number of rows.

    python -m bench.training [--rows N ...] [--data CSV] [--recipe R] [--json FILE]

The rows are a seeded mixture of the data: the first part of one comment and the last part of
another with the same label. Each size is `textmod-model train --no-report` in its own process: file
read, five folds with their calibration, the fit on all rows, the artifact written and verified.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from textmod_model.training import dataset, sample

DATA = Path(__file__).parents[3] / "shared" / "data" / "reddit_science_comments.csv"
SIZES = (5_000, 20_000, 50_000, 200_000)
SEED = 15


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.training", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            path = Path(folder) / f"{rows}.csv"
            write_mixture(arguments.data, path, rows)
            figures.append(measure(path, rows, arguments.recipe))
            print(json.dumps(figures[-1]), flush=True)
    if arguments.json:
        document = {"recipe": arguments.recipe, "rows": figures}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


def write_mixture(source: Path, path: Path, rows: int) -> None:
    """Write `rows` rows mixed from the comments of `source`, or from invented ones without it."""
    if source.exists():
        data = dataset.read(source)
        pairs = list(zip(data.texts, data.labels, strict=True))
    else:
        pairs = sample.comments(5_000)
    draw = random.Random(SEED)  # noqa: S311  # a repeatable mixture
    sides = [[text.split() for text, label in pairs if label == side] for side in (0, 1)]
    share = len(sides[1]) / len(pairs)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for _ in range(rows):
            label = int(draw.random() < share)
            first, second = draw.choice(sides[label]), draw.choice(sides[label])
            cut = draw.random()
            words = first[: round(cut * len(first))] + second[round(cut * len(second)) :]
            writer.writerow((" ".join(words) or "empty", label))


def measure(path: Path, rows: int, recipe: str) -> dict[str, float]:
    """Train on a file; return seconds, CPU seconds, peak memory, and the figures by folds."""
    out = path.with_suffix("")
    command = [sys.executable, "-m", "textmod_model", "train", str(path), "--out", str(out)]
    started = time.monotonic()
    process = subprocess.Popen(
        [*command, "--no-report", "--recipe", recipe], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the training on {rows:,} rows ended with {process.returncode}")
    manifest = json.loads((out / "manifest.json").read_bytes())
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": round(usage.ru_maxrss / 1024),
        "auc": manifest["metrics"]["auc"],
        "ece": manifest["metrics"]["ece"],
    }


if __name__ == "__main__":
    sys.exit(main())
