"""The stream worker as it is, with the statistics of its Kafka clients written to a file.

    FAULTS_STATISTICS=PREFIX python -m faults.observed stream

Writes `PREFIX.statistics.jsonl`, a line for each report, and `PREFIX.KIND.json`, the last whole
report of the consumer and of the producer.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from faults.client_statistics import condensed
from textmod_model import __main__ as program
from textmod_model.stream import kafka

PREFIX: Final = "FAULTS_STATISTICS"
MILLISECONDS: Final = 2_000
LINES, LAST = ".statistics.jsonl", ".json"


def recording(options: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return a client's options with a callback that writes each report, then calls its own."""
    own: Callable[[str], object] | None = options.get("stats_cb")

    def report(text: str) -> None:
        # Out of memory or disk, say; the worker must not notice that it is watched.
        with contextlib.suppress(Exception):
            _write(text, prefix)
        if own is not None:
            own(text)

    return {"statistics.interval.ms": MILLISECONDS} | options | {"stats_cb": report}


def _write(text: str, prefix: str) -> None:
    figures = json.loads(text)
    with Path(f"{prefix}{LINES}").open("a") as file:
        file.write(json.dumps(condensed(figures)) + "\n")
    Path(f"{prefix}.{figures['type']}{LAST}").write_text(text)


def main() -> int:
    """Run the worker."""
    prefix = os.environ[PREFIX]
    plain = kafka._open  # noqa: SLF001 - the one place where the worker opens clients

    def opened(kind: Any, options: dict[str, Any]) -> Any:  # noqa: ANN401 - a client of any kind
        # An administrator's client is never polled: reports would only pile up in its queue.
        admin = kind.__name__ == "AdminClient"
        return plain(kind, options if admin else recording(options, prefix))

    kafka._open = opened  # noqa: SLF001
    return program.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
