"""Progress of a training, with the time left."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol


class Progress(Protocol):
    """Called as each step begins."""

    def __call__(self, step: str, done: float | None = None) -> None:
        """Take the step's name and the share of the time that is over, in [0, 1], if known."""


def quiet(step: str, done: float | None = None) -> None:
    """Say nothing."""


MOST_DONE: Final = 0.99
"""The largest share that is shown: shares are estimates."""


def part(progress: Progress, begin: float, end: float) -> Progress:
    """Return the progress of a part that takes the time from `begin` to `end` of the whole."""

    def inside(step: str, done: float | None = None) -> None:
        progress(step, None if done is None else begin + (end - begin) * done)

    return inside


@contextmanager
def shown() -> Iterator[Progress]:
    """Show the steps on standard error: a bar with the time left on a terminal, else lines."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("read the file", total=1)

        def show(step: str, done: float | None = None) -> None:
            bar.update(task, description=step)
            if done is not None:
                bar.update(task, completed=min(done, MOST_DONE))

        yield show


class _Lines:
    """A line for each step, with the time left where it can be estimated."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last = ""

    def __call__(self, step: str, done: float | None = None) -> None:
        if step == self._last:
            return
        self._last = step
        left = ""
        if done is not None and done > 0.05:
            done = min(done, MOST_DONE)
            seconds = (time.monotonic() - self._started) * (1 - done) / done
            left = f" ({done:.0%} done, {_duration(seconds)} left)"
        sys.stderr.write(f"{step}{left}\n")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min"
