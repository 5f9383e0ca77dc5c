"""CSV with a header. Read: item and decision, and actor, at, note, reason, id if there are any."""

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, TextIO

from textmod_console.errors import DataError
from textmod_console.exchange.rows import (
    Exported,
    Given,
    decision_name,
    known_decision,
    moment_of,
    required,
)

COLUMNS: Final = (
    "id", "item", "decision", "label", "share", "actor", "actorKind", "at", "probability",
    "score", "note", "reason", "model", "policyVersion", "supersedes", "text",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_LARGEST: Final = 1 << 26
"""Characters of a cell: more than the largest message of a topic. Python's own limit is 131,072."""


_READ: Final = ("item", "decision", "actor", "at", "note", "reason", "id")


class _Lines(Iterator[str]):
    """The lines of a file: how many were read, and those of the current row."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.count = 0
        self.row: list[str] = []

    def __next__(self) -> str:
        line = next(self._file)
        self.count += 1
        self.row.append(line)
        return line


def read(file: TextIO) -> Iterator[Given]:
    """Yield the decision of each row."""
    csv.field_size_limit(_LARGEST)
    lines = _Lines(file)
    header = next((line for line in lines if line.strip()), "").removeprefix("\ufeff")
    if header.strip().strip('"').casefold().startswith("sep="):  # Excel's name of the delimiter
        header = next(lines, "")
    delimiter = max(",;\t", key=header.count)
    begins = lines.count
    rows = csv.reader(chain([header], lines), strict=True, delimiter=delimiter)
    try:
        columns = _columns(next(rows, []), f"line {max(begins, 1)}")
        while True:
            lines.row, begins = [], lines.count + 1
            values = next(rows, None)
            if values is None:
                return
            if any(value.strip() for value in values):
                _refuse_swallowed(lines.row, delimiter, columns, begins)
                yield _given(values, columns, f"line {begins}")
    except csv.Error as error:
        raise DataError(f"line {begins}: {_reason(error)}.") from None


def _reason(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "a quotation mark opens a field here and nothing closes it"
    if "expected after" in str(error):
        return 'more text behind a closing quotation mark: double those ("") that belong to a note'
    return str(error)


def _columns(header: list[str], place: str) -> list[str]:
    columns = [name.strip().casefold() for name in header]
    if not {"item", "decision"} <= set(columns):
        raise DataError(f"{place}: the header must name the columns item and decision.")
    for name in _READ:
        if columns.count(name) > 1:
            raise DataError(f"{place}: two columns are named {name}: keep the right one.")
    return columns


def _given(values: list[str], columns: list[str], place: str) -> Given:
    if any(values[len(columns) :]):
        raise DataError(
            f"{place}: more fields than the header has: put quotation marks around a note"
            " with a comma."
        )
    row = dict(zip(columns, values, strict=False))
    return Given(
        place=place,
        item=required(_plain(row.get("item")), "item", place),
        decision=decision_name(row.get("decision"), place),
        actor=_plain(row.get("actor")) or "import",
        at=moment_of(row.get("at"), place),
        note=_plain(row.get("note")) or None,
        reason=_plain(row.get("reason")) or None,
        id=_plain(row.get("id")) or None,
    )


def _refuse_swallowed(lines: list[str], delimiter: str, columns: list[str], begins: int) -> None:
    """Raise DataError if every line of a row is a row of its own: a quotation mark is amiss."""
    apart = [line.rstrip("\r\n").split(delimiter) for line in lines if line.strip()]
    at = columns.index("decision")
    if len(apart) > 1 and all(
        len(fields) == len(columns) and known_decision(fields[at].strip(' "')) for fields in apart
    ):
        raise DataError(
            f"line {begins}: a quotation mark opens a field here and takes in the rows up to line"
            f" {begins + len(lines) - 1}: it is missing or too many."
        )


def write(file: TextIO, rows: Iterable[Exported]) -> int:
    """Write the rows below a header; returns how many."""
    table = csv.writer(file)
    table.writerow(COLUMNS)
    count = 0
    for row in rows:
        one, label = row.decision, row.label or next(iter(row.decision.labels), "")
        table.writerow(
            [
                _cell(one.id), _cell(one.item), one.decision, _cell(label),
                one.labels.get(label, ""), _cell(one.actor), one.actor_kind, one.at.isoformat(),
                one.selection.probability if one.selection else "", one.scores.get(label, ""),
                _cell(one.note), _cell(one.reason), _cell(one.model), _cell(one.policy_version),
                _cell(one.supersedes), _cell(row.text),
            ]
        )  # fmt: skip
        count += 1
    return count


def _cell(value: str | None) -> str:
    """Return the value so that no spreadsheet takes it for a formula."""
    return f"'{value}" if value and value.startswith(_FORMULA) else value or ""


def _plain(value: str | None) -> str:
    """Return what `_cell` was given."""
    value = value or ""
    return value[1:] if value.startswith("'") and value[1:].startswith(_FORMULA) else value
