"""JSONL: one decision event a line, with `text` beside its fields where texts are exported."""

import json
from collections.abc import Iterable, Iterator
from typing import TextIO

from textmod_console.errors import DataError
from textmod_console.events import plain
from textmod_console.exchange.rows import (
    Exported,
    Given,
    decision_name,
    json_of,
    moment_of,
    optional,
    required,
)


def read(file: TextIO) -> Iterator[Given]:
    """Yield the decision of each line; `item` and `decision` are needed."""
    for number, line in enumerate(file, start=1):
        if line.strip():
            yield _given(line.removeprefix("\ufeff"), f"line {number}")


def _given(line: str, place: str) -> Given:
    value = json_of(line, place)
    if not isinstance(value, dict):
        raise DataError(f"{place}: it is no JSON object.")
    labels = value.get("labels") or {}
    if not isinstance(labels, dict) or not all(
        isinstance(share, int | float) and 0 <= share <= 1 for share in labels.values()
    ):
        raise DataError(f"{place}: labels must be an object of numbers from 0 to 1.")
    return Given(
        place=place,
        item=required(value.get("item"), "item", place),
        decision=decision_name(value.get("decision"), place),
        labels={str(name): float(share) for name, share in labels.items()},
        actor=required(value.get("actor", "import"), "actor", place),
        at=moment_of(value.get("at"), place),
        note=optional(value.get("note"), "note", place),
        reason=optional(value.get("reason"), "reason", place),
        id=_id(value.get("id")),
    )


def _id(value: object) -> str | None:
    """Return an id of this console's kind; other tools have numbers, which are known by content."""
    return value if isinstance(value, str) and value else None


def write(file: TextIO, rows: Iterable[Exported]) -> int:
    """Write the rows; returns how many."""
    count = 0
    for row in rows:
        more = {} if row.text is None else {"text": row.text}
        file.write(json.dumps(plain(row.decision) | more, ensure_ascii=False) + "\n")
        count += 1
    return count
