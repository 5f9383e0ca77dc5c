"""Keep a few inputs of a fuzzing corpus that together cover the same lines of our code.

    python -m faults.keep [TARGET ...]

Reads .state/fuzz/TARGET, as `make fuzz` leaves it, beside what is kept already, and writes
faults/corpus/TARGET.txt: an input a line, as Python writes bytes. Inputs beyond SIZE_BYTES are left
out, whatever they cover.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any, Final

from faults.fuzz import CORPUS, TARGETS
from textmod_dev.paths import repository_root

SIZE_BYTES: Final = 256
"""The longest input that is kept."""
MOST: Final = 24
"""Inputs of a target that are kept, those that add the most coverage first."""
OURS: Final = ("textmod_model", "textmod_operator", "textmod_console")

Step = tuple[str, int, int]
"""A file, the line before, and the line."""


def kept(target: str) -> list[bytes]:
    """Return the inputs that are kept of a target."""
    file = CORPUS / f"{target}.txt"
    if not file.exists():
        return []
    return [ast.literal_eval(line) for line in file.read_text().splitlines()]


def chosen(covered: Mapping[bytes, frozenset[Any]]) -> list[bytes]:
    """Return at most MOST inputs that together cover what all of them do.

    Greedy: always the one that adds the most; of equals the shortest.
    """
    found: list[bytes] = []
    missing = frozenset[Any]().union(*covered.values())
    while missing and len(found) < MOST:
        best = max(sorted(covered), key=lambda one: (len(covered[one] & missing), -len(one)))
        missing -= covered[best]
        found.append(best)
    return sorted(found)


def coverage(target: str, data: bytes) -> frozenset[Step]:
    """Return the steps from line to line that a target takes in our code with an input."""
    steps: set[Step] = set()

    def within(frame: FrameType, _event: str, _: object) -> Any:  # noqa: ANN401 - the interpreter's
        if not any(f"/{name}/" in frame.f_code.co_filename for name in OURS):
            return None
        last = frame.f_lineno

        def step(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401
            nonlocal last
            if event == "line":
                steps.add((frame.f_code.co_filename, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    before = sys.gettrace()
    sys.settrace(within)
    try:
        TARGETS[target](data)
    finally:
        sys.settrace(before)
    return frozenset(steps)


def _grown(target: str) -> Iterable[bytes]:
    folder = repository_root() / ".state" / "fuzz" / target
    for file in sorted(folder.glob("*")):
        if not file.name.startswith("found-") and file.stat().st_size <= SIZE_BYTES:
            yield file.read_bytes()


def main() -> None:
    """Choose, and write the files."""
    parser = argparse.ArgumentParser(prog="faults.keep", description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="without any, all of them")
    for target in parser.parse_args().targets or sorted(TARGETS):
        TARGETS[target](b"")  # imports run here, and are not counted as covered by an input
        inputs = {*kept(target), *_grown(target)}
        few = chosen({data: coverage(target, data) for data in inputs})
        (CORPUS / f"{target}.txt").write_text("".join(f"{data!r}\n" for data in few))
        sys.stdout.write(f"{target}: {len(few)} of {len(inputs)}\n")


if __name__ == "__main__":
    main()
