"""Says what takes long, to a person or to a log.

On a terminal a bar that moves; anywhere else a plain line at the start, one every twenty seconds
and one at the end, so that a CI log shows life without filling up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Progress:
    """Writes to standard error, so that a command's own output stays clean."""

    def __init__(self, *, quiet: bool = False, every_seconds: float = 20) -> None:
        self._quiet = quiet
        self._every = every_seconds
        self._console = Console(file=sys.stderr, highlight=False)

    def step(self, text: str) -> None:
        """Announces one step."""
        if not self._quiet:
            self._console.print(f"[bold]»[/bold] {text}" if self._console.is_terminal else text)

    @contextmanager
    def counting(self, text: str, total: int) -> Iterator[Callable[[], None]]:
        """Counts towards `total` (an upper bound); call what this yields once per item."""
        if self._quiet:
            yield lambda: None
        elif self._console.is_terminal:
            columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
            with Bar(*columns, TimeElapsedColumn(), console=self._console) as bar:
                task = bar.add_task(text, total=total)
                yield lambda: bar.advance(task)
        else:
            done, last = 0, time.monotonic()

            def advance() -> None:
                nonlocal done, last
                done += 1
                if time.monotonic() - last >= self._every:
                    last = time.monotonic()
                    self._console.print(f"  {text}: {done} of at most {total}")

            yield advance
