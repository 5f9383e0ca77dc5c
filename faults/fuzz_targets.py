"""The targets of fuzzing, by name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {}


def target(function: Target) -> Target:
    """Register a target under its function's name."""
    TARGETS[function.__name__.replace("_", "-")] = function
    return function


@cache
def scratch() -> Path:
    """Return a folder for files that a target reads; it goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="textmod-fuzz-")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def split(data: bytes) -> tuple[bytes, bytes]:
    """Return the first line of an input, and the rest."""
    first, _, rest = data.partition(b"\n")
    return first, rest
