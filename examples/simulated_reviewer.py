"""Reviews by the true labels as a person would, with mistakes.

    python examples/simulated_reviewer.py --url http://127.0.0.1:8080 --token-file token \
        --file comments.csv --mistakes 0.05 --rate 10 --limit 500

Uses the console's JSON API with a bearer token (`kubectl create token rita`) and the permissions of
its account. The CSV file has a text in one column (--column) and 0 or 1
in another (--label); a text that is not in it is skipped. The last line printed is a JSON object:
decided, mistakes, skipped, seconds.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 10
IDLE_SECONDS = 0.5
UNREACHABLE = 0
NO_CONTENT = 204


@dataclass
class Console:
    """The JSON API of one console."""

    url: str
    token: str

    def call(self, path: str, body: object = None) -> tuple[int, Any]:
        """Status and document of one request: a GET, or a POST of `body`; status 0: no answer."""
        request = urllib.request.Request(  # noqa: S310 - the address is an argument of ours
            self.url.rstrip("/") + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError as error:
            return UNREACHABLE, str(error)


@dataclass
class Tally:
    """Counts of the decisions so far."""

    decided: int = 0
    mistakes: int = 0
    skipped: set[str] = field(default_factory=set)


def main() -> int:
    """Reviews until --limit, or until the queue has been empty for --idle seconds."""
    arguments = _parser().parse_args()
    labels = true_labels(arguments.file, arguments.column, arguments.label, arguments.encoding)
    console = Console(arguments.url, arguments.token_file.read_text().strip())
    chance = random.Random(arguments.seed)  # noqa: S311 - a repeatable reviewer, not a secret
    tally, began = Tally(), time.monotonic()
    last = began
    while tally.decided < arguments.limit and time.monotonic() - last < arguments.idle:
        if review_one(console, labels, arguments.mistakes, chance, tally):
            last = time.monotonic()
            time.sleep(1 / arguments.rate)
        else:
            time.sleep(IDLE_SECONDS)
    summary = {
        "decided": tally.decided,
        "mistakes": tally.mistakes,
        "skipped": len(tally.skipped),
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(summary))
    return 0


def review_one(
    console: Console, labels: dict[str, bool], mistakes: float, chance: random.Random, tally: Tally
) -> bool:
    """Takes the next card and decides; whether there was one.

    Raises:
        SystemExit: the console refuses the token.
    """
    query = urllib.parse.urlencode([("skip", item) for item in list(tally.skipped)[-100:]])
    status, card = console.call(f"/api/next?{query}")
    if status in (401, 403):
        sys.exit(f"The console refuses the token (HTTP {status}): {card}")
    if status != 200:  # none now, or the console restarts
        return False
    removed = labels.get(card["text"])
    if removed is None:
        tally.skipped.add(card["item"])
        console.call(f"/api/items/{urllib.parse.quote(card['item'])}/release", {})
        return True
    mistaken = chance.random() < mistakes
    answer = {
        "decision": "Remove" if removed != mistaken else "Approve",
        "version": card["version"],
        "milliseconds": chance.randrange(800, 6000),
    }
    path = f"/api/items/{urllib.parse.quote(card['item'])}/decision"
    status, _ = console.call(path, answer)
    if status == 200:
        tally.decided += 1
        tally.mistakes += mistaken
    return True


def true_labels(file: Path, column: str, label: str, encoding: str) -> dict[str, bool]:
    """Text → whether it belongs removed; exits with one sentence when the file has none."""
    try:
        with file.open(encoding=encoding, errors="replace", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except OSError as error:
        sys.exit(f"{file} cannot be read: {error.strerror}.")
    if not rows or column not in rows[0] or label not in rows[0]:
        sys.exit(
            f"{file} has no columns {column} and {label}: name them with --column and --label."
        )
    return {row[column]: float(row[label] or 0) >= 0.5 for row in rows if row[column]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--url", required=True, help="of the console, such as http://127.0.0.1:8080"
    )
    parser.add_argument("--token-file", required=True, type=Path, help="file with a bearer token")
    parser.add_argument("--file", required=True, type=Path, help="CSV of texts and true labels")
    parser.add_argument("--column", default="BODY", help="column of the text (default: BODY)")
    parser.add_argument("--label", default="REMOVED", help="column of 0 or 1 (default: REMOVED)")
    parser.add_argument("--encoding", default="cp1252", help="of the file (default: cp1252)")
    parser.add_argument("--mistakes", type=float, default=0.05, help="share decided wrongly")
    parser.add_argument("--rate", type=float, default=5, help="decisions a second at most")
    parser.add_argument("--limit", type=int, default=1_000_000, help="decisions in all")
    parser.add_argument("--idle", type=float, default=60, help="end after so many empty seconds")
    parser.add_argument("--seed", type=int, default=1, help="of the mistakes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
