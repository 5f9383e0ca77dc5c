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


def environment(data: bytes) -> dict[str, str]:
    """Return the environment that an input's lines of NAME=value make."""
    lines = (line.partition("=") for line in data.decode(errors="replace").splitlines())
    return {name: value for name, _, value in lines if name}
